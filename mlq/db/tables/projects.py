"""Who owns what. What is named nowhere here belongs to the project `default`."""

from __future__ import annotations

from sqlalchemy import Column, ForeignKey, Index, PrimaryKeyConstraint, String, Table, Text

from mlq.db.tables.base import metadata
from mlq.db.types import Id, Timestamp

projects = Table(
    "projects",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created_by", String(255), nullable=False),
    Column("created_at", Timestamp, nullable=False),
)

#: Roots of job trees; what is below a root belongs to the root's project.
project_jobs = Table(
    "project_jobs",
    metadata,
    Column("root_id", Id, primary_key=True),
    Column("project", String(64), ForeignKey("projects.name"), nullable=False),
    Index("ix_project_jobs_project", "project", "root_id"),
)

#: Names of data, models, endpoints, …: one name belongs to one project, also once it is removed.
project_names = Table(
    "project_names",
    metadata,
    Column("kind", String(32), nullable=False),  # see mlq.db.projects.NAMED
    Column("name", String(255), nullable=False),
    Column("project", String(64), ForeignKey("projects.name"), nullable=False),
    PrimaryKeyConstraint("kind", "name"),
    Index("ix_project_names_project", "project", "kind"),
)

#: What steps of a project get as environment variables, encrypted. See mlq.service.vault.
project_secrets = Table(
    "project_secrets",
    metadata,
    Column("project", String(64), nullable=False),  # `default` too
    Column("name", String(128), nullable=False),
    Column("value", Text, nullable=False),
    Column("key_id", String(16), nullable=False),  # which key it is encrypted with
    Column("set_by", String(255), nullable=False),
    Column("set_at", Timestamp, nullable=False),
    PrimaryKeyConstraint("project", "name"),
)

#: Bytes that a project has uploaded: what its callers may read by digest.
project_blobs = Table(
    "project_blobs",
    metadata,
    Column("project", String(64), ForeignKey("projects.name"), nullable=False),
    Column("digest", String(64), nullable=False),
    PrimaryKeyConstraint("project", "digest"),
)
