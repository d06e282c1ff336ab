"""A Python package that is a file here, so that installing it needs no index."""

from __future__ import annotations

import zipfile
from pathlib import Path


def make_wheel(folder: Path) -> str:
    """The requirement for a wheel in `folder` with the module `mlq_probe`, whose ANSWER is 42."""
    path = folder / "mlq_probe-1.0-py3-none-any.whl"
    info = "mlq_probe-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mlq_probe.py", "ANSWER = 42\n")
        archive.writestr(
            f"{info}/METADATA", "Metadata-Version: 2.1\nName: mlq-probe\nVersion: 1.0\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"mlq-probe @ file://{path}"
