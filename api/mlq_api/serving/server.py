"""What the routes of a serving process share: the table, models in memory, and two lanes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, ParamSpec, TypeVar

from starlette.requests import Request

from mlq.db import routing
from mlq.db.engine import Database
from mlq.db.projects import DEFAULT
from mlq.db.routing import Routing, Target
from mlq.errors import MlqError, NotFoundError, UnavailableError
from mlq.models.package import LoadedModel
from mlq.service import attempt_tokens, monitoring, tokens
from mlq.service.tokens import Principal
from mlq_api.auth import Principals
from mlq_api.lanes import Lane
from mlq_api.serving import routes
from mlq_api.serving.access import Outliving
from mlq_api.serving.meters import Meters
from mlq_api.serving.packages import Packages
from mlq_api.serving.predictions import Predictions
from mlq_api.serving.samples import Samples
from mlq_api.serving.watcher import Watcher

P = ParamSpec("P")
T = TypeVar("T")

#: scikit-learn gives the interpreter back while it computes; the rest is parsing.
PREDICTION_THREADS = 2
_CAPACITY = 256
_TIMEOUT_S = 60.0
_KNOWN_VERSIONS = 4096
#: Copies of requests that are being answered at most.
_COPIES = 64
_MAX_VERSION = 2**31 - 1


class Serving:
    """One serving process. `random` gives [0, 1), for the split of traffic."""

    def __init__(
        self,
        *,
        database: Database,
        watched: Database,
        packages: Packages,
        random: Callable[[], float],
    ) -> None:
        self._database = database
        self.random = random
        self.packages = packages
        self.meters = Meters()
        self.samples = Samples()
        self.watcher = Watcher(watched, self.packages)
        self._computing = Lane(
            "predictions", threads=PREDICTION_THREADS, capacity=_CAPACITY, timeout_s=_TIMEOUT_S
        )
        self.predictions = Predictions(self._computing, capacity=_CAPACITY, timeout_s=_TIMEOUT_S)
        self._loads = Lane("loads", threads=1, capacity=_CAPACITY, timeout_s=_TIMEOUT_S)
        self._reads = Lane("reads", threads=1, capacity=_CAPACITY, timeout_s=_TIMEOUT_S)
        self._beside: set[asyncio.Task[object]] = set()
        self._versions: dict[tuple[str, int], Target] = {}
        #: What `deployment_of` found in the table beside it.
        self._counted: tuple[Routing, dict[Target, tuple[str, str]]] = (routes.EMPTY, {})
        lookup = Outliving(self._find_principal, is_away=lambda: self.watcher.is_away)
        self.principals = Principals(lookup.find, lookup_attempt=self._find_attempt)

    def close(self) -> None:
        """End all threads; what runs is finished."""
        self.watcher.stop()
        for lane in (self._loads, self._computing, self._reads):
            lane.close()

    async def compute(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Parse, predict or encode beside the event loop. Raises as Lane.call does."""
        return await self._computing.call(work, *args, **kwargs)

    def require(self, principal: Principal, kind: str, name: str) -> None:
        """Keep a caller whose token is for one project to it: what is not there, it does not find.

        kind: `model` or `endpoint`. Raises NotFoundError.
        """
        if principal.project is None:
            return
        self._require_table()
        table = self.watcher.table
        known = table.newest if kind == "model" else table.endpoints
        owner = table.owners.get((kind, name), DEFAULT)
        if name not in known or owner != principal.project:
            raise NotFoundError(f"There is no {kind} '{name:.80}'.")

    async def find(self, model: str, version: str | None) -> Target:
        """A model's version by number or alias; None: `production`, else the newest.

        Raises NotFoundError; UnavailableError where only the database knows, and does not answer.
        """
        self._require_table()
        table = self.watcher.table
        try:
            return await self._find(table, model, version)
        except NotFoundError:
            newer = await self._read_newer(table)
            if newer is None:
                raise
        return await self._find(newer, model, version)

    async def _find(self, table: Routing, model: str, version: str | None) -> Target:
        if version is None or not (version.isascii() and version.isdecimal()):
            return routes.find_alias(table, model, version)
        newest = routes.find_newest(table, model)
        number = min(int(version[:11]), _MAX_VERSION)
        if number == newest.version:
            return newest
        key = (model, number)
        if key not in self._versions:
            found = await self._reads.call(self._find_target, model, number)
            if found is None:
                raise NotFoundError(
                    f"Model '{model}' has no version {version:.40}.",
                    hint=f"The newest is {newest.uri}.",
                )
            if len(self._versions) >= _KNOWN_VERSIONS:
                self._versions.clear()
            self._versions[key] = found
        return self._versions[key]

    async def choose(
        self, endpoint: str, deployment: str | None, *, session: str | None = None
    ) -> tuple[str, Target]:
        """The deployment that answers a request, as `routes.choose`."""
        self._require_table()
        table = self.watcher.table
        try:
            return routes.choose(
                table, endpoint, deployment=deployment, random=self.random, session=session
            )
        except (NotFoundError, UnavailableError):
            newer = await self._read_newer(table)
            if newer is None:
                raise
        return routes.choose(
            newer, endpoint, deployment=deployment, random=self.random, session=session
        )

    def deployment_of(self, target: Target) -> tuple[str, str]:
        """The (endpoint, deployment) that a request for a model's version counts for.

        Where none stands for it, the endpoint is empty and the deployment `models:/NAME`.
        """
        table = self.watcher.table
        if self._counted[0] is not table:
            self._counted = (table, {})
        known = self._counted[1]
        if target not in known:
            known[target] = routes.find_deployment(table, target) or ("", f"models:/{target.name}")
        return known[target]

    def draw_mirrors(self, endpoint: str) -> list[tuple[str, Target]]:
        """The deployments that get a copy of a request that came just now."""
        if len(self._beside) >= _COPIES:
            return []  # callers go first: copies are a sample anyway
        return routes.mirrors(self.watcher.table, endpoint, random=self.random)

    def settings_of(self, endpoint: str, deployment: str) -> Mapping[str, Any]:
        """How a deployment answers; see `mlq.spec.serving.DeploymentFile`."""
        route = self.watcher.table.endpoints.get(endpoint)
        return {} if route is None else route.settings.get(deployment, {})

    def draw_sample(self, endpoint: str, deployment: str) -> bool:
        """Whether an answer of this deployment is kept, drawn by its `sampling_rate`."""
        rate = self.settings_of(endpoint, deployment).get("sampling_rate") or 0.0
        return rate >= 1 or (rate > 0 and self.random() < rate)

    async def keep_feedback(self, endpoint: str, body: Mapping[str, Any]) -> int:
        """Keep truths about predictions; see `mlq.service.monitoring.give_feedback`."""
        return await self._reads.call(
            self._database.transact, monitoring.give_feedback, endpoint, body
        )

    def start_beside(self, work: Coroutine[Any, Any, object]) -> None:
        """Run what nobody waits for; how it ends is not of interest."""
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._end_beside)

    def _end_beside(self, task: asyncio.Task[object]) -> None:
        self._beside.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nothing complains of it

    async def load(self, target: Target) -> LoadedModel:
        """The model behind a target, read where it is not in memory yet.

        Raises UnavailableError (code `model_not_loaded`) saying why it cannot be.
        """
        model = self.packages.get(target)
        if model is not None:
            return model
        try:
            return await self._loads.call(self.packages.load, target)
        except UnavailableError:
            raise
        except MlqError as error:
            raise UnavailableError(
                f"{target.uri} cannot be loaded: {error.message}",
                code="model_not_loaded",
                hint=error.hint,
            ) from error

    async def list_versions(self, model: str) -> list[int]:
        """Numbers of a model's versions, oldest first; those in the table without a database."""
        try:
            return await self._reads.call(self._find_versions, model)
        except UnavailableError:
            table = self.watcher.table
            known = {target.version for (name, _), target in table.aliases.items() if name == model}
            return sorted(known | {table.newest[model].version})

    async def _read_newer(self, table: Routing) -> Routing | None:
        """What has taken the place of `table`, before the watcher sees it; None where nothing has.

        For what is not found, since it may have been made a moment ago.
        """
        try:
            return await self._reads.call(self._read_routing, table)
        except UnavailableError:
            return None

    def _read_routing(self, table: Routing) -> Routing | None:
        with self._database.read() as conn:
            if routing.read_number(conn) == table.number:
                return None
            new = routing.read_routing(conn)
        return routes.settle(table, new, is_loaded=self.packages.is_loaded)

    def _require_table(self) -> None:
        if self.watcher.table is routes.EMPTY:
            raise UnavailableError(
                "This server has not read from the database yet what it serves.",
                code="not_ready",
                hint="Try again in a second; GET /v2/health/ready says when.",
            )

    def _find_target(self, model: str, version: int) -> Target | None:
        with self._database.read() as conn:
            return routing.find_target(conn, model, version)

    def _find_versions(self, model: str) -> list[int]:
        with self._database.read() as conn:
            return routing.list_versions(conn, model)

    async def _find_principal(self, digest: str) -> Principal | None:
        return await self._reads.call(self._authenticate, digest)

    def _authenticate(self, digest: str) -> Principal | None:
        with self._database.read() as conn:
            return tokens.authenticate(conn, digest)

    async def _find_attempt(self, token: str) -> Principal | None:
        return await self._reads.call(self._authenticate_attempt, token)

    def _authenticate_attempt(self, token: str) -> Principal | None:
        with self._database.read() as conn:
            return attempt_tokens.authenticate(conn, token)


def serving_of(request: Request) -> Serving:
    """The serving process that answers `request`."""
    serving: Serving = request.app.state.serving
    return serving
