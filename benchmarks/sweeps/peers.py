"""Other ways to try the same grid on two processes. Each returns the score of every point."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import joblib
from sklearn.model_selection import GridSearchCV

from benchmarks.sweeps.problems import METRIC, SEED, Problem, load

PROCESSES = 2


class JoblibLoop:
    """A warm joblib loop, each process with every second point: the practical limit."""

    name = "joblib loop"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        parts = joblib.Parallel(n_jobs=PROCESSES)(
            joblib.delayed(_run_part)(path, start) for start in range(PROCESSES)
        )
        scores = [0.0] * len(problem.points)
        for start, part in enumerate(parts):
            scores[start::PROCESSES] = part
        return scores


def _run_part(path: str, start: int) -> list[float]:
    return load(path).run(start, PROCESSES)


class GridSearch:
    """GridSearchCV on the same warm processes, without its refit."""

    name = "GridSearchCV"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        search = GridSearchCV(
            problem.make(),
            dict(problem.grid),
            scoring=METRIC,
            cv=problem.splits,
            refit=False,
            n_jobs=PROCESSES,
        )
        search.fit(*problem.arrays)
        return [float(score) for score in search.cv_results_["mean_test_score"]]


class OptunaThreads:
    """Optuna with n_jobs: threads of one process, trials in memory."""

    name = "Optuna n_jobs"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(sampler=_numbers(problem), direction="maximize")
        loop = load(path)
        study.optimize(
            lambda trial: loop.score(loop.points[_number(trial, len(loop.points))]),
            n_jobs=PROCESSES,
        )
        return _in_order(study)


class OptunaProcesses:
    """Optuna in two processes that share an SQLite storage. They are started anew each time."""

    name = "Optuna RDB"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        with tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder:
            url = f"sqlite:///{folder}/optuna.db"
            optuna.create_study(study_name="s", storage=url, direction="maximize")
            command = [sys.executable, "-m", "benchmarks.sweeps.peers", url, path]
            processes = [subprocess.Popen(command) for _ in range(PROCESSES)]
            codes = [process.wait() for process in processes]
            if any(codes):
                raise RuntimeError("an Optuna process failed")
            return _in_order(optuna.load_study(study_name="s", storage=url))


def _numbers(problem: Problem) -> Any:
    """The grid as one parameter, the number of the point: GridSampler is slow with many."""
    import optuna

    return optuna.samplers.GridSampler({"point": list(range(len(problem.points)))}, seed=SEED)


def _number(trial: Any, count: int) -> int:
    return int(trial.suggest_int("point", 0, count - 1))


def _in_order(study: Any) -> list[float]:
    # two processes may try the same last point
    found = {trial.params["point"]: trial.value for trial in study.trials if trial.value}
    return [float(found[point]) for point in sorted(found)]


def _optuna_process(url: str, path: str) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    loop = load(path)
    points = list(range(len(loop.points)))
    sampler = optuna.samplers.GridSampler({"point": points}, seed=SEED)
    study = optuna.load_study(study_name="s", storage=url, sampler=sampler)
    study.optimize(lambda trial: loop.score(loop.points[_number(trial, len(points))]))


class RayTune:
    """Ray Tune: a trial each, on two processors."""

    name = "Ray Tune"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        import ray
        from ray import tune

        if not ray.is_initialized():
            ray.init(num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False)

        def trainable(config: dict[str, Any]) -> dict[str, float]:
            loop = load(path)
            return {"score": loop.score(loop.points[config["point"]])}

        points = list(range(len(problem.points)))
        results = tune.Tuner(
            trainable,
            param_space={"point": tune.grid_search(points)},
            run_config=tune.RunConfig(verbose=0),
        ).fit()
        found = {result.config["point"]: result.metrics["score"] for result in results}
        return [float(found[point]) for point in points]


class Dask:
    """Dask: a future each, on two warm processes."""

    name = "Dask"

    def __init__(self) -> None:
        self._client: Any = None

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        from distributed import Client

        if self._client is None:
            self._client = Client(n_workers=PROCESSES, threads_per_worker=1, dashboard_address=None)
        futures = self._client.map(
            _score, [path] * len(problem.points), range(len(problem.points)), pure=False
        )
        return [float(score) for score in self._client.gather(futures)]


def _score(path: str, point: int) -> float:
    loop = load(path)
    return loop.score(loop.points[point])


#: Beyond the two that are always there: what makes a peer, and the package that it needs.
OPTIONAL: list[tuple[Callable[[], Any], str]] = [
    (OptunaThreads, "optuna"),
    (OptunaProcesses, "optuna"),
    (RayTune, "ray"),
    (Dask, "distributed"),
]


def find_peers(*, with_optional: bool) -> tuple[list[Any], list[str]]:
    """The peers to measure, the joblib loop first, and the names of those that are not here."""
    peers: list[Any] = [JoblibLoop(), GridSearch()]
    absent = []
    for make, package in OPTIONAL if with_optional else ():
        if importlib.util.find_spec(package) is None:
            absent.append(make.name)  # type: ignore[attr-defined]
        else:
            peers.append(make())
    return peers, absent


if __name__ == "__main__":
    _optuna_process(*sys.argv[1:])
