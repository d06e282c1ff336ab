"""What stands behind a name at this moment. A table never changes; the watcher swaps it whole."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import TypeVar

from mlq.db.routing import Route, Routing, Target
from mlq.errors import NotFoundError, UnavailableError, nearest

PRODUCTION = "production"
EMPTY = Routing(number=0, aliases={}, newest={}, endpoints={})
K = TypeVar("K")


def find_alias(table: Routing, model: str, alias: str | None) -> Target:
    """What an alias of a model is on; None: `production`, else the newest version.

    Raises NotFoundError with the nearest name.
    """
    newest = find_newest(table, model)
    if alias is None:
        return table.aliases.get((model, PRODUCTION), newest)
    if alias == "latest":
        return newest
    target = table.aliases.get((model, alias))
    if target is None:
        known = [name for owner, name in table.aliases if owner == model]
        close = nearest(alias, known)
        raise NotFoundError(
            f"Model '{model}' has no version or alias '{alias:.64}'.",
            hint=f"Did you mean '{close}'?" if close else f"Its aliases: {', '.join(known)}.",
        )
    return target


def find_newest(table: Routing, model: str) -> Target:
    """The newest version of a model. Raises NotFoundError with the nearest name."""
    target = table.newest.get(model)
    if target is None:
        close = nearest(model, table.newest)
        raise NotFoundError(
            f"There is no model '{model:.80}'.",
            hint=f"Did you mean '{close}'?" if close else "`mlq model list` shows what there is.",
        )
    return target


def choose(
    table: Routing,
    endpoint: str,
    *,
    deployment: str | None,
    random: Callable[[], float],
    session: str | None = None,
) -> tuple[str, Target]:
    """The deployment that answers a request, and its model version.

    deployment: asked for by the caller, else drawn by traffic. random: gives [0, 1). session: a
    text of the caller's; while traffic stays, equal ones get the same deployment.
    Raises NotFoundError; UnavailableError (code `no_traffic`) where no deployment gets requests.
    """
    route = table.endpoints.get(endpoint)
    if route is None:
        close = nearest(endpoint, table.endpoints)
        raise NotFoundError(
            f"There is no endpoint '{endpoint:.80}'.",
            hint=f"Did you mean '{close}'?"
            if close
            else "`mlq online-endpoint list` shows what there is.",
        )
    if deployment is not None:
        target = route.targets.get(deployment)
        if target is None:
            raise NotFoundError(
                f"Endpoint '{endpoint}' has no deployment '{deployment:.80}'.",
                hint=f"It has: {', '.join(sorted(route.targets)) or 'none'}.",
            )
        return deployment, target
    shares = sorted((name, share) for name, share in route.traffic.items() if name in route.targets)
    drawn = random() if session is None else place_of(endpoint, session)
    place = drawn * sum(share for _, share in shares)
    for name, share in shares:
        place -= share
        if place < 0:
            return name, route.targets[name]
    raise UnavailableError(
        f"No deployment of endpoint '{endpoint}' gets traffic.",
        code="no_traffic",
        hint="Set its traffic, or name a deployment in the header mlq-deployment.",
    )


def place_of(endpoint: str, session: str) -> float:
    """Where a session stands in [0, 1): the same on every replica, and spread evenly."""
    digest = hashlib.blake2b(f"{endpoint}\0{session}".encode(errors="replace"), digest_size=6)
    return int.from_bytes(digest.digest()) / 2**48


def mirrors(
    table: Routing, endpoint: str, *, random: Callable[[], float]
) -> list[tuple[str, Target]]:
    """The deployments that get a copy of a request, drawn by `mirror_traffic`."""
    route = table.endpoints.get(endpoint)
    if route is None or not route.mirror:
        return []
    return [
        (name, route.targets[name])
        for name, share in sorted(route.mirror.items())
        if name in route.targets and random() * 100 < share
    ]


def find_deployment(table: Routing, target: Target) -> tuple[str, str] | None:
    """The (endpoint, deployment) that a version asked for by its model's name counts for.

    Of several that stand for it the first by name which gets requests, else the first by name.
    """
    found = sorted(
        (not route.traffic.get(name), endpoint, name)
        for endpoint, route in table.endpoints.items()
        for name, one in route.targets.items()
        if one == target
    )
    return found[0][1:] if found else None


def routed(table: Routing) -> set[Target]:
    """What the deployments of all endpoints stand for."""
    return {target for route in table.endpoints.values() for target in route.targets.values()}


def wanted(old: Routing, new: Routing, *, is_loaded: Callable[[Target], bool]) -> list[Target]:
    """What must be in memory before `new` replaces `old` whole.

    These are the targets of deployments, and of every alias or bare name whose present one is in
    use.
    """
    moved = {
        *_moved(old.aliases, new.aliases, is_loaded),
        *_moved(old.newest, _defaults(new), is_loaded),
    }
    return sorted(target for target in routed(new) | moved if not is_loaded(target))


def _defaults(table: Routing) -> dict[str, Target]:
    """The newest versions that a model's bare name means; `production` goes before them."""
    return {
        name: target
        for name, target in table.newest.items()
        if (name, PRODUCTION) not in table.aliases
    }


def _moved(
    old: Mapping[K, Target], new: Mapping[K, Target], is_loaded: Callable[[Target], bool]
) -> Iterable[Target]:
    for key, target in new.items():
        before = old.get(key)
        if before is not None and before != target and is_loaded(before):
            yield target


def settle(old: Routing, new: Routing, *, is_loaded: Callable[[Target], bool]) -> Routing:
    """`new`, but with `old` wherever a model in use would give way to one that is not loaded."""
    return replace(
        new,
        aliases=_keep(old.aliases, new.aliases, is_loaded),
        newest={**new.newest, **_keep(old.newest, _defaults(new), is_loaded)},
        endpoints={
            name: _settle_route(old.endpoints.get(name), route, is_loaded)
            for name, route in new.endpoints.items()
        },
    )


def _keep(
    old: Mapping[K, Target], new: Mapping[K, Target], is_loaded: Callable[[Target], bool]
) -> dict[K, Target]:
    return {
        key: old[key] if not is_loaded(target) and key in old and is_loaded(old[key]) else target
        for key, target in new.items()
    }


def _settle_route(old: Route | None, new: Route, is_loaded: Callable[[Target], bool]) -> Route:
    if old is None:
        return new
    targets = _keep(old.targets, new.targets, is_loaded)

    def answers(traffic: Mapping[str, int]) -> bool:
        return all(
            name in targets and is_loaded(targets[name]) for name, share in traffic.items() if share
        )

    is_off = not any(new.traffic.values())
    if is_off or answers(new.traffic) or not answers(old.traffic):
        return replace(new, targets=targets)
    return replace(new, traffic=old.traffic, targets=targets)
