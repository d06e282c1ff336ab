"""Other ways to try the same grid on two processes. Each returns the score of every point."""

from __future__ import annotations

import importlib.util
import os
import tempfile
from abc import ABC, abstractmethod
from typing import Any

import joblib
from sklearn.model_selection import GridSearchCV

from benchmarks.sweeps.problems import METRIC, SEED, Problem, load

PROCESSES = 2


class Peer(ABC):
    """A way to try a grid. It keeps its processes warm between runs where it has any."""

    name: str

    @abstractmethod
    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid. path: of the problem, as `store` wrote it."""

    def close(self) -> None:  # noqa: B027 - few have started anything
        """End what was started."""


class JoblibLoop(Peer):
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


class GridSearch(Peer):
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


class OptunaThreads(Peer):
    """Optuna with n_jobs: threads of one process, trials in memory."""

    name = "Optuna n_jobs"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        study = optuna.create_study(sampler=_numbers(problem), direction="maximize")
        loop = load(path)
        study.optimize(
            lambda trial: loop.score(loop.points[_number(trial, len(loop.points))]),
            n_jobs=PROCESSES,
        )
        return _in_order(study)


class OptunaProcesses(Peer):
    """Optuna in two warm processes that share an SQLite storage."""

    name = "Optuna RDB"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        with tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder:
            url = f"sqlite:///{folder}/optuna.db"
            optuna.create_study(study_name="s", storage=url, direction="maximize")
            joblib.Parallel(n_jobs=PROCESSES)(
                joblib.delayed(_optimize)(url, path) for _ in range(PROCESSES)
            )
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


def _optimize(url: str, path: str) -> None:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    loop = load(path)
    points = list(range(len(loop.points)))
    sampler = optuna.samplers.GridSampler({"point": points}, seed=SEED)
    study = optuna.load_study(study_name="s", storage=url, sampler=sampler)
    study.optimize(lambda trial: loop.score(loop.points[_number(trial, len(points))]))


class RayTune(Peer):
    """Ray Tune on two processors, its actors used for one trial after the other."""

    name = "Ray Tune"

    def __init__(self) -> None:
        # read when it starts; else it writes a token into the home folder
        os.environ["RAY_AUTH_MODE"] = "disabled"

    def run(self, problem: Problem, path: str) -> list[float]:
        """Scores in order of the grid."""
        import ray
        from ray import tune

        if not ray.is_initialized():
            ray.init(num_cpus=PROCESSES, include_dashboard=False, log_to_driver=False)
        points = list(range(len(problem.points)))
        with tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder:
            results = tune.Tuner(
                lambda config: {"score": _score(path, config["point"])},
                param_space={"point": tune.grid_search(points)},
                tune_config=tune.TuneConfig(reuse_actors=True),
                run_config=tune.RunConfig(storage_path=folder, verbose=0),
            ).fit()
            found = {result.config["point"]: result.metrics["score"] for result in results}
        return [float(found[point]) for point in points]

    def close(self) -> None:
        """Stop Ray's servers."""
        import ray

        ray.shutdown()


class Dask(Peer):
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

    def close(self) -> None:
        """Stop the workers and their scheduler."""
        if self._client is not None:
            self._client.shutdown()


def _score(path: str, point: int) -> float:
    loop = load(path)
    return loop.score(loop.points[point])


#: Beyond the two that are always there: peers, and the package that each needs.
OPTIONAL: list[tuple[type[Peer], str]] = [
    (OptunaThreads, "optuna"),
    (OptunaProcesses, "optuna"),
    (RayTune, "ray"),
    (Dask, "distributed"),
]


def find_peers(*, with_optional: bool) -> list[Peer]:
    """The joblib loop, GridSearchCV, and the others that are installed where they are wanted."""
    peers: list[Peer] = [JoblibLoop(), GridSearch()]
    if with_optional:
        peers += [peer() for peer, package in OPTIONAL if importlib.util.find_spec(package)]
    return peers


def find_absent() -> list[str]:
    """Names of the peers that are not installed."""
    return [peer.name for peer, package in OPTIONAL if not importlib.util.find_spec(package)]
