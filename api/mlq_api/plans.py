"""Compiled job files, remembered: the same file submitted again is not compiled again."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass

from mlq.errors import MlqError, SpecError
from mlq.service.blueprint import Blueprint, draw
from mlq.service.locations import require_readable
from mlq.service.naming import Named, Template
from mlq.settings import Settings
from mlq.spec import (
    BUILTIN,
    Component,
    EnvironmentTemplate,
    JobTemplate,
    compile_job,
    find_builtin,
    parse_component,
    read_document,
)
from mlq_api.lanes import Lane

JSON_TYPE = "application/json"
YAML_TYPES = frozenset({"application/yaml", "application/x-yaml", "text/yaml", "text/x-yaml"})
#: Computes that may be named before any worker serves them.
USUAL_COMPUTES = frozenset({"cpu", "gpu"})


@dataclass(frozen=True, slots=True)
class Compiled:
    """A job file that was accepted. digest: sha256 of the body.

    named: the components and environments that it names -> the version that each stood for; None
    for an environment of Azure's, for which the worker's own stands in.
    """

    blueprint: Blueprint
    digest: str
    named: Mapping[Named, str | None]


#: What names of components and environments stand for now, for a project; None: there is no such.
FindNamed = Callable[[Collection[Named], str | None], Awaitable[Mapping[Named, Template | None]]]


class _Lookup:
    """What one attempt to compile a file names, which must not wait for the database.

    known: what was looked up before; missing: what has to be, for the next attempt.
    """

    def __init__(self, known: Mapping[Named, Template | None]) -> None:
        self.known = known
        self.used: dict[Named, str | None] = {}
        self.missing: set[Named] = set()

    def component(self, reference: str) -> Component | JobTemplate | None:
        """A `FindComponent`."""
        if parse_component(reference)[0] in BUILTIN:
            return find_builtin(reference)
        found = self._find(("component", reference))
        return found if isinstance(found, JobTemplate) else None

    def environment(self, reference: str) -> EnvironmentTemplate | None:
        """A `FindEnvironment`."""
        found = self._find(("environment", reference))
        return found if isinstance(found, EnvironmentTemplate) else None

    def pins(self, kind: str) -> dict[str, str]:
        """References of a kind -> the version that each stands for."""
        return {
            ref: version for (one, ref), version in self.used.items() if version and one == kind
        }

    def _find(self, named: Named) -> Template | None:
        if named not in self.known:
            self.missing.add(named)
            return None
        found = self.known[named]
        self.used[named] = _version_of(found)
        return found


def _version_of(found: Template | None) -> str | None:
    return None if found is None else f"{found.name}:{found.version}"


class Plans:
    """Compiles job files; compiling is pure, so the newest few are kept.

    list_computes: the computes that workers serve, looked up every few seconds.
    find_named: asked for each file that names any: what `@latest` is may have changed.
    """

    SIZE = 256
    MAX_KEPT_BYTES = 64 * 1024
    COMPUTES_TTL_S = 2.0

    def __init__(
        self,
        settings: Settings,
        lane: Lane,
        *,
        list_computes: Callable[[], Awaitable[frozenset[str]]],
        find_named: FindNamed,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._aliases = settings.computes
        self._datastores = settings.datastores
        self._data_urls = settings.data_urls
        self._lane = lane
        self._list_computes = list_computes
        self._find_named = find_named
        self._clock = clock
        self._kept: OrderedDict[tuple[str, str, frozenset[str]], Compiled] = OrderedDict()
        self._computes: frozenset[str] = frozenset()
        self._computes_until = float("-inf")
        self._lookup: asyncio.Future[frozenset[str]] | None = None

    async def compile(
        self, body: bytes, media_type: str, *, project: str | None = None
    ) -> Compiled:
        """Compile a job file.

        media_type: without parameters, lower case. project: whose components it may name.
        Raises SpecError; MlqError with code `unsupported_media`.
        """
        if media_type != JSON_TYPE and media_type not in YAML_TYPES:
            raise MlqError(
                f"A job file is JSON or YAML, not {media_type[:100]!r}.",
                code="unsupported_media",
                hint="Send `Content-Type: application/yaml` or `application/json`.",
            )
        computes = await self._known_computes()
        digest = hashlib.sha256(body).hexdigest()
        key = (digest, media_type, computes)
        found = self._kept.get(key)
        templates: dict[Named, Template | None] = {}
        if found is not None:
            self._kept.move_to_end(key)
            if not found.named:
                return found
            templates |= await self._find_named(found.named.keys(), project)
            if {one: _version_of(template) for one, template in templates.items()} == found.named:
                return found
        while True:  # a round for each level of components in components
            lookup = _Lookup(templates)
            try:
                made = await self._lane.call(
                    self._compile, body, media_type, digest, computes, lookup
                )
            except SpecError:
                if not lookup.missing:
                    raise
            else:
                if not lookup.missing:
                    break
            templates |= await self._find_named(lookup.missing, project)
        if len(body) <= self.MAX_KEPT_BYTES:
            self._kept[key] = made
            while len(self._kept) > self.SIZE:
                self._kept.popitem(last=False)
        return made

    async def _known_computes(self) -> frozenset[str]:
        if self._clock() < self._computes_until:
            return self._computes
        if self._lookup is None:
            self._lookup = asyncio.ensure_future(self._look_up())
            self._lookup.add_done_callback(self._end_lookup)
        # one caller that goes away must not end what the others wait for
        return await asyncio.shield(self._lookup)

    async def _look_up(self) -> frozenset[str]:
        named = frozenset(self._aliases.values())
        self._computes = await self._list_computes() | named | USUAL_COMPUTES
        self._computes_until = self._clock() + self.COMPUTES_TTL_S
        return self._computes

    def _end_lookup(self, lookup: asyncio.Future[frozenset[str]]) -> None:
        self._lookup = None
        if not lookup.cancelled():
            lookup.exception()  # whoever waits gets it too; nobody waiting is no warning

    def _compile(
        self,
        body: bytes,
        media_type: str,
        digest: str,
        computes: frozenset[str],
        lookup: _Lookup,
    ) -> Compiled:
        document = read_document(body, media_type=media_type)
        plan = compile_job(
            document,
            computes=computes,
            compute_aliases=self._aliases,
            components=lookup.component,
            environments=lookup.environment,
        )
        require_readable(plan, datastores=self._datastores, prefixes=self._data_urls)
        # read_document has refused what is not UTF-8
        text = body.decode("utf-8-sig")
        blueprint = draw(
            plan,
            document=text,
            media_type=media_type,
            components=lookup.pins("component"),
            environments=lookup.pins("environment"),
        )
        return Compiled(blueprint, digest, lookup.used)
