"""A Python package that is a file here, so that installing it needs no index."""

from __future__ import annotations

import zipfile
from pathlib import Path


def make_wheel(folder: Path, *, name: str = "mlq-probe", version: str = "1.0") -> str:
    """The requirement for a wheel in `folder`; its module has ANSWER, which is 42."""
    module = name.replace("-", "_")
    path = folder / f"{module}-{version}-py3-none-any.whl"
    info = f"{module}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"{module}.py", "ANSWER = 42\n")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return f"{name} @ file://{path}"
