"""mlq's tracking as the importer writes it: MLflow's REST API, spoken to mlq."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from mlq.client.session import Session
from mlq.errors import ConflictError, NotFoundError

_API = "/mlflow/api/2.0"
_BATCH = 1000
_BATCH_CHARACTERS = 50_000
_PAGE = 500


class Tracking:
    """Experiments, runs, logged models and registered models of an mlq server."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def experiment(self, name: str, *, tags: Mapping[str, str]) -> str:
        """The number of the experiment of this name, made where there is none."""
        try:
            found = self._get("experiments/get-by-name", experiment_name=name)["experiment"]
        except NotFoundError:
            return str(
                self._post("experiments/create", name=name, tags=_pairs(tags))["experiment_id"]
            )
        number = str(found["experiment_id"])
        known = values(found.get("tags"))
        for key, value in tags.items():
            if key not in known:
                self._post(
                    "experiments/set-experiment-tag", experiment_id=number, key=key, value=value
                )
        return number

    def runs(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Runs of an experiment."""
        return self._pages("runs/search", "runs", experiment_ids=[experiment_id])

    def create_run(self, run_id: str, **said: Any) -> None:
        """Make a run with the id that it has elsewhere. Raises MlqError (code `exists`)."""
        tags = _pairs(said.pop("tags"))
        self._post("runs/create", run_id=run_id, tags=tags, **said)

    def log(
        self,
        run_id: str,
        *,
        params: Mapping[str, str],
        tags: Mapping[str, str],
        metrics: Sequence[Mapping[str, Any]],
    ) -> None:
        """Write what a run says, in batches."""
        for kind, records in (("params", _pairs(params)), ("tags", _pairs(tags))):
            for batch in _batches(records):
                self._post("runs/log-batch", run_id=run_id, **{kind: batch})
        for batch in _batches(metrics):
            self._post("runs/log-batch", run_id=run_id, metrics=batch)

    def history(self, run_id: str, key: str) -> Iterator[dict[str, Any]]:
        """Every value of a metric of a run."""
        query: dict[str, Any] = {"run_id": run_id, "metric_key": key, "max_results": 10_000}
        while True:
            page = self._get("metrics/get-history", **query)
            yield from page["metrics"]
            if not page.get("next_page_token"):
                return
            query["page_token"] = page["next_page_token"]

    def link(self, run_id: str, *, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> None:
        """Note datasets and models that a run took and made; what is known stays as it is."""
        datasets, models = inputs.get("dataset_inputs") or [], inputs.get("model_inputs") or []
        if datasets or models:
            self._post("runs/log-inputs", run_id=run_id, datasets=datasets, models=models)
        if made := outputs.get("model_outputs"):
            self._post("runs/outputs", run_id=run_id, models=made)

    def end_run(self, run_id: str, *, status: str, end_time: int | None) -> None:
        """Set how and when a run ended."""
        ended = {"end_time": end_time} if end_time else {}
        self._post("runs/update", run_id=run_id, status=status, **ended)

    def logged_models(self, experiment_id: str) -> Iterator[dict[str, Any]]:
        """Logged models of an experiment."""
        return self._pages("logged-models/search", "models", experiment_ids=[experiment_id])

    def create_logged_model(self, model_id: str, **said: Any) -> dict[str, Any]:
        """Note a logged model with the id that it has elsewhere; one that is known is returned."""
        params, tags = _pairs(said.pop("params")), _pairs(said.pop("tags"))
        try:
            made = self._post("logged-models", model_id=model_id, params=params, tags=tags, **said)
        except ConflictError:
            made = self._get(f"logged-models/{quote(model_id)}")
        return dict(made["model"]["info"])

    def finish_logged_model(self, model_id: str, *, status: str) -> None:
        """Say that a logged model is complete, or that it failed."""
        path = f"{_API}/mlflow/logged-models/{quote(model_id)}"
        self._session.json("PATCH", path, json={"status": status})

    def files(self, address: str, *, below: str = "") -> Iterator[str]:
        """Paths of the files below an artifact address (`EXPERIMENT/RUN/artifacts`)."""
        path = f"{address}/{below}" if below else address
        found = self._session.json(
            "GET", f"{_API}/mlflow-artifacts/artifacts", params={"path": path}
        )
        for entry in found["files"]:
            inner = f"{below}/{entry['path']}" if below else str(entry["path"])
            if entry["is_dir"]:
                yield from self.files(address, below=inner)
            else:
                yield inner

    def put_file(self, address: str, path: str, body: Callable[[], Iterable[bytes]]) -> None:
        """Store a file below an artifact address; body: makes its chunks, anew for each try."""
        self._session.request(
            "PUT",
            f"{_API}/mlflow-artifacts/artifacts/{quote(f'{address}/{path}')}",
            body=body,
            headers={"Content-Type": "application/octet-stream"},
            timeout_s=300.0,
        )

    def model(self, name: str) -> dict[str, Any] | None:
        """A registered model; None where there is none of that name."""
        try:
            return dict(self._get("registered-models/get", name=name)["registered_model"])
        except NotFoundError:
            return None

    def create_model(self, name: str, *, description: str, tags: Mapping[str, str]) -> None:
        """Make a registered model without versions."""
        self._post(
            "registered-models/create", name=name, description=description, tags=_pairs(tags)
        )

    def versions(self, name: str) -> set[int]:
        """Numbers of a registered model's versions."""
        quoted = name.replace("'", "''")
        found: set[int] = set()
        query: dict[str, Any] = {"filter": f"name = '{quoted}'", "max_results": 10_000}
        while True:
            page = self._get("model-versions/search", **query)
            found.update(int(one["version"]) for one in page["model_versions"])
            if not page.get("next_page_token"):
                return found
            query["page_token"] = page["next_page_token"]

    def create_version(self, name: str, version: int, **said: Any) -> None:
        """Register a version with the number that it has elsewhere. Raises MlqError."""
        tags = _pairs(said.pop("tags"))
        self._post("model-versions/create", name=name, version=version, tags=tags, **said)

    def set_alias(self, name: str, alias: str, version: str) -> None:
        """Put an alias on a version."""
        self._post("registered-models/alias", name=name, alias=alias, version=version)

    def _post(self, path: str, **body: Any) -> dict[str, Any]:
        return dict(self._session.json("POST", f"{_API}/mlflow/{path}", json=body))

    def _get(self, path: str, **query: Any) -> dict[str, Any]:
        return dict(self._session.json("GET", f"{_API}/mlflow/{path}", params=query))

    def _pages(self, path: str, name: str, **body: Any) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._post(path, max_results=_PAGE, page_token=token or None, **body)
            yield from page[name]
            token = page.get("next_page_token") or ""
            if not token:
                return


def values(pairs: Sequence[Mapping[str, Any]] | None) -> dict[str, str]:
    """MLflow's list of {key, value} as a mapping."""
    return {str(one["key"]): str(one.get("value", "")) for one in pairs or []}


def _pairs(found: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in found.items()]


def _batches(records: Sequence[Mapping[str, Any]]) -> Iterator[list[Any]]:
    """Records in pieces that a server takes: so many, and so many characters."""
    batch: list[Any] = []
    size = 0
    for record in records:
        own = sum(len(str(value)) + 20 for value in record.values())
        if batch and (len(batch) == _BATCH or size + own > _BATCH_CHARACTERS):
            yield batch
            batch, size = [], 0
        batch.append(record)
        size += own
    if batch:
        yield batch
