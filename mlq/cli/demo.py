"""`mlq demo`: the whole loop on a real dataset."""

from __future__ import annotations

import click

from mlq.cli.output import Output, output_option


@click.command()
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the server it starts [8420].")
@output_option
def demo(port: int | None, output: Output) -> None:
    """Watch a real dataset become a validated, deployed and rolled-back model.

    Uses the `mlq up` that runs on this machine, or starts one and stops it at the end. Run it as
    often as you like: versions count up. Exits with 0 only if every check held.
    """
    from mlq.cli.demo_story import Narrator, tell

    narrator = Narrator(stderr=output.form != "table")
    told = tell(narrator, port=port)
    if output.form != "table":
        output.one(told, name=f"models:/penguins/{told['live_version']}")
