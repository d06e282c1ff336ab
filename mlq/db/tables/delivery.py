"""What answers predictions."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Integer,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
)

from mlq.db.tables.base import metadata
from mlq.db.types import Json, Timestamp

endpoints = Table(
    "endpoints",
    metadata,
    Column("name", String(255), primary_key=True),
    Column("description", Text, nullable=False),
    Column("traffic", Json, nullable=False),  # deployment -> percent, sums to 100 or 0
    Column("tags", Json, nullable=False),
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("mirror_traffic", Json, nullable=False, server_default="{}"),  # deployment -> percent
)

deployments = Table(
    "deployments",
    metadata,
    Column("endpoint", String(255), ForeignKey("endpoints.name"), nullable=False),
    Column("name", String(255), nullable=False),
    Column("model", String(255), nullable=False),
    Column("alias", String(64)),  # follows the alias, or
    Column("version", Integer),  # stays on a version
    Column("created_at", Timestamp, nullable=False),
    Column("updated_at", Timestamp, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("tags", Json, nullable=False, server_default="{}"),
    Column("settings", Json, nullable=False, server_default="{}"),  # mlq.spec.serving
    PrimaryKeyConstraint("endpoint", "name"),
)

#: Aliases that only people move: after a rollback, until somebody says that pipelines may again.
alias_holds = Table(
    "alias_holds",
    metadata,
    Column("name", String(255), ForeignKey("models.name"), nullable=False),
    Column("alias", String(64), nullable=False),
    Column("reason", Text, nullable=False),
    Column("actor", String(255), nullable=False),
    Column("at", Timestamp, nullable=False),
    PrimaryKeyConstraint("name", "alias"),
)

#: One row: any change of aliases, endpoints or deployments raises `number`, which servers watch.
routing_version = Table(
    "routing_version",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("number", BigInteger, nullable=False),
)
