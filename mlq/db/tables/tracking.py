"""What MLflow's clients record: experiments, their own runs, and what they say of any run.

A leaf job is a run by itself and has no row in `runs`; parameters, tags, files and what else is
recorded refer to a run by its id, which may be a job's. `attempt` is the job's, 0 for a client's
run: a new attempt begins with an empty record.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    Index,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from mlq.db.tables.base import metadata
from mlq.db.types import Id, Json, Serial, Timestamp

experiments = Table(
    "experiments",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("project", String(64), nullable=False),  # `default` too
    Column("name", String(255), nullable=False),  # the label that the project's jobs carry
    Column("tags", Json, nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    UniqueConstraint("project", "name"),
)

#: Runs that clients made. owner_id: the job whose code made it; owner_attempt fences it.
runs = Table(
    "runs",
    metadata,
    Column("id", Id, primary_key=True),
    Column("experiment_id", Integer, nullable=False),
    Column("owner_id", Id),
    Column("owner_attempt", Integer, nullable=False),
    Column("name", String(255), nullable=False),
    Column("status", String(16), nullable=False),  # MLflow's words
    Column("created_by", String(255), nullable=False),
    Column("is_deleted", Boolean, nullable=False),
    Column("started_at", Timestamp, nullable=False),
    Column("ended_at", Timestamp),
    Index("ix_runs_experiment", "experiment_id", "started_at"),
)

run_params = Table(
    "run_params",
    metadata,
    Column("run_id", Id, nullable=False),
    Column("key", String(255), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "key"),
)

run_tags = Table(
    "run_tags",
    metadata,
    Column("run_id", Id, nullable=False),
    Column("key", String(255), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("run_id", "key"),
)

#: Datasets and models that a run says it took or made.
run_links = Table(
    "run_links",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("run_id", Id, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("kind", String(16), nullable=False),  # dataset | model_input | model_output
    Column("content", Json, nullable=False),
    Index("ix_run_links_run", "run_id"),
)

#: Files below a run or a logged model. owner_id: of the run, or of the model without its "m-".
tracked_files = Table(
    "tracked_files",
    metadata,
    Column("owner_id", Id, nullable=False),
    Column("path", String(500), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    PrimaryKeyConstraint("owner_id", "path"),
    Index("ix_tracked_files_digest", "digest"),
)

logged_models = Table(
    "logged_models",
    metadata,
    Column("id", Id, primary_key=True),  # MLflow writes it with "m-" before it
    Column("experiment_id", Integer, nullable=False),
    Column("run_id", Id),
    Column("name", String(255), nullable=False),
    Column("type", String(64), nullable=False),
    Column("status", String(32), nullable=False),
    Column("params", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Index("ix_logged_models_run", "run_id"),
)

#: What runs measured of a logged model: of each metric the value with the highest step.
logged_model_metrics = Table(
    "logged_model_metrics",
    metadata,
    Column("model_id", Id, nullable=False),
    Column("run_id", Id, nullable=False),
    Column("key", String(255), nullable=False),
    Column("dataset_name", String(500), nullable=False),  # "" where none was named
    Column("dataset_digest", String(64), nullable=False),
    Column("value", Float, nullable=False),
    Column("step", BigInteger, nullable=False),
    Column("at", Timestamp, nullable=False),
    PrimaryKeyConstraint("model_id", "key", "run_id", "dataset_name", "dataset_digest"),
)

#: Where a model version that a client registered came from.
version_sources = Table(
    "version_sources",
    metadata,
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("source", Text, nullable=False),
    Column("run_id", Id),
    Column("model_id", Id),
    PrimaryKeyConstraint("name", "version"),
)

model_tags = Table(
    "model_tags",
    metadata,
    Column("name", String(255), nullable=False),
    Column("key", String(255), nullable=False),
    Column("value", Text, nullable=False),
    PrimaryKeyConstraint("name", "key"),
)
