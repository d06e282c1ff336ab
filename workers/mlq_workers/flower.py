"""Flower in a process of its own: `python -m mlq_workers.flower`, set by FLOWER_… variables.

What `celery -A mlq_workers flower` does, without Celery's whole command line, whose shell alone
keeps some 20 MB.
"""

from __future__ import annotations

import sys

import click
from celery.bin.base import CLIContext
from flower.command import flower

from mlq.broker import make_app
from mlq.settings import load_settings


def main() -> None:
    """Serve Flower until SIGTERM."""
    celery = CLIContext(make_app(load_settings()), no_color=True, workdir=None, quiet=True)
    sys.argv = ["flower"]  # Flower reads its options from here, too
    flower.main([], parent=click.Context(click.Group("celery"), obj=celery), standalone_mode=False)


if __name__ == "__main__":
    main()
