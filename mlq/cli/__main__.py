"""`python -m mlq.cli`: the command line, for an interpreter that is known by its path."""

import sys

from mlq.cli import main

if __name__ == "__main__":
    sys.exit(main())
