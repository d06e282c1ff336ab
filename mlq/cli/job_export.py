"""`mlq job export`: a job in another system's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from mlq.cli.context import open_client, reference
from mlq.cli.output import Column, Output, output_option, talk


@click.command()
@reference("JOB", "An id, the beginning of one, the name of a job, or @last.")
@click.option(
    "--azure", is_flag=True, required=True, help="As files that the Azure ML CLI v2 takes."
)
@click.option(
    "-p",
    "--download-path",
    "to",
    type=click.Path(file_okay=False, path_type=Path),
    required=True,
    help="New folder to write to.",
)
@output_option
def export(ref: str, azure: bool, to: Path, output: Output) -> None:
    """Write the whole job that JOB is part of, with its code and files, for another system.

    What that does not know is left out, which is said. job.yml is what to submit there.
    """
    from mlq.errors import ConflictError
    from mlq.spec import read_document
    from mlq.spec.azure import export as export_azure

    if to.exists():
        raise ConflictError(f"{to} exists already.", hint="Name another folder, or remove it.")
    with open_client() as client:
        text, media_type = client.jobs.spec(ref)
        made = export_azure(read_document(text, media_type=media_type))
        to.mkdir(parents=True)
        for place, digest in made.artifacts.items():
            target = to / place
            target.parent.mkdir(parents=True, exist_ok=True)
            client.blobs.download(digest, to=target)
    for name, content in made.files.items():
        (to / name).write_text(write_yaml(content))
    for note in made.notes:
        talk(f"note: {note}")
    written = [{"path": str(to / name)} for name in (*made.files, *made.artifacts)]
    output.list(written, [Column("PATH", lambda i: str(i["path"]))], name=lambda i: str(i["path"]))


def write_yaml(content: dict[str, Any]) -> str:
    """A file's text, keys in their order."""
    import yaml

    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
