"""The demo's dataset and pipeline, shipped with the package. Source and licence: README.md."""

from __future__ import annotations

from pathlib import Path

from mlq.errors import NotFoundError

_FOLDER = Path(__file__).parent


def demo_file(name: str) -> Path:
    """The path of a shipped file, such as `penguins.csv`. Raises NotFoundError."""
    files = {file.name: file for file in sorted(_FOLDER.glob("penguins*.*"))}
    if name not in files:
        raise NotFoundError(
            f"No file '{name}' is shipped with mlq.", hint=f"There are: {', '.join(files)}."
        )
    return files[name]
