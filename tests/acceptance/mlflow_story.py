"""What MLflow's public client does in a day, told as JSON: run against mlq and against MLflow.

    python mlflow_story.py TRACKING_URI

Only what both servers must agree on is told: no ids, times or addresses.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import mlflow
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException


def tell(uri: str) -> dict[str, Any]:
    """Do everything once; what came of it."""
    mlflow.set_tracking_uri(uri)
    client = MlflowClient()
    said: dict[str, Any] = {}

    experiment = mlflow.set_experiment("story")
    client.set_experiment_tag(experiment.experiment_id, "team", "a")
    found = client.get_experiment_by_name("story")
    said["experiment"] = [found.name, found.lifecycle_stage, found.tags.get("team")]
    said["experiments"] = sorted(one.name for one in client.search_experiments())
    said["tagged"] = [
        one.name for one in client.search_experiments(filter_string="tags.team = 'a'")
    ]

    ids = []
    for number in range(5):
        with mlflow.start_run(
            run_name=f"run{number}", tags={"kind": "even" if number % 2 == 0 else "odd"}
        ) as run:
            mlflow.log_params({"lr": 0.1 * number, "depth": number})
            for step in range(3):
                mlflow.log_metric("loss", 1.0 / (1 + step + number), step=step)
            mlflow.log_metrics({"acc": number / 5, "inf": float("inf")})
            ids.append(run.info.run_id)
            if number == 0:
                for child in range(2):
                    with mlflow.start_run(run_name=f"child{child}", nested=True):
                        mlflow.log_metric("acc", 0.01 * child)
    run = client.get_run(ids[2])
    said["run"] = [
        run.info.run_name,
        run.info.status,
        run.info.lifecycle_stage,
        dict(sorted(run.data.params.items())),
        dict(sorted(run.data.metrics.items())),
        run.data.tags["kind"],
        run.info.end_time >= run.info.start_time,
    ]
    said["history"] = [(one.step, one.value) for one in client.get_metric_history(ids[1], "loss")]
    for name, arguments in {
        "by metric": {"filter_string": "metrics.acc > 0.3", "order_by": ["metrics.acc DESC"]},
        "by param": {"filter_string": "params.depth = '3'"},
        "by tag": {"filter_string": "tags.kind = 'odd'", "order_by": ["attributes.run_name ASC"]},
        "by like": {"filter_string": "tags.kind LIKE 'e%' AND metrics.loss < 0.2"},
        "by name": {"filter_string": "run_name = 'run4'"},
        "by status": {
            "filter_string": "attributes.status = 'FINISHED'",
            "order_by": ["params.lr DESC", "run_name ASC"],
        },
        "in": {
            "filter_string": f"attributes.run_id IN ('{ids[1]}', '{ids[2]}')",
            "order_by": ["run_name DESC"],
        },
        "children": {
            "filter_string": f"tags.mlflow.parentRunId = '{ids[0]}'",
            "order_by": ["run_name ASC"],
        },
        "newest": {"max_results": 3},
    }.items():
        rows = client.search_runs([experiment.experiment_id], **arguments)
        said[f"search {name}"] = [one.info.run_name for one in rows]
    pages, token = [], None
    while True:
        page = client.search_runs(
            [experiment.experiment_id], max_results=3, page_token=token, order_by=["run_name ASC"]
        )
        pages.append([one.info.run_name for one in page])
        token = page.token
        if not token:
            break
    said["pages"] = pages

    refused = {}
    for name, act in {
        "param changed": lambda: client.log_param(ids[0], "lr", "other"),
        "no such run": lambda: client.get_run("0" * 32),
        "experiment twice": lambda: client.create_experiment("story"),
        "bad filter": lambda: client.search_runs([experiment.experiment_id], "metrics.acc > 'x'"),
        "no such model": lambda: client.get_registered_model("nowhere"),
    }.items():
        try:
            act()
            refused[name] = "taken"
        except MlflowException as error:
            refused[name] = error.error_code
    said["refused"] = refused

    client.delete_run(ids[4])
    said["after delete"] = len(client.search_runs([experiment.experiment_id]))
    client.restore_run(ids[4])
    client.set_tag(ids[4], "late", "yes")
    client.delete_tag(ids[4], "late")
    said["restored"] = [
        client.get_run(ids[4]).info.lifecycle_stage,
        "late" in client.get_run(ids[4]).data.tags,
    ]

    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "note.txt"
        file.write_text("hello")
        (Path(folder) / "deep" / "er").mkdir(parents=True)
        (Path(folder) / "deep" / "er" / "a b.json").write_text('{"x": 1}')
        client.log_artifact(ids[0], str(file))
        client.log_artifacts(ids[0], str(Path(folder) / "deep"), "more")
        client.log_dict(ids[0], {"y": 2}, "dict.json")
        said["artifacts"] = [
            (one.path, one.is_dir, one.file_size) for one in client.list_artifacts(ids[0])
        ]
        said["artifacts below"] = [
            (one.path, one.is_dir) for one in client.list_artifacts(ids[0], "more/er")
        ]
        back = client.download_artifacts(ids[0], "more", folder)
        said["downloaded"] = sorted(path.name for path in Path(back).rglob("*") if path.is_file())
        said["content"] = (Path(back) / "er" / "a b.json").read_text()

    said |= _models(client)
    said |= _evaluations(client)
    return said


def _models(client: MlflowClient) -> dict[str, Any]:
    import mlflow.sklearn
    import numpy as np
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    said: dict[str, Any] = {}
    rng = np.random.default_rng(0)
    x = rng.normal(size=(80, 3))
    y = (x[:, 0] + 0.1 * rng.normal(size=80) > 0).astype(int)
    with mlflow.start_run(run_name="model") as run:
        model = LogisticRegression().fit(x, y)
        mlflow.sklearn.log_model(
            model,
            name="m",
            input_example=x[:2],
            serialization_format="skops",
            pip_requirements=["scikit-learn"],
            registered_model_name="story",
        )
    with mlflow.start_run(run_name="second"):
        model = LogisticRegression(C=0.1).fit(x, y)
        mlflow.sklearn.log_model(
            model,
            name="m",
            input_example=x[:2],
            serialization_format="skops",
            pip_requirements=["scikit-learn"],
            registered_model_name="story",
        )
    client.set_registered_model_alias("story", "champion", "1")
    client.set_model_version_tag("story", "1", "checked", "yes")
    client.update_model_version("story", "1", description="the first")
    client.set_registered_model_tag("story", "team", "a")
    version = client.get_model_version_by_alias("story", "champion")
    said["version"] = [
        version.name,
        str(version.version),
        version.status,
        version.description,
        dict(version.tags),
        version.run_id == run.info.run_id,
    ]
    registered = client.get_registered_model("story")
    said["registered"] = [
        registered.name,
        dict(registered.tags),
        {key: str(value) for key, value in registered.aliases.items()},
    ]
    said["versions"] = sorted(
        int(one.version) for one in client.search_model_versions("name = 'story'")
    )
    said["models"] = [one.name for one in client.search_registered_models("name LIKE 'st%'")]
    loaded = mlflow.pyfunc.load_model("models:/story@champion")
    said["predictions"] = [int(value) for value in loaded.predict(x[:10])]
    client.delete_registered_model_alias("story", "champion")
    said["aliases"] = {
        key: str(value) for key, value in client.get_registered_model("story").aliases.items()
    }

    mlflow.sklearn.autolog(log_models=False, silent=True)
    with mlflow.start_run(run_name="search") as run:
        GridSearchCV(LogisticRegression(), {"C": [0.01, 1.0]}, cv=3).fit(x, y)
    mlflow.sklearn.autolog(disable=True)
    found = client.get_run(run.info.run_id)
    said["autolog"] = [found.data.params["best_C"], round(found.data.metrics["best_cv_score"], 9)]
    children = client.search_runs(
        [run.info.experiment_id], f"tags.mlflow.parentRunId = '{run.info.run_id}'"
    )
    said["autolog children"] = sorted(one.data.params["C"] for one in children)
    said["inputs"] = len(found.inputs.dataset_inputs)
    return said


def _evaluations(client: MlflowClient) -> dict[str, Any]:
    """A model and a table of predictions, evaluated by MLflow: nested in one run."""
    import mlflow.sklearn
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import LogisticRegression

    said: dict[str, Any] = {}
    rng = np.random.default_rng(1)
    table = pd.DataFrame(rng.normal(size=(60, 3)), columns=["a", "b", "c"])
    table["y"] = (table["a"] + 0.3 * rng.normal(size=60) > 0).astype(int)
    features = table[["a", "b", "c"]]
    with mlflow.start_run(run_name="evaluated") as run:
        logged = mlflow.sklearn.log_model(
            LogisticRegression().fit(features, table["y"]),
            name="m",
            params={"c": 1.0},
            serialization_format="skops",
            pip_requirements=["scikit-learn"],
        )
        result = mlflow.models.evaluate(
            logged.model_uri,
            table,
            targets="y",
            model_type="classifier",
            evaluators="default",
            evaluator_config={"log_explainer": False, "log_model_explainability": False},
        )
        with mlflow.start_run(run_name="predicted", nested=True) as nested:
            guesses = pd.DataFrame({"truth": [1.0, 2.0, 3.0, 4.0], "guess": [1.1, 1.9, 3.2, 3.7]})
            flat = mlflow.evaluate(
                data=guesses, targets="truth", predictions="guess", model_type="regressor"
            )
    said["evaluated"] = _rounded(result.metrics)
    said["evaluated artifacts"] = sorted(result.artifacts)
    said["predicted"] = _rounded(flat.metrics)
    found, below = client.get_run(run.info.run_id), client.get_run(nested.info.run_id)
    said["evaluated run"] = [
        _rounded(found.data.metrics),
        sorted(one.path for one in client.list_artifacts(run.info.run_id)),
        [one.dataset.name for one in found.inputs.dataset_inputs],
        [one.model_id == logged.model_id for one in found.inputs.model_inputs],
        [one.model_id == logged.model_id for one in found.outputs.model_outputs],
        below.data.tags["mlflow.parentRunId"] == run.info.run_id,
    ]
    model = client.get_logged_model(logged.model_id)
    said["evaluated model"] = [
        str(model.status),
        model.params,
        model.source_run_id == run.info.run_id,
        sorted({(one.key, round(one.value, 9), one.dataset_name) for one in model.metrics or []}),
        all(one.run_id == run.info.run_id for one in model.metrics or []),
    ]
    for name, arguments in {
        "by metric": {"filter_string": "metrics.accuracy_score > 0.5"},
        "by none": {"filter_string": "metrics.accuracy_score > 1"},
        "by param": {"filter_string": "params.c = '1.0' AND name = 'm'"},
        "by run": {"filter_string": f"source_run_id = '{run.info.run_id}'"},
        "in order": {"order_by": [{"field_name": "creation_time", "ascending": True}]},
        "by its metric": {
            "order_by": [{"field_name": "metrics.accuracy_score", "ascending": False}],
            "max_results": 1,
        },
    }.items():
        models = client.search_logged_models([run.info.experiment_id], **arguments)
        said[f"models {name}"] = [one.model_id == logged.model_id for one in models]
    return said


def _rounded(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: round(float(value), 9) for name, value in sorted(metrics.items())}


if __name__ == "__main__":
    print(json.dumps(tell(sys.argv[1]), sort_keys=True))
