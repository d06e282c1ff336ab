"""What a job is to its parent, as conditions: in the text itself, or no plan uses the indexes."""

from __future__ import annotations

from sqlalchemy import literal_column

from mlq.db.tables import jobs
from mlq.lifecycle import Role

IS_RUNNER = jobs.c.role == literal_column(f"'{Role.RUNNER}'")
IS_TRIAL = jobs.c.role == literal_column(f"'{Role.TRIAL}'")
IS_ITEM = jobs.c.role == literal_column(f"'{Role.ITEM}'")
IS_FINALLY = jobs.c.role == literal_column(f"'{Role.FINALLY}'")
IS_BEST = jobs.c.role == literal_column(f"'{Role.BEST}'")
