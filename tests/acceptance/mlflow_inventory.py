"""All that an MLflow server holds, as MLflow's own client reads it: for comparing two of them."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient

#: Tags by which mlq says whose a run is.
_OWN = ("mlq.",)


def take(uri: str) -> dict[str, Any]:
    """Experiments, runs, logged models and registered models, by name and id, files included."""
    mlflow.set_tracking_uri(uri)  # which is where `models:/…` is looked up
    client = MlflowClient()
    found: dict[str, Any] = {}
    for experiment in client.search_experiments():
        runs = client.search_runs([experiment.experiment_id], max_results=1000)
        found[experiment.name] = {
            "tags": experiment.tags,
            "runs": {run.info.run_id: _run(client, run) for run in runs},
        }
    for model in client.search_registered_models():
        versions = client.search_model_versions(f"name = '{model.name}'")
        found[f"models:/{model.name}"] = {
            "description": model.description or "",
            "tags": model.tags,
            "aliases": {alias: str(version) for alias, version in model.aliases.items()},
            "versions": {
                str(one.version): [
                    one.description or "",
                    one.tags,
                    one.run_id or "",
                    _content(f"models:/{model.name}/{one.version}"),
                ]
                for one in versions
            },
        }
    return found


def _run(client: MlflowClient, run: Any) -> dict[str, Any]:
    info, data = run.info, run.data
    return {
        "name": info.run_name,
        "status": info.status,
        "times": [info.start_time, info.end_time],
        "user": info.user_id,
        "params": data.params,
        "metrics": {
            key: sorted(
                (one.step, one.timestamp, one.value)
                for one in client.get_metric_history(info.run_id, key)
            )
            for key in data.metrics
        },
        "latest": data.metrics,
        "tags": {key: value for key, value in data.tags.items() if not key.startswith(_OWN)},
        "datasets": [one.dataset.name for one in run.inputs.dataset_inputs],
        "models": sorted(one.model_id for one in run.outputs.model_outputs),
        "files": _content(f"runs:/{info.run_id}/"),
    }


def _content(address: str) -> dict[str, bytes]:
    from mlflow.artifacts import download_artifacts

    with tempfile.TemporaryDirectory() as folder:
        back = Path(download_artifacts(artifact_uri=address, dst_path=folder))
        return {
            path.relative_to(back).as_posix(): path.read_bytes()
            for path in sorted(back.rglob("*"))
            if path.is_file() and path.name != "registered_model_meta"
        }
