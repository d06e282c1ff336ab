"""The other servers, each in an environment of its own that is made here where it installs."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.serving.problem import COLUMNS, Problem
from benchmarks.serving.process import Server, free_port, request_of

_APPS = Path(__file__).parent / "apps"
#: What all of them need to read the model that was made here.
_SHARED = ("numpy", "pandas", "scikit-learn")
#: How long one command may take that makes an environment or saves a model.
_PATIENCE_S = 300


@dataclass(frozen=True)
class Peer:
    """A server. start: (its environment, folder, port) -> command and environment variables.

    request: rows -> path and body. answer: the labels in what it answers.
    """

    name: str
    requirements: tuple[str, ...]
    start: Callable[[Path, Path, int], tuple[list[str], Mapping[str, str]]]
    request: Callable[[list[list[float]]], tuple[str, Any]]
    answer: Callable[[Any], list[Any]]

    def install(self, folder: Path) -> Path:
        """Its environment below `folder`, made where it is not there. Raises RuntimeError."""
        home = folder / self.name.lower().replace(" ", "-")
        pinned = [f"{name}=={version(name)}" for name in _SHARED]
        wanted = json.dumps([*self.requirements, *pinned])
        stamp = home / "installed.json"
        if stamp.is_file() and stamp.read_text() == wanted:
            return home
        shutil.rmtree(home, ignore_errors=True)
        uv = shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")
        python = str(home / "bin" / "python")
        if uv is None:
            _run([sys.executable, "-m", "venv", str(home)])
            _run([python, "-m", "pip", "install", "-q", *json.loads(wanted)])
        else:
            _run([uv, "venv", "-q", "--python", sys.executable, str(home)])
            _run([uv, "pip", "install", "-q", "--python", python, *json.loads(wanted)])
        stamp.write_text(wanted)
        return home

    def serve(self, home: Path, problem: Problem, folder: Path) -> Server:
        """Start it with the model, in `folder`."""
        folder.mkdir(parents=True)
        (folder / "model.pkl").write_bytes(pickle.dumps(problem.bare))
        (folder / "named.pkl").write_bytes(pickle.dumps(problem.named))
        if problem.onnx is not None:
            (folder / "model.onnx").write_bytes(problem.onnx)
        (folder / "rows.json").write_text(problem.frame.head(5).to_json(orient="split"))
        for app in _APPS.glob("*.py"):
            shutil.copy(app, folder)
        port = free_port()
        command, environment = self.start(home, folder, port)
        return Server(command, port=port, folder=folder, environment=environment)

    def ask(self, rows: list[list[float]]) -> bytes:
        """The request for `rows`."""
        path, body = self.request(rows)
        return request_of(path, body)


def _run(command: list[str], cwd: Path | None = None) -> None:
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        raise RuntimeError(f"{' '.join(command[:4])} … took over {_PATIENCE_S} s") from None
    if done.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} …: {done.stderr.strip()[-800:]}")


def _start_app(
    app: str, home: Path, folder: Path, port: int
) -> tuple[list[str], Mapping[str, str]]:
    uvicorn = [str(home / "bin" / "uvicorn"), f"{app}:app", "--port", str(port)]
    return [*uvicorn, "--no-access-log", "--log-level", "warning"], {}


def _start_lit(home: Path, folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    return [str(home / "bin" / "python"), "lit.py", str(port)], {}


def _start_bento(home: Path, folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    command = [str(home / "bin" / "bentoml"), "serve", "bento:Scorer", "--host", "127.0.0.1"]
    return [*command, "--port", str(port)], {
        "BENTOML_HOME": str(folder / "home"),
        "BENTOML_DO_NOT_TRACK": "True",
        "PATH": f"{home / 'bin'}:/usr/bin:/bin",
    }


def _start_mlserver(home: Path, folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    model = {
        "name": "model",
        "implementation": "mlserver_sklearn.SKLearnModel",
        "parameters": {"uri": "./model.pkl"},
    }
    (folder / "model-settings.json").write_text(json.dumps(model))
    settings = {
        "host": "127.0.0.1",
        "http_port": port,
        "grpc_port": free_port(),
        "metrics_port": free_port(),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    return [str(home / "bin" / "mlserver"), "start", "."], {}


def _start_mlflow(home: Path, folder: Path, port: int) -> tuple[list[str], Mapping[str, str]]:
    _run([str(home / "bin" / "python"), "save_mlflow.py"], cwd=folder)
    command = [str(home / "bin" / "mlflow"), "models", "serve", "-m", "saved", "-p", str(port)]
    path = f"{home / 'bin'}:/usr/bin:/bin"
    return [*command, "--env-manager", "local"], {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true"}


def _tensor(rows: list[list[float]]) -> Any:
    flat = [value for row in rows for value in row]
    shape = [len(rows), len(COLUMNS)]
    return {"inputs": [{"name": "rows", "shape": shape, "datatype": "FP64", "data": flat}]}


PEERS = (
    Peer(
        "plain FastAPI",
        ("fastapi", "uvicorn[standard]"),
        partial(_start_app, "plain"),
        lambda rows: ("/predict", {"rows": rows}),
        lambda answer: answer["predictions"],
    ),
    Peer(
        "FastAPI + ONNX",
        ("fastapi", "uvicorn[standard]", "onnxruntime"),
        partial(_start_app, "onnx_app"),
        lambda rows: ("/predict", {"rows": rows}),
        lambda answer: answer["predictions"],
    ),
    Peer(
        "LitServe",
        ("litserve",),
        _start_lit,
        lambda rows: ("/predict", {"rows": rows}),
        lambda answer: answer["predictions"],
    ),
    Peer(
        "MLServer",
        ("mlserver", "mlserver-sklearn", "uvloop<0.22"),  # its workers ask for a loop as before
        _start_mlserver,
        lambda rows: ("/v2/models/model/infer", _tensor(rows)),
        lambda answer: answer["outputs"][0]["data"],
    ),
    Peer(
        "MLflow",
        ("mlflow",),
        _start_mlflow,
        lambda rows: ("/invocations", {"dataframe_split": {"columns": COLUMNS, "data": rows}}),
        lambda answer: answer["predictions"],
    ),
    Peer(
        "BentoML",
        ("bentoml",),
        _start_bento,
        lambda rows: ("/predict", {"rows": rows}),
        lambda answer: answer,
    ),
)
