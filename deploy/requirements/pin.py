"""Pin what each image installs: `make requirements`.

Writes NAME.txt beside this file: every package with its version and hashes, for every processor the
images are made for, and without the address of any index, so that each site uses its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Python of the images' base, see the Dockerfiles.
PYTHON = "3.13"
#: file -> extras of mlq-platform that its image needs
IMAGES = {
    "api": ["api"],
    "serve": ["serve"],
    "worker": ["worker", "flower"],
}
#: what builds the wheel inside an image: `build-system.requires` of pyproject.toml
BUILD = "build"


def pin(source: str, target: Path, *options: str) -> None:
    """Resolve `source` (a requirements file or pyproject.toml) into `target`."""
    command = [sys.executable, "-m", "uv", "pip", "compile", source, "--quiet", "--universal"]
    command += ["--python-version", PYTHON, "--generate-hashes", "--no-header", "--upgrade"]
    command += ["--no-emit-index-url", "--no-emit-find-links", "--no-annotate", *options]
    subprocess.run([*command, "--output-file", str(target)], cwd=ROOT, check=True)


def main() -> None:
    """Write every file anew."""
    folder = Path(__file__).parent
    for name, extras in IMAGES.items():
        options = [word for extra in extras for word in ("--extra", extra)]
        pin("pyproject.toml", folder / f"{name}.txt", *options)
        print(f"{name}.txt")
    with tempfile.NamedTemporaryFile("w", suffix=".in") as wanted:
        wanted.write("hatchling>=1.27\n")
        wanted.flush()
        pin(wanted.name, folder / f"{BUILD}.txt")
    print(f"{BUILD}.txt")


if __name__ == "__main__":
    main()
