"""Statements over endpoints, deployments and the routing version that servers watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, case, delete, func, insert, select, update

from mlq.db import monitoring
from mlq.db.projects import names_of, owners_of_names
from mlq.db.tables import (
    alias_history,
    deployments,
    endpoints,
    model_aliases,
    model_versions,
    routing_version,
)
from mlq.db.types import now
from mlq.db.upsert import conflict_insert


@dataclass(frozen=True, slots=True)
class Deployment:
    """What stands behind an endpoint: a version, or an alias that it follows.

    alias: None where it stays on a version. version: the one it stands for now. settings: see
    `mlq.spec.serving.DeploymentFile`.
    """

    endpoint: str
    name: str
    model_name: str
    alias: str | None
    version: int | None
    created_at: datetime
    updated_at: datetime
    description: str = ""
    tags: Mapping[str, str] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        """As it was deployed: `models:/churn@production` or `models:/churn/3`."""
        tail = f"@{self.alias}" if self.alias is not None else f"/{self.version}"
        return f"models:/{self.model_name}{tail}"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A name that answers predictions. traffic: percent of each deployment, by name.

    mirror_traffic: percent of the requests that a deployment gets a copy of; its answers are
    measured and thrown away.
    """

    name: str
    description: str
    traffic: Mapping[str, int]
    tags: Mapping[str, str]
    deployments: tuple[Deployment, ...]
    created_at: datetime
    updated_at: datetime
    mirror_traffic: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, order=True)
class Target:
    """A model version and the tree of its package. Never changes once it is registered."""

    name: str
    version: int
    digest: str

    @property
    def uri(self) -> str:
        """As references write it: `models:/churn/3`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class Route:
    """An endpoint as servers see it. targets: deployment -> what it stands for now."""

    traffic: Mapping[str, int]
    targets: Mapping[str, Target]
    mirror: Mapping[str, int] = field(default_factory=dict)
    settings: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Routing:
    """Everything a server needs to find a model, read at one moment.

    aliases: (model, alias) -> target; newest: model -> target of its highest version. spares: what
    the aliases that deployments follow were on before, which a rollback goes back to.
    owners: (`model` or `endpoint`, name) -> its project, where that is not `default`.
    """

    number: int
    aliases: Mapping[tuple[str, str], Target]
    newest: Mapping[str, Target]
    endpoints: Mapping[str, Route]
    spares: frozenset[Target] = frozenset()
    owners: Mapping[tuple[str, str], str] = field(default_factory=dict)


def raise_number(conn: Connection) -> None:
    """Tell servers that aliases, endpoints or deployments changed. The last lock to take."""
    conn.execute(update(routing_version).values(number=routing_version.c.number + 1))


def read_number(conn: Connection) -> int:
    """The number that any change of routing raises."""
    return int(conn.execute(select(routing_version.c.number)).scalar_one())


def read_routing(conn: Connection) -> Routing:
    """What servers route by.

    The number comes first: where a change commits between these statements, it is older than what
    it stands for, and the reader looks again.
    """
    number = read_number(conn)
    version = (model_versions.c.name, model_versions.c.version, model_versions.c.digest)
    on_alias = and_(
        model_versions.c.name == model_aliases.c.name,
        model_versions.c.version == model_aliases.c.version,
    )
    aliases = {
        (row.name, row.alias): Target(row.name, row.version, row.digest)
        for row in conn.execute(
            select(*version, model_aliases.c.alias).join_from(
                model_versions, model_aliases, on_alias
            )
        )
    }
    other = model_versions.alias()
    highest = select(func.max(other.c.version)).where(other.c.name == model_versions.c.name)
    newest = {
        row.name: Target(row.name, row.version, row.digest)
        for row in conn.execute(
            select(*version).where(model_versions.c.version == highest.scalar_subquery())
        )
    }
    found = {row.name: row for row in conn.execute(select(endpoints))}
    targets: dict[str, dict[str, Target]] = {name: {} for name in found}
    settings: dict[str, dict[str, Mapping[str, Any]]] = {name: {} for name in found}
    for row in conn.execute(_deployments().add_columns(model_versions.c.digest)):
        if row.endpoint in targets and row.digest is not None:
            targets[row.endpoint][row.name] = Target(row.model, row.resolved, row.digest)
            if row.settings:
                settings[row.endpoint][row.name] = row.settings
    return Routing(
        number=number,
        aliases=aliases,
        newest=newest,
        endpoints={
            name: Route(row.traffic, targets[name], row.mirror_traffic, settings[name])
            for name, row in found.items()
        },
        spares=_read_spares(conn),
        owners=owners_of_names(conn, ("model", "endpoint")),
    )


def _read_spares(conn: Connection) -> frozenset[Target]:
    """What the last move of each followed alias left, if that was a version."""
    followed = (
        select(
            alias_history.c.name, alias_history.c.alias, func.max(alias_history.c.id).label("last")
        )
        .join(
            deployments,
            and_(
                deployments.c.model == alias_history.c.name,
                deployments.c.alias == alias_history.c.alias,
            ),
        )
        .group_by(alias_history.c.name, alias_history.c.alias)
        .subquery()
    )
    query = (
        select(model_versions.c.name, model_versions.c.version, model_versions.c.digest)
        .join(
            alias_history,
            and_(
                alias_history.c.name == model_versions.c.name,
                alias_history.c.previous == model_versions.c.version,
            ),
        )
        .join(followed, followed.c.last == alias_history.c.id)
    )
    return frozenset(Target(row.name, row.version, row.digest) for row in conn.execute(query))


def find_target(conn: Connection, name: str, version: int) -> Target | None:
    """A model version, for what no alias points at."""
    query = select(model_versions.c.digest).where(
        model_versions.c.name == name, model_versions.c.version == version
    )
    digest = conn.execute(query).scalar()
    return None if digest is None else Target(name, version, digest)


def list_versions(conn: Connection, name: str) -> list[int]:
    """Numbers of a model's versions, oldest first."""
    query = select(model_versions.c.version).where(model_versions.c.name == name)
    return list(conn.scalars(query.order_by(model_versions.c.version)))


def insert_endpoint(
    conn: Connection, *, name: str, description: str, tags: Mapping[str, str]
) -> bool:
    """Make an endpoint without deployments; False when there is one of that name."""
    statement = (
        conflict_insert(conn, endpoints)
        .values(
            name=name,
            description=description,
            tags=dict(tags),
            traffic={},
            created_at=now(),
            updated_at=now(),
        )
        .on_conflict_do_nothing()
        .returning(endpoints.c.name)
    )
    return conn.execute(statement).first() is not None


def lock_endpoint(conn: Connection, name: str) -> Endpoint | None:
    """Keep others from changing this endpoint, and read it; None if unknown."""
    query = select(endpoints.c.name).where(endpoints.c.name == name).with_for_update()
    return find_endpoint(conn, name) if conn.execute(query).first() else None


def find_endpoint(conn: Connection, name: str) -> Endpoint | None:
    """An endpoint with its deployments."""
    row = conn.execute(select(endpoints).where(endpoints.c.name == name)).first()
    return None if row is None else _endpoints(conn, [row])[0]


def page_endpoints(
    conn: Connection, *, limit: int, after: str | None, project: str | None = None
) -> list[Endpoint]:
    """Endpoints by name, names after `after` only."""
    query = select(endpoints).where(names_of("endpoint", project))
    if after is not None:
        query = query.where(endpoints.c.name > after)
    return _endpoints(conn, list(conn.execute(query.order_by(endpoints.c.name).limit(limit))))


def endpoint_names(conn: Connection) -> list[str]:
    """Names of endpoints, for the nearest one to a typo."""
    return list(conn.scalars(select(endpoints.c.name).limit(2000)))


def update_endpoint(conn: Connection, name: str, **columns: Any) -> None:
    """Set columns of an endpoint: description, traffic, mirror_traffic, tags."""
    statement = update(endpoints).where(endpoints.c.name == name)
    conn.execute(statement.values(updated_at=now(), **columns))


def delete_endpoint(conn: Connection, name: str) -> None:
    """Remove an endpoint, its deployments, and what was kept of its predictions."""
    monitoring.forget(conn, name)
    conn.execute(delete(deployments).where(deployments.c.endpoint == name))
    conn.execute(delete(endpoints).where(endpoints.c.name == name))


def put_deployment(
    conn: Connection,
    *,
    endpoint: str,
    name: str,
    model: str,
    alias: str | None,
    version: int | None,
    **columns: Any,
) -> None:
    """Make a deployment, or point it elsewhere. One of alias and version is None.

    columns: description, tags and settings; those not given stay as they are.
    """
    values = {"model": model, "alias": alias, "version": version, "updated_at": now(), **columns}
    key = (deployments.c.endpoint == endpoint, deployments.c.name == name)
    if not conn.execute(update(deployments).where(*key).values(**values)).rowcount:
        row = {"endpoint": endpoint, "name": name, "created_at": now(), **values}
        conn.execute(insert(deployments).values(**row))


def delete_deployment(conn: Connection, *, endpoint: str, name: str) -> None:
    """Remove a deployment."""
    conn.execute(
        delete(deployments).where(deployments.c.endpoint == endpoint, deployments.c.name == name)
    )


def find_followers(conn: Connection, *, model: str, alias: str) -> list[tuple[str, str]]:
    """(endpoint, deployment) of those that follow an alias."""
    query = select(deployments.c.endpoint, deployments.c.name).where(
        deployments.c.model == model, deployments.c.alias == alias
    )
    return [(row.endpoint, row.name) for row in conn.execute(query.order_by("endpoint", "name"))]


def _deployments() -> Any:
    """Deployments with the version they stand for now, and that version's row."""
    resolved = case(
        (deployments.c.alias.is_(None), deployments.c.version), else_=model_aliases.c.version
    )
    return (
        select(deployments, resolved.label("resolved"))
        .outerjoin(
            model_aliases,
            and_(
                model_aliases.c.name == deployments.c.model,
                model_aliases.c.alias == deployments.c.alias,
            ),
        )
        .outerjoin(
            model_versions,
            and_(
                model_versions.c.name == deployments.c.model, model_versions.c.version == resolved
            ),
        )
    )


def _endpoints(conn: Connection, rows: list[Row[Any]]) -> list[Endpoint]:
    query = _deployments().where(deployments.c.endpoint.in_([row.name for row in rows]))
    found: dict[str, list[Deployment]] = {row.name: [] for row in rows}
    for row in conn.execute(query.order_by(deployments.c.endpoint, deployments.c.name)):
        found[row.endpoint].append(
            Deployment(
                endpoint=row.endpoint,
                name=row.name,
                model_name=row.model,
                alias=row.alias,
                version=row.resolved,
                created_at=row.created_at,
                updated_at=row.updated_at,
                description=row.description,
                tags=row.tags,
                settings=row.settings,
            )
        )
    return [
        Endpoint(
            name=row.name,
            description=row.description,
            traffic={one.name: row.traffic.get(one.name, 0) for one in found[row.name]},
            tags=row.tags,
            deployments=tuple(found[row.name]),
            created_at=row.created_at,
            updated_at=row.updated_at,
            mirror_traffic={
                name: percent for name, percent in row.mirror_traffic.items() if percent
            },
        )
        for row in rows
    ]
