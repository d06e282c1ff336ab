"""Models: versions that count up, aliases that move, and their way back.

An alias's history is read as a stack. promote and deploy push the version they move to, remove
pushes "not there", and rollback pops: v1 → v2 → v3, rolled back twice, is v1 again. What was rolled
back is off the stack, so a rollback never returns to it; promote does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection

from mlq.db import events, holds, registry, routing
from mlq.db.holds import Hold
from mlq.db.projects import owner_of_job
from mlq.db.registry import AliasMove, Artifact, Model, ModelVersion
from mlq.errors import ConflictError, NotFoundError, nearest
from mlq.service import projects
from mlq.service.names import check_alias, check_digest, check_name, check_text

PRODUCTION = "production"
_MAX_VERSION = 2**31 - 1


@dataclass(frozen=True, slots=True)
class Moved:
    """What an alias did. `previous` None: it is new; `version` None: it was removed.

    changed: False where it already stood on that version, and nothing was written. endpoints:
    (endpoint, deployment) of those that follow the alias. is_held: only people move it now.
    """

    name: str
    alias: str
    version: int | None
    previous: int | None
    changed: bool = True
    endpoints: tuple[tuple[str, str], ...] = ()
    is_held: bool = False


def register(
    conn: Connection,
    *,
    name: str,
    digest: str,
    size_bytes: int,
    actor: str,
    job_id: str | None = None,
    metrics: Mapping[str, float] | None = None,
    report: Mapping[str, Any] | None = None,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    project: str | None = None,
    version: int | None = None,
) -> ModelVersion:
    """Make the next version of `name` from a stored package (the digest of its tree).

    Numbers count up without holes, but for a version that keeps the number that it had where it is
    imported from. Raises ConflictError where later ones are taken.
    Metrics that are not finite become None, which JSON has.
    project: whose the name must be; that of the job where there is one.
    Raises MlqError (code `invalid`), ConflictError where the name is another project's.
    """
    check_name(name, what="model")
    check_text(description, what="description")
    if job_id is not None:
        project = owner_of_job(conn, job_id)
    projects.own_name(conn, "model", name, project)
    registry.add_artifacts(conn, [Artifact(check_digest(digest), "tree", size_bytes)])
    made = registry.insert_model_version(
        conn,
        name=name,
        version=_number(conn, name, version),
        digest=digest,
        job_id=job_id,
        description=description,
        metrics=_finite(dict(metrics or {})),
        report=_finite(dict(report or {})),
        tags=dict(tags or {}),
        created_by=actor,
    )
    events.record(
        conn,
        "model.register",
        subject=f"models:/{name}",
        actor=actor,
        job_id=job_id,
        detail={"version": made.version, "digest": digest},
    )
    routing.raise_number(conn)  # a name without version and alias means the newest
    return made


def _number(conn: Connection, name: str, wanted: int | None) -> int:
    if wanted is None:
        return registry.count_up(conn, name)
    if wanted > _MAX_VERSION or not registry.count_to(conn, name, wanted):
        raise ConflictError(
            f"models:/{name} has versions from {wanted} on already, or its number is too large.",
            code="exists",
        )
    return wanted


def add(
    conn: Connection,
    *,
    name: str,
    digest: str,
    size_bytes: int,
    actor: str,
    description: str = "",
    tags: Mapping[str, str] | None = None,
    project: str | None = None,
    version: int | None = None,
) -> tuple[ModelVersion, bool]:
    """Register a package that somebody sent, or find the version that it is; and whether it is new.

    It is the newest version where that has the same bytes. version: the number that it is to have.
    Raises as `register` does; ConflictError where that number is not the next.
    """
    projects.own_name(conn, "model", name, project)
    last = registry.lock_model(conn, name) or 0
    there = registry.find_model_version(conn, name, version or last)
    if there is not None and there.digest == digest:
        return there, False
    if version not in (None, last + 1):
        raise ConflictError(
            f"Version {version} of '{name}' cannot be made: the next is {last + 1}.",
            hint="Versions do not change, and count up: leave `version` out.",
        )
    made = register(
        conn,
        name=name,
        digest=digest,
        size_bytes=size_bytes,
        actor=actor,
        description=description,
        tags=tags,
        project=project,
    )
    return made, True


def create(conn: Connection, name: str, *, description: str, actor: str) -> Model:
    """Make a model that has no version yet. Raises ConflictError where there is one of that name.

    `register` makes a model with its first version: this is for clients that do it in two steps.
    """
    check_name(name, what="model")
    check_text(description, what="description")
    if not registry.add_model(conn, name, description=description):
        raise ConflictError(f"There is a model '{name}' already.", code="exists")
    events.record(conn, "model.create", subject=f"models:/{name}", actor=actor)
    return find(conn, name)


def change_version(
    conn: Connection,
    name: str,
    version: int | str,
    *,
    actor: str,
    description: str | None = None,
    tags: Mapping[str, str | None] | None = None,
) -> ModelVersion:
    """Describe or tag a version; a tag of None is removed. Raises NotFoundError."""
    found = find_version(conn, name, version=version)
    columns: dict[str, Any] = {}
    if description is not None:
        columns["description"] = check_text(description, what="description")
    if tags:
        merged = {**found.tags, **tags}
        columns["tags"] = {key: value for key, value in merged.items() if value is not None}
    if columns:
        registry.change_version(conn, name, found.version, **columns)
        events.record(
            conn,
            "model.annotate",
            subject=f"models:/{name}",
            actor=actor,
            detail={"version": found.version},
        )
    return find_version(conn, name, version=found.version)


def describe(conn: Connection, name: str, *, description: str, actor: str) -> Model:
    """Set a model's description. Raises NotFoundError."""
    check_text(description, what="description")
    _lock(conn, name)
    registry.describe_model(conn, name, description=description)
    events.record(conn, "model.describe", subject=f"models:/{name}", actor=actor)
    return find(conn, name)


def set_alias(
    conn: Connection,
    *,
    name: str,
    alias: str,
    version: int | str,
    actor: str,
    reason: str = "",
    act: Literal["promote", "deploy"] = "promote",
    job_id: str | None = None,
) -> Moved:
    """Put `alias` on a version (promote).

    version: a number, `latest`, or another alias such as `staging`, for what it is on now.
    A no-op where the alias is there already. Raises NotFoundError; MlqError (code `invalid`) for
    an alias that cannot be one; ConflictError where a `deploy` meets an alias that is held.
    """
    check_alias(alias)
    _lock(conn, name)
    if act == "deploy":
        check_not_held(conn, name, alias)
    target = find_version(conn, name, version=version).version
    previous = registry.find_alias(conn, name, alias)
    if previous == target:
        return Moved(name, alias, target, previous, changed=False)
    return _move(
        conn, Moved(name, alias, target, previous), act, actor=actor, reason=reason, job_id=job_id
    )


def rollback(
    conn: Connection,
    *,
    name: str,
    actor: str,
    alias: str = PRODUCTION,
    to: int | None = None,
    reason: str = "",
) -> Moved:
    """Put `alias` back on what it was before its last move that is not itself rolled back.

    to: an earlier version of its own, instead of the one before. Until `resume`, pipelines leave
    the alias alone: the next one would bring back what was just found to be bad.
    Raises NotFoundError; ConflictError where there is nothing before, or the alias never was on
    `to`.
    """
    moved = plan_rollback(conn, name=name, alias=alias, to=to)
    holds.place(conn, name=name, alias=alias, reason=reason or "rolled back", actor=actor)
    moved = _move(conn, moved, "rollback", actor=actor, reason=reason)
    return replace(moved, is_held=True)


def plan_rollback(
    conn: Connection, *, name: str, alias: str = PRODUCTION, to: int | None = None
) -> Moved:
    """What `rollback` would do, and its errors; only locks the model."""
    _lock(conn, name)
    acts = list(registry.alias_acts(conn, name, alias))
    if not acts:
        raise _no_alias(conn, name, alias)
    stack = _stack(acts)
    current = stack[-1]
    earlier = sorted({version for _, version in acts if version not in (None, current)})
    if to is None:
        before = stack[-2] if len(stack) > 1 else None
        if before is None:
            others = ", ".join(str(version) for version in earlier)
            raise ConflictError(
                f"models:/{name}@{alias} cannot be rolled back: there is nothing before version "
                f"{current}.",
                code="nothing_before",
                hint=f"It has also been on {others}; name one with --to." if others else "",
            )
        to = before
    elif to == current:
        raise ConflictError(f"models:/{name}@{alias} is on version {to} already.")
    elif to not in earlier:
        find_version(conn, name, version=to)  # one that is not there is the first thing to say
        raise ConflictError(
            f"models:/{name}@{alias} never was on version {to}.",
            hint=f"`mlq model promote {name} --version {to} --alias {alias}` puts it there.",
        )
    return _with_endpoints(conn, Moved(name, alias, to, current))


def undo_rollback(
    conn: Connection, *, name: str, actor: str, alias: str = PRODUCTION, reason: str = ""
) -> Moved:
    """Put `alias` back on what it was before the rollback that was its last move; let it go.

    Raises NotFoundError; ConflictError where the last move was no rollback.
    """
    _lock(conn, name)
    moves = registry.page_moves(conn, name, alias=alias, limit=1, before=None)
    if not moves:
        raise _no_alias(conn, name, alias)
    last = moves[0]
    if last.act != "rollback" or last.previous is None:
        raise ConflictError(
            f"The last move of models:/{name}@{alias} was a {last.act}, no rollback.",
            code="nothing_to_undo",
            hint=f"`mlq model history {name}` shows its moves.",
        )
    moved = Moved(name, alias, last.previous, last.version)
    done = _move(conn, moved, "promote", actor=actor, reason=reason or "undo of the rollback")
    if holds.lift(conn, name=name, alias=alias):
        _record_resume(conn, name, alias, actor=actor, reason="undo of the rollback")
    return done


def resume(
    conn: Connection, *, name: str, actor: str, alias: str = PRODUCTION, reason: str = ""
) -> bool:
    """Let pipelines and rollouts move an alias again; False where they might anyway.

    Raises NotFoundError.
    """
    check_text(reason, what="reason")
    _lock(conn, name)
    if registry.find_alias(conn, name, alias) is None:
        raise _no_alias(conn, name, alias)
    if not holds.lift(conn, name=name, alias=alias):
        return False
    _record_resume(conn, name, alias, actor=actor, reason=reason)
    return True


def check_not_held(conn: Connection, name: str, alias: str) -> None:
    """Raise ConflictError (code `promotion_paused`) where only people may move an alias."""
    hold = holds.read(conn, name).get(alias)
    if hold is not None:
        raise ConflictError(
            f"models:/{name}@{alias} was held by {hold.actor}: {hold.reason}. Only people move it.",
            code="promotion_paused",
            hint=f"`mlq model resume {name} --alias {alias}` lets pipelines move it again.",
        )


def list_holds(conn: Connection, name: str) -> Mapping[str, Hold]:
    """The aliases of a model that pipelines must leave alone."""
    return holds.read(conn, name)


def _record_resume(conn: Connection, name: str, alias: str, *, actor: str, reason: str) -> None:
    events.record(
        conn,
        "model.resume",
        subject=f"models:/{name}",
        actor=actor,
        detail={"alias": alias, "reason": reason},
    )


def _with_endpoints(conn: Connection, moved: Moved) -> Moved:
    followers = routing.find_followers(conn, model=moved.name, alias=moved.alias)
    return replace(moved, endpoints=tuple(followers))


def remove_alias(conn: Connection, *, name: str, alias: str, actor: str, reason: str = "") -> Moved:
    """Take an alias away. Raises NotFoundError; ConflictError while a deployment follows it."""
    _lock(conn, name)
    previous = registry.find_alias(conn, name, alias)
    if previous is None:
        raise _no_alias(conn, name, alias)
    if followers := routing.find_followers(conn, model=name, alias=alias):
        endpoint, deployment = followers[0]
        raise ConflictError(
            f"models:/{name}@{alias} cannot be removed: deployment '{deployment}' of endpoint "
            f"'{endpoint}' follows it.",
            hint="Delete the deployment or point it elsewhere first.",
        )
    return _move(conn, Moved(name, alias, None, previous), "remove", actor=actor, reason=reason)


def find(conn: Connection, name: str) -> Model:
    """A model. Raises NotFoundError with the nearest name."""
    found = registry.find_model(conn, name)
    if found is None:
        raise _no_model(conn, name)
    return found


def list_models(
    conn: Connection, *, limit: int = 50, after: str | None = None, project: str | None = None
) -> list[Model]:
    """Models by name; `after` is the last name of a page."""
    return registry.page_models(conn, limit=limit, after=after, project=project)


def find_version(conn: Connection, name: str, *, version: int | str) -> ModelVersion:
    """A version by number, `latest` or alias. Raises NotFoundError."""
    model = find(conn, name)
    text = str(version)
    if text == "latest":
        number = model.latest_version
    elif text.isascii() and text.isdecimal():
        number = min(int(text[:11]), _MAX_VERSION)
    else:
        number = model.aliases.get(text, 0)
        if not number:
            raise _no_alias(conn, name, text)
    found = registry.find_model_version(conn, name, number)
    if found is None:
        raise NotFoundError(
            f"Model '{name}' has no version {text:.40}.",
            hint=f"The newest is models:/{name}/{model.latest_version}."
            if model.latest_version
            else "",
        )
    return found


def list_versions(
    conn: Connection, name: str, *, limit: int = 50, before: int | None = None
) -> list[ModelVersion]:
    """Versions, newest first; `before` is the last version of a page. Raises NotFoundError."""
    find(conn, name)
    return registry.page_model_versions(conn, name, limit=limit, before=before)


def history(
    conn: Connection,
    name: str,
    *,
    alias: str | None = None,
    limit: int = 50,
    before: int | None = None,
) -> list[AliasMove]:
    """Moves of a model's aliases, newest first; `before` is the last move's id of a page.

    Raises NotFoundError where there is no such model.
    """
    find(conn, name)
    return registry.page_moves(conn, name, alias=alias, limit=limit, before=before)


def _stack(acts: Iterable[tuple[str, int | None]]) -> list[int | None]:
    """What an alias has been, without what was rolled back; the first entry is "not there"."""
    stack: list[int | None] = [None]
    for act, version in acts:
        if act == "rollback" and version in stack[:-1]:
            nearest_place = max(place for place, one in enumerate(stack[:-1]) if one == version)
            del stack[nearest_place + 1 :]
        else:
            stack.append(version)
    return stack


def _move(
    conn: Connection,
    moved: Moved,
    act: str,
    *,
    actor: str,
    reason: str,
    job_id: str | None = None,
) -> Moved:
    check_text(reason, what="reason")
    registry.move_alias(
        conn,
        name=moved.name,
        alias=moved.alias,
        version=moved.version,
        previous=moved.previous,
        act=act,
        reason=reason,
        actor=actor,
        job_id=job_id,
    )
    detail = {
        "alias": moved.alias,
        "version": moved.version,
        "previous": moved.previous,
        "reason": reason,
    }
    events.record(
        conn,
        f"model.{act}",
        subject=f"models:/{moved.name}",
        actor=actor,
        job_id=job_id,
        detail=detail,
    )
    routing.raise_number(conn)
    return _with_endpoints(conn, moved)


def _lock(conn: Connection, name: str) -> None:
    if registry.lock_model(conn, name) is None:
        raise _no_model(conn, name)


def _no_model(conn: Connection, name: str) -> NotFoundError:
    close = nearest(name, registry.model_names(conn))
    return NotFoundError(
        f"There is no model '{name}'.",
        hint=f"Did you mean '{close}'?" if close else "`mlq model list` shows what there is.",
    )


def _no_alias(conn: Connection, name: str, alias: str) -> NotFoundError:
    known = registry.alias_names(conn, name)
    close = nearest(alias, known)
    if close:
        hint = f"Did you mean '{close}'?"
    else:
        hint = f"Its aliases: {', '.join(known)}." if known else "It has no alias yet."
    return NotFoundError(f"Model '{name}' has no alias '{alias:.64}'.", hint=hint)


def _finite(value: Any) -> Any:
    """`value` with None for NaN and infinity, which JSON does not know."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return value
