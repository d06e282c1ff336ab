"""Dashboard and alerts name metrics that exist, with labels that they have."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, generate_latest

from mlq.db.queries.jobs import count_by_state
from mlq.db.queries.queues import Queue
from mlq_api.observer import Observer
from mlq_api.serving.meters import Meters

FOLDER = Path(__file__).parents[2] / "deploy" / "monitoring"
ALERTS = yaml.safe_load((FOLDER / "alerts.yml").read_text())
DASHBOARD = json.loads((FOLDER / "dashboard.json").read_text())
_METRIC = re.compile(r"\bmlq_[a-z_]+\b")
_SELECTOR = re.compile(r"\b(mlq_[a-z_]+)\{([^}]*)\}")


class Installation:
    """A database with one queue, one worker and one job."""

    async def read(self, work: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        if work is count_by_state:
            return {("pipeline", "failed"): 1}
        queue = Queue(
            "cpu",
            queued=1,
            outstanding=1,
            running=1,
            slots=1,
            busy=1,
            workers=1,
            oldest_queued_s=1.0,
        )
        return [queue], [{"busy": 1, "slots": 2}]


@pytest.fixture(scope="module")
def known() -> dict[str, set[str]]:
    """Names of samples that API and model server write, with their labels."""
    observer = Observer()
    observer.observe("GET", "/v1/jobs", 200, 0.1)
    meters = Meters()
    meters.record(("shop", "blue", 1, False), seconds=0.01, rows=1, is_error=True)
    registry = CollectorRegistry()
    registry.register(meters)
    text = (generate_latest(registry) + asyncio.run(observer.render(Installation()))).decode()
    found: dict[str, set[str]] = {}
    for line in text.splitlines():
        if line and not line.startswith("#"):
            name, _, labels = line.partition(" ")[0].partition("{")
            found.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return found


def expressions() -> Iterator[tuple[str, str]]:
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def test_every_metric_that_is_named_exists(known: dict[str, set[str]]) -> None:
    seen = 0
    for where, text in expressions():
        for name in _METRIC.findall(text):
            seen += 1
            assert name in known, f"{where}: there is no {name}"
        for name, selector in _SELECTOR.findall(text):
            labels = set(re.findall(r"(\w+)\s*(?:=~|!=|=)", selector))
            assert labels <= known[name], (where, labels - known[name])
        for group in re.findall(r"by \(([^)]*)\)", text):
            there: set[str] = set().union(*(known[name] for name in _METRIC.findall(text)))
            assert set(re.split(r",\s*", group)) <= there, (where, group)
    assert seen > 20


def test_rules_say_what_to_do_and_how_bad_it_is() -> None:
    names: list[Any] = []
    for group in ALERTS["groups"]:
        for rule in group["rules"]:
            names.append(rule["alert"])
            assert set(rule) == {"alert", "expr", "for", "labels", "annotations"}
            assert rule["labels"]["severity"] in {"warning", "critical"}
            assert rule["annotations"]["summary"]
    assert len(names) == len(set(names))
