"""Statements over data versions, models, their versions and aliases, and artifacts.

Locks are taken in this order: artifact, model, endpoint (`mlq.db.routing`), the rest, and the
routing version last, so that no two transactions wait for each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Literal, TypeVar

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from mlq.db import garbage
from mlq.db.comparisons import compare
from mlq.db.projects import names_of
from mlq.db.tables import (
    alias_history,
    artifacts,
    data_numbers,
    data_versions,
    model_aliases,
    model_tags,
    model_versions,
    models,
    version_sources,
)
from mlq.db.types import now
from mlq.db.upsert import conflict_insert
from mlq.ids import new_id

Kind = Literal["blob", "tree"]
T = TypeVar("T")
#: A comparison: kind ("attribute" or "tag"), column or tag, operator, value.
Wanted = tuple[str, str, str, Any]

#: How many names are looked through for the nearest one.
_NAMES_LIMIT = 2000


@dataclass(frozen=True, slots=True)
class Artifact:
    """Bytes that a table refers to. kind: a blob, or a tree of blobs."""

    digest: str
    kind: Kind
    size_bytes: int


@dataclass(frozen=True, slots=True)
class DataVersion:
    """A version of a data asset. type: uri_file, uri_folder or mltable.

    source: the address that it was registered from; None for an upload.
    """

    name: str
    version: int
    type: str
    digest: str
    file_name: str
    size_bytes: int
    description: str
    tags: Mapping[str, str]
    created_by: str
    created_at: datetime
    source: str | None = None

    @property
    def id(self) -> str:
        """As job files write it: `mlq:churn:3`."""
        return f"mlq:{self.name}:{self.version}"

    @property
    def kind(self) -> Kind:
        """How its bytes are stored."""
        return data_kind(self.type)


@dataclass(frozen=True, slots=True)
class Model:
    """A registered model. aliases: alias -> version; latest_version 0: none registered yet."""

    name: str
    description: str
    latest_version: int
    created_at: datetime
    aliases: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ModelVersion:
    """A version of a model. digest: tree of its package; job_id: the job that registered it."""

    name: str
    version: int
    digest: str
    job_id: str | None
    description: str
    metrics: Mapping[str, float | None]
    report: Mapping[str, Any]
    tags: Mapping[str, str]
    created_by: str
    created_at: datetime
    aliases: tuple[str, ...] = ()

    @property
    def uri(self) -> str:
        """As references write it: `models:/churn/3`."""
        return f"models:/{self.name}/{self.version}"


@dataclass(frozen=True, slots=True)
class AliasMove:
    """One row of an alias's history. version None: removed; previous None: it was not there."""

    id: int
    name: str
    alias: str
    version: int | None
    previous: int | None
    act: str
    reason: str
    actor: str
    job_id: str | None
    at: datetime


def data_kind(type: str) -> Kind:
    """How bytes of a data type are stored."""
    return "blob" if type == "uri_file" else "tree"


def _make(record: type[T], row: Row[Any], **extra: Any) -> T:
    names = {field.name for field in fields(record)} - set(extra)  # type: ignore[arg-type]
    return record(**{name: getattr(row, name) for name in names if hasattr(row, name)}, **extra)


# artifacts


def add_artifacts(conn: Connection, stored: Collection[Artifact]) -> None:
    """Note that these bytes are stored, and about to be named; a no-op where that is known."""
    rows = [
        {"digest": one.digest, "kind": one.kind, "size_bytes": one.size_bytes}
        for one in sorted(stored, key=lambda one: one.digest)  # one lock order for all
    ]
    if rows:
        garbage.pardon(conn, [one.digest for one in stored])
        conn.execute(
            conflict_insert(conn, artifacts).values(created_at=now()).on_conflict_do_nothing(), rows
        )


def find_artifact(conn: Connection, digest: str) -> Artifact | None:
    """The artifact with this digest."""
    row = conn.execute(select(artifacts).where(artifacts.c.digest == digest)).first()
    return None if row is None else Artifact(row.digest, row.kind, row.size_bytes)


def find_artifacts(conn: Connection, digests: Iterable[str]) -> dict[str, Artifact]:
    """The artifacts with these digests, by digest; those that are not stored are left out."""
    wanted, found = sorted(set(digests)), dict[str, Artifact]()
    for start in range(0, len(wanted), 500):
        query = select(artifacts).where(artifacts.c.digest.in_(wanted[start : start + 500]))
        for row in conn.execute(query):
            found[row.digest] = Artifact(row.digest, row.kind, row.size_bytes)
    return found


def add_tree(conn: Connection, digest: str, size_bytes: int) -> None:
    """Note that a folder is stored, also where its list was known as mere bytes."""
    garbage.pardon(conn, [digest])
    row = {"kind": "tree", "size_bytes": size_bytes}
    statement = conflict_insert(conn, artifacts).values(digest=digest, created_at=now(), **row)
    conn.execute(statement.on_conflict_do_update(index_elements=["digest"], set_=row))


# data


def insert_data(
    conn: Connection, *, version: int | None = None, **columns: Any
) -> DataVersion | None:
    """Insert a version of `columns["name"]`; None when another transaction was first.

    version: its number, the next by default. The loser waits for the winner's commit, and sees its
    row in the next statement.
    """
    highest = [
        select(func.coalesce(func.max(number), 0)).where(name == columns["name"]).scalar_subquery()
        for number, name in (
            (data_versions.c.version, data_versions.c.name),
            (data_numbers.c.last_version, data_numbers.c.name),
        )
    ]
    following = case((highest[0] > highest[1], highest[0]), else_=highest[1]) + 1
    statement = (
        conflict_insert(conn, data_versions)
        .values(id=new_id(), version=version or following, created_at=now(), **columns)
        .on_conflict_do_nothing()
        .returning(data_versions)
    )
    row = conn.execute(statement).first()
    return None if row is None else _make(DataVersion, row)


def find_data(conn: Connection, name: str, *, version: int | None = None) -> DataVersion | None:
    """A version of a data asset, the newest where `version` is None."""
    query = select(data_versions).where(data_versions.c.name == name)
    if version is not None:
        query = query.where(data_versions.c.version == version)
    row = conn.execute(query.order_by(data_versions.c.version.desc()).limit(1)).first()
    return None if row is None else _make(DataVersion, row)


def is_data_number_taken(conn: Connection, name: str, version: int) -> bool:
    """Whether a version of a data asset has this number, or one that was deleted may have had."""
    deleted = select(data_numbers.c.last_version).where(data_numbers.c.name == name)
    return find_data(conn, name, version=version) is not None or version <= (
        conn.scalar(deleted) or 0
    )


def find_data_digest(conn: Connection, name: str, *, digest: str) -> DataVersion | None:
    """The version of a data asset that has these bytes."""
    row = conn.execute(
        select(data_versions).where(data_versions.c.name == name, data_versions.c.digest == digest)
    ).first()
    return None if row is None else _make(DataVersion, row)


def page_data(
    conn: Connection, *, limit: int, after: str | None, project: str | None = None
) -> list[DataVersion]:
    """The newest version of each data asset, by name, names after `after` only."""
    other = data_versions.alias()
    newest = (
        select(func.max(other.c.version))
        .where(other.c.name == data_versions.c.name)
        .scalar_subquery()
    )
    query = select(data_versions).where(
        data_versions.c.version == newest, names_of("data", project)
    )
    if after is not None:
        query = query.where(data_versions.c.name > after)
    rows = conn.execute(query.order_by(data_versions.c.name).limit(limit))
    return [_make(DataVersion, row) for row in rows]


def page_data_versions(
    conn: Connection, name: str, *, limit: int, before: int | None
) -> list[DataVersion]:
    """Versions of one data asset, newest first, those below `before` only."""
    query = select(data_versions).where(data_versions.c.name == name)
    if before is not None:
        query = query.where(data_versions.c.version < before)
    rows = conn.execute(query.order_by(data_versions.c.version.desc()).limit(limit))
    return [_make(DataVersion, row) for row in rows]


def data_names(conn: Connection) -> list[str]:
    """Names of data assets, for the nearest one to a typo."""
    return list(conn.scalars(select(data_versions.c.name).distinct().limit(_NAMES_LIMIT)))


# models


def count_up(conn: Connection, name: str) -> int:
    """The next version number of `name`, made where it does not exist; locks the model.

    A number is taken when the transaction commits, so they have no holes.
    """
    row = {"name": name, "description": "", "last_version": 0, "created_at": now()}
    conn.execute(conflict_insert(conn, models).values(**row).on_conflict_do_nothing())
    number = conn.execute(
        update(models)
        .where(models.c.name == name)
        .values(last_version=models.c.last_version + 1)
        .returning(models.c.last_version)
    ).scalar_one()
    return int(number)


def count_to(conn: Connection, name: str, number: int) -> bool:
    """Make `number` the newest of `name`, made where it does not exist; False where it is not."""
    add_model(conn, name, description="")
    counted = conn.execute(
        update(models)
        .where(models.c.name == name, models.c.last_version < number)
        .values(last_version=number)
    )
    return bool(counted.rowcount)


def add_model(conn: Connection, name: str, *, description: str, last_version: int = 0) -> bool:
    """Make a model without versions; False where there is one of that name.

    last_version: the number before that of its first version.
    """
    row = {
        "name": name,
        "description": description,
        "last_version": last_version,
        "created_at": now(),
    }
    made = conn.execute(conflict_insert(conn, models).values(**row).on_conflict_do_nothing())
    return bool(made.rowcount)


def change_version(conn: Connection, name: str, version: int, **columns: Any) -> None:
    """Set columns of a model version."""
    conn.execute(
        update(model_versions)
        .where(model_versions.c.name == name, model_versions.c.version == version)
        .values(**columns)
    )


def insert_model_version(conn: Connection, **columns: Any) -> ModelVersion:
    """Insert a version whose number `count_up` gave."""
    statement = insert(model_versions).values(created_at=now(), **columns)
    return _make(ModelVersion, conn.execute(statement.returning(model_versions)).one())


def describe_model(conn: Connection, name: str, *, description: str) -> None:
    """Set a model's description."""
    conn.execute(update(models).where(models.c.name == name).values(description=description))


def lock_model(conn: Connection, name: str) -> int | None:
    """Keep others from moving this model's aliases; its newest version, None if unknown."""
    query = select(models.c.last_version).where(models.c.name == name).with_for_update()
    return conn.execute(query).scalar()


def find_model(conn: Connection, name: str) -> Model | None:
    """A model with its aliases."""
    row = conn.execute(select(models).where(models.c.name == name)).first()
    return None if row is None else _models(conn, [row])[0]


def page_models(
    conn: Connection,
    *,
    limit: int,
    after: str | None = None,
    offset: int = 0,
    wanted: Sequence[Wanted] = (),
    project: str | None = None,
) -> list[Model]:
    """Models by name: names after `after` only, those that meet every comparison of `wanted`."""
    query = select(models).where(names_of("model", project))
    for kind, key, op, value in wanted:
        if kind == "tag":
            query = query.where(_has_tag(key, op, value))
        else:
            query = query.where(compare(models.c[key], op, value))
    if after is not None:
        query = query.where(models.c.name > after)
    rows = conn.execute(query.order_by(models.c.name).limit(limit).offset(offset)).all()
    return _models(conn, rows)


def search_versions(
    conn: Connection,
    *,
    wanted: Sequence[Wanted],
    limit: int,
    offset: int,
    project: str | None,
) -> list[ModelVersion]:
    """Versions of models that meet every comparison, newest first; `run_id` finds the maker's."""
    query = select(model_versions)
    if project is not None:
        ours = select(models.c.name).where(names_of("model", project))
        query = query.where(model_versions.c.name.in_(ours))
    for kind, key, op, value in wanted:
        if kind == "tag":
            query = query.where(compare(model_versions.c.tags[key].as_string(), op, value))
        elif key == "run_id":
            told = select(version_sources.c.version).where(
                version_sources.c.name == model_versions.c.name,
                version_sources.c.version == model_versions.c.version,
                version_sources.c.run_id == value,
            )
            query = query.where(or_(model_versions.c.job_id == value, told.exists()))
        else:
            query = query.where(compare(model_versions.c[key], op, value))
    query = query.order_by(model_versions.c.created_at.desc(), model_versions.c.name)
    rows = conn.execute(query.limit(limit).offset(offset)).all()
    return [_with_aliases(conn, row.name, [row])[0] for row in rows]


def _has_tag(key: str, op: str, value: Any) -> ColumnElement[bool]:
    """Whether a model's tag compares so; one without the tag differs from every value."""
    mine = model_tags.c.name == models.c.name, model_tags.c.key == key
    if op == "!=":
        return ~select(model_tags.c.name).where(*mine, model_tags.c.value == value).exists()
    return select(model_tags.c.name).where(*mine, compare(model_tags.c.value, op, value)).exists()


def _models(conn: Connection, rows: Sequence[Row[Any]]) -> list[Model]:
    aliases: dict[str, dict[str, int]] = {row.name: {} for row in rows}
    query = select(model_aliases).where(model_aliases.c.name.in_(list(aliases)))
    for alias in conn.execute(query.order_by(model_aliases.c.alias)):
        aliases[alias.name][alias.alias] = alias.version
    newest = {row.name: 0 for row in rows}
    highest = select(model_versions.c.name, func.max(model_versions.c.version))
    highest = highest.where(model_versions.c.name.in_(list(newest)))
    newest |= {row[0]: row[1] for row in conn.execute(highest.group_by(model_versions.c.name))}
    return [
        _make(Model, row, latest_version=newest[row.name], aliases=aliases[row.name])
        for row in rows
    ]


def find_model_version(conn: Connection, name: str, version: int) -> ModelVersion | None:
    """One version of a model, with the aliases that are on it."""
    query = select(model_versions).where(
        model_versions.c.name == name, model_versions.c.version == version
    )
    row = conn.execute(query).first()
    return None if row is None else _with_aliases(conn, name, [row])[0]


def page_model_versions(
    conn: Connection, name: str, *, limit: int, before: int | None
) -> list[ModelVersion]:
    """Versions of a model, newest first, those below `before` only."""
    query = select(model_versions).where(model_versions.c.name == name)
    if before is not None:
        query = query.where(model_versions.c.version < before)
    rows = conn.execute(query.order_by(model_versions.c.version.desc()).limit(limit)).all()
    return _with_aliases(conn, name, rows)


def _with_aliases(conn: Connection, name: str, rows: Sequence[Row[Any]]) -> list[ModelVersion]:
    query = select(model_aliases).where(model_aliases.c.name == name)
    found = conn.execute(query.order_by(model_aliases.c.alias)).all()
    return [
        _make(
            ModelVersion,
            row,
            aliases=tuple(alias.alias for alias in found if alias.version == row.version),
        )
        for row in rows
    ]


def model_names(conn: Connection) -> list[str]:
    """Names of models, for the nearest one to a typo."""
    return list(conn.scalars(select(models.c.name).limit(_NAMES_LIMIT)))


# aliases


def find_alias(conn: Connection, name: str, alias: str) -> int | None:
    """The version an alias is on."""
    query = select(model_aliases.c.version).where(
        model_aliases.c.name == name, model_aliases.c.alias == alias
    )
    return conn.execute(query).scalar()


def alias_names(conn: Connection, name: str) -> list[str]:
    """Aliases of a model."""
    query = select(model_aliases.c.alias).where(model_aliases.c.name == name)
    return list(conn.scalars(query.order_by(model_aliases.c.alias)))


def move_alias(
    conn: Connection,
    *,
    name: str,
    alias: str,
    version: int | None,
    previous: int | None,
    act: str,
    reason: str,
    actor: str,
    job_id: str | None,
) -> None:
    """Put an alias on `version`, or remove it where that is None, and write its history.

    The caller holds `lock_model` and read `previous` under it.
    """
    key = (model_aliases.c.name == name, model_aliases.c.alias == alias)
    if version is None:
        conn.execute(delete(model_aliases).where(*key))
    elif previous is None:
        row = {"name": name, "alias": alias, "version": version, "updated_at": now()}
        conn.execute(insert(model_aliases).values(**row))
    else:
        conn.execute(update(model_aliases).where(*key).values(version=version, updated_at=now()))
    conn.execute(
        insert(alias_history).values(
            name=name,
            alias=alias,
            version=version,
            previous=previous,
            act=act,
            reason=reason,
            actor=actor,
            job_id=job_id,
            at=now(),
        )
    )


def alias_acts(conn: Connection, name: str, alias: str) -> Iterable[tuple[str, int | None]]:
    """Every move of an alias as (act, version), oldest first."""
    query = select(alias_history.c.act, alias_history.c.version).where(
        alias_history.c.name == name, alias_history.c.alias == alias
    )
    return [(row.act, row.version) for row in conn.execute(query.order_by(alias_history.c.id))]


def page_moves(
    conn: Connection, name: str, *, alias: str | None, limit: int, before: int | None
) -> list[AliasMove]:
    """Moves of a model's aliases, newest first, those with an id below `before` only."""
    query = select(alias_history).where(alias_history.c.name == name)
    if alias is not None:
        query = query.where(alias_history.c.alias == alias)
    if before is not None:
        query = query.where(alias_history.c.id < before)
    rows = conn.execute(query.order_by(alias_history.c.id.desc()).limit(limit))
    return [_make(AliasMove, row) for row in rows]
