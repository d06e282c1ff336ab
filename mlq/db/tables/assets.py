"""Bytes, data, components, environments, and models with their aliases."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
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

artifacts = Table(
    "artifacts",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("kind", String(8), nullable=False),  # blob | tree
    Column("size_bytes", BigInteger, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

#: Artifacts that a look found to be named by no row; see mlq.db.garbage.
unnamed_artifacts = Table(
    "unnamed_artifacts",
    metadata,
    Column("digest", String(64), primary_key=True),
    Column("since", Timestamp, nullable=False),
    Column("used_at", Timestamp, nullable=False),  # its time in the store at that look
)

data_versions = Table(
    "data_versions",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", Integer, nullable=False),
    Column("type", String(32), nullable=False),  # uri_file | uri_folder
    Column("digest", String(64), nullable=False),
    Column("file_name", String(255), nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("description", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("source", Text),  # the address that it was registered from
    UniqueConstraint("name", "version"),
    UniqueConstraint("name", "digest"),  # identical bytes are the same version
)

#: The highest number that a deleted version had: none is given twice.
data_numbers = Table(
    "data_numbers",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("last_version", Integer, nullable=False),
)

#: Versions of data and models that job trees were given at their submission.
asset_uses = Table(
    "asset_uses",
    metadata,
    Column("uri", String(300), nullable=False),  # mlq:churn:3 | models:/churn/3
    Column("root_id", Id, nullable=False),
    PrimaryKeyConstraint("uri", "root_id"),
    Index("ix_asset_uses_root", "root_id"),
)

#: Step definitions that were registered. digest: of what a version says, whatever it is called.
components = Table(
    "components",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", String(255), nullable=False),  # as its file says, else a number
    Column("ordinal", Integer, nullable=False),  # 1, 2, …: the highest is the latest
    Column("digest", String(64), nullable=False),
    Column("definition", Json, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("name", "version"),
    UniqueConstraint("name", "ordinal"),
)

#: Environments that were registered; columns as those of components.
environments = Table(
    "environments",
    metadata,
    Column("id", Id, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("version", String(255), nullable=False),
    Column("ordinal", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("definition", Json, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    UniqueConstraint("name", "version"),
    UniqueConstraint("name", "ordinal"),
)

models = Table(
    "models",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("last_version", Integer, nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

model_versions = Table(
    "model_versions",
    metadata,
    Column("name", String(255), ForeignKey("models.name"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(64), nullable=False),  # tree of the MLflow-format package
    Column("job_id", Id),  # the job that registered it
    Column("description", Text, nullable=False),
    Column("metrics", Json, nullable=False),
    Column("report", Json, nullable=False),
    Column("tags", Json, nullable=False),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("name", "version"),
    Index("ix_model_versions_job", "job_id"),
    Index("ix_model_versions_digest", "digest"),
)

model_aliases = Table(
    "model_aliases",
    metadata,
    Column("name", String(255), ForeignKey("models.name"), nullable=False),
    Column("alias", String(64), nullable=False),
    Column("version", Integer, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("name", "alias"),
)

#: Every move of an alias, the source of rollback. version None: the alias was removed.
alias_history = Table(
    "alias_history",
    metadata,
    Column("id", Serial, primary_key=True),
    Column("name", String(255), nullable=False),
    Column("alias", String(64), nullable=False),
    Column("version", Integer),
    Column("previous", Integer),
    Column("act", String(16), nullable=False),  # promote | rollback | deploy | remove
    Column("reason", Text, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("job_id", Id),
    Column("at", Timestamp, nullable=False),
    Index("ix_alias_history_alias", "name", "alias", "id"),
)
