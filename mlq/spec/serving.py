"""Endpoint and deployment files of the Azure ML v2 schema (managedOnline…): document -> record.

mlq's serving replicas answer for every deployment, so what Azure needs to rent a machine for one
(instance type and count, probes, scaling) is read over; `ignored` names it. What would make
predictions different (a scoring script, an environment) is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlq.errors import SpecError, SpecProblem, nearest
from mlq.spec.document import Document
from mlq.spec.monitoring import read_limits

_ENDPOINT_KEYS = {
    "$schema", "name", "description", "tags", "traffic", "mirror_traffic", "type"
}  # fmt: skip
_ENDPOINT_IGNORED = {
    "auth_mode", "compute", "defaults", "identity", "kind", "properties", "public_network_access"
}  # fmt: skip
_DEPLOYMENT_KEYS = {
    "$schema", "name", "endpoint_name", "model", "description", "tags", "request_settings",
    "data_collector", "drift", "type",
}  # fmt: skip
_DEPLOYMENT_IGNORED = {
    "app_insights_enabled", "egress_public_network_access", "instance_count", "instance_type",
    "kind", "liveness_probe", "model_mount_path", "properties", "readiness_probe", "resources",
    "scale_settings",
}  # fmt: skip
_REFUSED = {
    "code_configuration": "mlq serves MLflow-format models without a scoring script; leave it out",
    "environment": "a model is served with what its package asks for; leave it out",
    "environment_variables": "a model package has no code of its own to read them; leave it out",
}


@dataclass(frozen=True, slots=True)
class EndpointFile:
    """An endpoint file. None: not written in it. ignored: keys that mean nothing here."""

    name: str | None = None
    description: str | None = None
    tags: Mapping[str, str] | None = None
    traffic: Mapping[str, int] | None = None
    mirror_traffic: Mapping[str, int] | None = None
    ignored: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeploymentFile:
    """A deployment file. model: `models:/NAME/3` or `models:/NAME@ALIAS`.

    settings: `request_timeout_ms` (an answer that takes longer is an error), `sampling_rate`
    (share of requests, 0 to 1, whose rows and predictions are kept) and `drift`, the limits that
    these are watched by, which is mlq's own: see `mlq.spec.monitoring`.
    """

    name: str | None = None
    endpoint_name: str | None = None
    model: str | None = None
    description: str | None = None
    tags: Mapping[str, str] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()


def read_endpoint(document: Document) -> EndpointFile:
    """An endpoint file. Raises SpecError with line and key path."""
    reader = _Reader(document)
    reader.check_keys(_ENDPOINT_KEYS, _ENDPOINT_IGNORED)
    found = EndpointFile(
        name=reader.text("name"),
        description=reader.text("description"),
        tags=reader.tags(),
        traffic=reader.percents("traffic"),
        mirror_traffic=reader.percents("mirror_traffic"),
        ignored=reader.ignored(_ENDPOINT_IGNORED),
    )
    reader.finish()
    return found


def read_deployment(document: Document) -> DeploymentFile:
    """A deployment file. Raises SpecError with line and key path."""
    reader = _Reader(document)
    reader.check_keys(_DEPLOYMENT_KEYS, _DEPLOYMENT_IGNORED)
    found = DeploymentFile(
        name=reader.text("name"),
        endpoint_name=reader.text("endpoint_name"),
        model=reader.model(),
        description=reader.text("description"),
        tags=reader.tags(),
        settings=reader.settings(),
        ignored=reader.ignored(_DEPLOYMENT_IGNORED),
    )
    reader.finish()
    return found


def model_uri(reference: str) -> str | None:
    """`azureml:churn:3`, `mlq:churn@production`, `models:/churn/3` … as `models:/…`; else None."""
    text = reference
    for prefix in ("azureml:", "mlq:"):
        text = text.removeprefix(prefix)
    if text.startswith("models:/"):
        return text
    for mark, joined in (("@", "@"), (":", "/")):
        name, found, label = text.partition(mark)
        if found and name and label and "/" not in name:
            return f"models:/{name}{joined}{label}"
    return None


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._data = document.data
        self._problems: list[SpecProblem] = []

    def check_keys(self, known: set[str], ignored: set[str]) -> None:
        for key in self._data:
            if key in _REFUSED:
                self._refuse(key, f"is not supported: {_REFUSED[key]}.")
            elif key not in known | ignored:
                self._refuse(key, "is not a key here.", near=nearest(str(key), known))

    def ignored(self, names: set[str]) -> tuple[str, ...]:
        return tuple(sorted(key for key in self._data if key in names))

    def text(self, key: str) -> str | None:
        value = self._data.get(key)
        if value is None or isinstance(value, str):
            return value
        self._refuse(key, f"should be text, not {value!r:.60}.")
        return None

    def tags(self) -> dict[str, str] | None:
        value = self._mapping("tags", self._data)
        return None if value is None else {str(key): str(item) for key, item in value.items()}

    def percents(self, key: str) -> dict[str, int] | None:
        value = self._mapping(key, self._data)
        for name, share in (value or {}).items():
            self._check(
                f"{key}.{name}",
                share,
                lambda it: isinstance(it, int) and 0 <= it <= 100,
                "a whole number from 0 to 100, in percent",
            )
        return value

    def model(self) -> str | None:
        value = self._data.get("model")
        if value is None:
            return None
        uri = model_uri(value) if isinstance(value, str) else None
        if uri is None:
            self._refuse(
                "model",
                "should name a registered model: models:/NAME/3, models:/NAME@ALIAS or "
                "azureml:NAME:3. Register one first, by mlq:register or `mlq model create`.",
            )
        return uri

    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        given = self._mapping("request_settings", self._data) or {}
        timeout = given.get("request_timeout_ms")
        if timeout is not None and self._check(
            "request_settings.request_timeout_ms",
            timeout,
            lambda it: isinstance(it, int) and it > 0,
            "a whole number of milliseconds above 0",
        ):
            found["request_timeout_ms"] = timeout
        collector = self._mapping("data_collector", self._data) or {}
        collections = collector.get("collections") or {}
        rates = [
            entry.get("sampling_rate", collector.get("sampling_rate", 1.0))
            for entry in (collections.values() if isinstance(collections, Mapping) else [])
            if isinstance(entry, Mapping) and str(entry.get("enabled", "")).lower() == "true"
        ] or ([collector["sampling_rate"]] if "sampling_rate" in collector else [])
        if rates and self._check(
            "data_collector.sampling_rate",
            rates[0],
            lambda it: isinstance(it, int | float) and 0 <= it <= 1,
            "a share from 0 to 1",
        ):
            found["sampling_rate"] = float(rates[0])
        if "drift" in self._data:
            found["drift"] = self._data["drift"]
            try:
                read_limits(found["drift"])
            except SpecError as error:
                for problem in error.problems:
                    self._refuse(problem.path, problem.message, near=problem.suggestion)
        return found

    def finish(self) -> None:
        if self._problems:
            raise SpecError(self._problems)

    def _mapping(self, key: str, among: Mapping[str, Any]) -> dict[str, Any] | None:
        value = among.get(key)
        if value is None or isinstance(value, dict):
            return value
        self._refuse(key, f"should be a mapping, not {value!r:.60}.")
        return None

    def _check(self, path: str, value: Any, fits: Callable[[Any], bool], wanted: str) -> bool:
        if not isinstance(value, bool) and fits(value):
            return True
        self._refuse(path, f"should be {wanted}, not {value!r:.60}.")
        return False

    def _refuse(self, path: str, message: str, *, near: str | None = None) -> None:
        self._problems.append(
            SpecProblem(
                path,
                message,
                line=self._document.line_of(path),
                suggestion=near,
                file=self._document.file,
            )
        )
