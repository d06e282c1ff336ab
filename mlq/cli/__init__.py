"""The command line. Importing it costs click alone; commands import what they need."""

from mlq.cli.entry import main

__all__ = ["main"]
