"""Addresses that job files give as inputs: what they stand for, and whether they may be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit, urlunsplit

from mlq.artifacts.sources import Source, allow
from mlq.errors import MlqError, SpecError
from mlq.service.jobs import asset_problems
from mlq.spec.plan import Plan
from mlq.spec.references import is_address, parse_datastore

SETTING = "MLQ_DATASTORES"


def locate(address: str, *, datastores: Mapping[str, str], prefixes: Sequence[str]) -> Source:
    """Where the bytes of `address` are.

    datastores: an operator's table, name -> address; prefixes: what an operator allows beside the
    public web. Raises MlqError: `forbidden_source`, or `invalid` for what is no address.
    """
    named = parse_datastore(address)
    if named is None:
        return allow(address, prefixes)
    store, path = named
    base = datastores.get(store)
    if base is None:
        known = ", ".join(sorted(datastores)[:10])
        raise MlqError(
            f"Nobody has said what the datastore '{store}' stands for here.",
            code="forbidden_source",
            hint=f"An operator may in {SETTING}; there is {known}."
            if known
            else f"An operator may in {SETTING}.",
        )
    if ".." in path.split("/"):
        raise MlqError(f"{address!r:.200} is no plain path: leave out '..'.", code="invalid")
    parts = urlsplit(base)
    below = "/".join(part for part in (parts.path.rstrip("/"), path.strip("/")) if part)
    return allow(urlunsplit(parts._replace(path=below, query="", fragment="")), [base])


def require_readable(plan: Plan, *, datastores: Mapping[str, str], prefixes: Sequence[str]) -> None:
    """Raise SpecError where an input of the plan is an address that may not be read."""
    problems = []
    for address in plan.assets:
        if is_address(address):
            try:
                locate(address, datastores=datastores, prefixes=prefixes)
            except MlqError as error:
                problems += asset_problems(plan, address, error)
    if problems:
        raise SpecError(list(dict.fromkeys(problems)))
