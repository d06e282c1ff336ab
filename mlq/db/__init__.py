"""All SQL of mlq: tables, transitions (the only writer of a job's state), queries, migrations."""

from mlq.db.engine import Database

__all__ = ["Database"]
