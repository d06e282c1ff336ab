"""Looks at what deployments were asked lately, beside what their models were trained on.

A thread of the serving process, which has the scientific stack and the packages at hand. Of many
replicas one does it at a time, by a lease.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from mlq.artifacts import Store
from mlq.db import leases, monitoring, rollouts
from mlq.db.engine import Database
from mlq.db.routing import Routing, Target
from mlq.errors import MlqError, UnavailableError
from mlq.service import monitoring as service
from mlq.spec.monitoring import read_limits

log = logging.getLogger(__name__)

TICK_S = 2.0
_SAMPLES = 2000
_ROWS = 20_000
_PROFILES = 32


class Monitor:
    """Reports on drift. table: what is served now; interval_s: between looks at an endpoint.

    While a rollout is under way that drift of predictions may end, its endpoint is looked at in
    every tick.
    """

    def __init__(
        self,
        database: Database,
        store: Store,
        table: Callable[[], Routing],
        *,
        holder: str,
        interval_s: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._store = store
        self._table = table
        self._holder = holder
        self._interval_s = interval_s
        self._clock = clock
        self._due: dict[str, float] = {}
        #: newest sample and truth that a report has seen
        self._seen: dict[tuple[str, str, int], tuple[int, datetime | None]] = {}
        self._profiles: OrderedDict[str, dict[str, Any] | None] = OrderedDict()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlq-monitor", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; a look that is under way is finished."""
        self._stopped.set()
        self._thread.join()
        try:
            self._database.transact(leases.release, service.DUTY, holder=self._holder)
        except MlqError:
            log.debug("the duty ends by itself")

    def look(self) -> None:
        """Look at the endpoints that are due. Raises whatever the database raises."""
        table = self._table()
        watched = {
            endpoint: [name for name, settings in route.settings.items() if _is_sampled(settings)]
            for endpoint, route in table.endpoints.items()
        }
        watched = {endpoint: names for endpoint, names in watched.items() if names}
        if not watched:
            return
        with self._database.read() as conn:
            judged = {
                endpoint
                for endpoint in rollouts.find_running(conn)
                if (found := rollouts.find_open(conn, endpoint)) is not None
                and found.policy["abort"].get("prediction_psi") is not None
            }
        now = self._clock()
        due = [name for name in watched if name in judged or now >= self._due.get(name, now)]
        if not due:
            return
        for endpoint in due:
            self._due[endpoint] = now + self._interval_s
        held = self._database.transact(
            leases.hold, service.DUTY, holder=self._holder, lease_s=service.LEASE_S
        )
        if held is None:
            return
        for endpoint in due:
            if self._stopped.is_set():
                return
            route = table.endpoints[endpoint]
            for deployment in watched[endpoint]:
                if deployment in route.targets:
                    target, settings = route.targets[deployment], route.settings[deployment]
                    self._look_at(endpoint, deployment, target, settings)
            if endpoint not in judged:
                self._database.transact(monitoring.trim, endpoint)

    def _look_at(
        self, endpoint: str, deployment: str, target: Target, settings: Mapping[str, Any]
    ) -> None:
        limits = read_limits(settings.get("drift") or {})
        with self._database.read() as conn:
            rollout = rollouts.find_open(conn, endpoint)
            is_candidate = rollout is not None and rollout.candidate == deployment
            samples = monitoring.read_samples(
                conn,
                endpoint,
                deployment,
                target.version,
                seconds=limits.window_s,
                since=rollout.created_at if rollout is not None and is_candidate else None,
                limit=_SAMPLES,
            )
            told = monitoring.newest_truth(conn, endpoint)
            key = (endpoint, deployment, target.version)
            mark = (samples[0].id if samples else 0, told)
            if self._seen.get(key, (0, None)) == mark:
                return
            truths = monitoring.read_truths(
                conn, endpoint, deployment, target.version, limit=_SAMPLES
            )
        compared, count = self._compare(target, samples) if samples else (None, 0)
        self._database.transact(
            service.note,
            holder=self._holder,
            endpoint=endpoint,
            deployment=deployment,
            target=target,
            compared=compared,
            rows_compared=count,
            live=service.score(truths),
            limits=limits,
            is_candidate=is_candidate,
        )
        self._seen[key] = mark

    def _compare(self, target: Target, samples: list[Any]) -> tuple[dict[str, Any], int]:
        profile = self._profile(target)
        columns: dict[str, list[Any]] = {}
        predictions: list[Any] = []
        for sample in samples:
            if len(predictions) >= _ROWS:
                break
            for name, values in sample.columns.items():
                columns.setdefault(name, []).extend(values)
            predictions += sample.predictions
        found: dict[str, Any] = {"features": [], "prediction": None}
        if profile is not None:
            from mlq.models.profile import compare

            found = compare(profile, columns, predictions)
        return {"has_profile": profile is not None, **found}, len(predictions)

    def _profile(self, target: Target) -> dict[str, Any] | None:
        from mlq.models.profile import read_profile

        if target.digest not in self._profiles:
            profile = read_profile(self._store.fetch(target.digest, kind="tree"))
            self._profiles[target.digest] = profile
            while len(self._profiles) > _PROFILES:
                self._profiles.popitem(last=False)
        return self._profiles[target.digest]

    def _run(self) -> None:
        while not self._stopped.wait(TICK_S):
            try:
                self.look()
            except UnavailableError as error:  # the watcher says that the database is away
                log.debug("drift is not looked at: %s", error)
            except Exception:
                log.exception("drift cannot be looked at", extra={"action": "drift_not_looked_at"})


def _is_sampled(settings: Mapping[str, Any]) -> bool:
    return bool(settings.get("sampling_rate"))
