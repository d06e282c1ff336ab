"""mlq: an ML pipeline platform you own."""

__version__ = "0.1.0"
