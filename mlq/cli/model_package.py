"""The container build context of a model with its server."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent

from mlq.errors import ConflictError

#: The image that `docker compose build serve` makes of api/Dockerfile.
BASE = "mlq/serve"
PORT = 8421


def prepare_context(folder: Path) -> Path:
    """Make the folder of a build context; where its model goes. Raises ConflictError."""
    if folder.exists() and any(folder.iterdir()):
        raise ConflictError(f"{folder} is not empty.", hint="Name a folder that is not there yet.")
    folder.mkdir(parents=True, exist_ok=True)
    return folder / "model"


def write_context(folder: Path, *, name: str, version: int) -> None:
    """Write the Dockerfile beside the model, and what it has to know."""
    command = [
        "python", "-m", "mlq_api.serving.package", "model", "--name", name,
        "--version", str(version), "--host", "0.0.0.0", "--plain-http", "--port", str(PORT),
    ]  # fmt: skip
    words = ", ".join(f'"{word}"' for word in command)
    dockerfile = dedent(
        f"""\
        # models:/{name}/{version} with its server: docker build --tag {name.lower()} .
        # BASE has mlq's model server: `docker compose build serve` in a checkout makes it.
        ARG BASE={BASE}
        FROM ${{BASE}}
        USER root
        COPY model/requirements.txt /tmp/requirements.txt
        RUN pip install --no-cache-dir --requirement /tmp/requirements.txt
        USER mlq
        WORKDIR /srv
        COPY model model
        EXPOSE {PORT}
        # It prints the token that requests need, once, as its first line.
        CMD [{words}]
        """
    )
    (folder / "Dockerfile").write_text(dockerfile, encoding="utf-8")
    (folder / ".dockerignore").write_text("**/__pycache__\n", encoding="utf-8")
