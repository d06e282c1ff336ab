"""Whether the trials of a sweep can report its objective, as far as it is known at submit."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from mlq.models import metrics
from mlq.spec.flows import Flow
from mlq.spec.model import SweepJob, SweepObjective
from mlq.spec.nodes import Node, Search
from mlq.spec.paths import KeyPath
from mlq.spec.problems import Problems
from mlq.spec.references import shorten

#: Built-in components that report no metric.
_SILENT = frozenset({"mlq:preprocess", "mlq:register", "mlq:deploy", "mlq:score", "mlq:pass"})
#: Those that report metrics under scikit-learn's names, errors positive, and no others.
_SCIKIT = frozenset({"mlq:train", "mlq:evaluate"})
#: Their inputs that name metrics.
_TOLD = frozenset({"scoring", "metric", "threshold"})
_LOWEST = {
    **dict.fromkeys(metrics.ERRORS, 0.0),
    **dict.fromkeys(metrics.SCORES, 0.0),
    "matthews_corrcoef": -1.0,
}
_UNBOUNDED_BELOW = frozenset(
    {
        "d2_absolute_error_score",
        "d2_brier_score",
        "d2_log_loss_score",
        "explained_variance",
        "r2",
    }
)


def check_objective(problems: Problems, sweep: Node, inputs: Mapping[str, Flow]) -> None:
    """Check the metric, its direction and its target against what is tried.

    inputs: the sweep's own, bound.
    """
    job, trial, search = sweep.job, sweep.trial, sweep.search
    assert isinstance(job, SweepJob)
    if job.objective is None or trial is None or search is None:
        return
    reporters, metric = find_reporters(trial, job.objective.primary_metric)
    if not reporters:
        if not trial.broken:
            _add_silence(problems, sweep, trial, metric)
        return
    names = {leaf.component.name if leaf.component is not None else "" for leaf in reporters}
    if names <= _SCIKIT:
        _check_metric(problems, job.objective, metric, (*sweep.key, "objective"))
        if not trial.is_leaf:
            _check_steps(problems, reporters, metric)
    if trial.component is not None and trial.component.name == "mlq:train":
        _check_training(problems, sweep, search, inputs)


def find_reporters(trial: Node, primary_metric: str) -> tuple[list[Node], str]:
    """The leaves that may report the metric, the last one first, and its name there.

    In a pipeline, `validate.roc_auc` is the metric `roc_auc` of the step `validate`.
    """
    if trial.is_leaf:
        return [leaf for leaf in (trial,) if not _is_silent(leaf)], primary_metric
    step, _, metric = primary_metric.rpartition(".")
    named = _find(trial, step) if step else None
    leaves = list(_leaves(named or trial))
    found = [leaf for leaf in reversed(leaves) if not _is_silent(leaf)]
    return found, metric if named is not None else primary_metric


def _find(node: Node, path: str) -> Node | None:
    found: Node | None = node
    for name in path.split("."):
        found = found.children.get(name) if found is not None else None
    return found


def _leaves(node: Node) -> Iterator[Node]:
    if node.is_leaf:
        yield node
    for child in node.children.values():
        yield from _leaves(child)


def _is_silent(leaf: Node) -> bool:
    return leaf.component is not None and leaf.component.name in _SILENT


def _add_silence(problems: Problems, sweep: Node, trial: Node, metric: str) -> None:
    if trial.component is not None:
        problems.add(
            (*sweep.key, "trial"),
            f"{trial.component.name} reports no metric, so that its trials cannot be compared; "
            "sweep over mlq:train, a command that logs one, or a pipeline that ends in such a "
            "step.",
        )
    else:
        problems.add(
            (*sweep.key, "objective", "primary_metric"),
            f"No step of the trial reports the metric '{shorten(metric)}'; add mlq:train, "
            "mlq:evaluate, or a command that logs it.",
        )


def _check_metric(
    problems: Problems, objective: SweepObjective, metric: str, where: KeyPath
) -> None:
    plain = metric.removeprefix("neg_")
    if metric not in metrics.KNOWN:
        if plain in metrics.ERRORS:
            target = objective.target
            aim = f" and `target: {-target:g}`" if target is not None and target < 0 else ""
            problems.add(
                (*where, "primary_metric"),
                f"mlq stores errors positive, without 'neg_': write `primary_metric: {plain}` "
                f"with `goal: minimize`{aim}.",
                suggestion=plain,
            )
        else:
            problems.add(
                (*where, "primary_metric"),
                f"There is no metric '{shorten(metric)}'; metrics have the names of scikit-learn's "
                "scorers, such as roc_auc, accuracy, r2, root_mean_squared_error.",
                word=metric,
                known=sorted(metrics.KNOWN),
            )
        return
    goal = metrics.direction(metric)
    if objective.goal != goal:
        size = "larger" if goal == "maximize" else "smaller"
        problems.add((*where, "goal"), f"'{metric}' is better when it is {size}.", suggestion=goal)
    if objective.target is not None:
        _check_target(problems, metric, objective.target, (*where, "target"))


def _check_target(problems: Problems, metric: str, target: float, where: KeyPath) -> None:
    if target < _LOWEST[metric] and metric not in _UNBOUNDED_BELOW:
        is_error = metric in metrics.ERRORS
        why = "errors are stored positive" if is_error else "every trial would reach it"
        problems.add(
            where,
            f"'{metric}' is never below {_LOWEST[metric]:g}, and the target is {target:g}: {why}.",
            suggestion=f"{-target:g}" if is_error or -target <= 1 else None,
        )
    is_share = metric in metrics.SCORES and metric != "positive_likelihood_ratio"
    if is_share and target > 1:
        problems.add(
            where,
            f"'{metric}' is never above 1, so that no trial could reach the target {target:g}.",
            suggestion=f"{target / 100:g}" if 10 <= target <= 100 else None,
        )


def _check_steps(problems: Problems, reporters: Sequence[Node], metric: str) -> None:
    """A step of a pipeline measures the defaults of its task, unless it is told more."""
    if metric not in metrics.KNOWN or any(metric in names for names in metrics.DEFAULTS.values()):
        return
    if any(_TOLD & (leaf.job.inputs or {}).keys() for leaf in reporters):
        return
    problems.add(
        (*reporters[0].key, "inputs"),
        f"This step does not measure the sweep's metric '{metric}' by itself: give it "
        f"`scoring: {metric}`.",
    )


def _check_training(
    problems: Problems, sweep: Node, search: Search, inputs: Mapping[str, Flow]
) -> None:
    where = (*sweep.key, "inputs")
    sentence = "Trials are compared by cross-validation, so that cv must not be 0."
    cv = inputs.get("cv")
    if cv is not None and cv.kind == "literal" and _is_zero(cv.value):
        problems.add((*where, "cv"), sentence)
    for draw in search.draws.get("cv", ()):
        if any(_is_zero(value) for value in draw.values):
            problems.add(draw.key, sentence)
    params = inputs.get("params")
    if params is not None and params.kind == "literal" and isinstance(params.value, dict):
        for name, (draw, *_) in search.draws.items():
            if name.removeprefix("params.") in params.value:
                problems.add(
                    draw.key, f"'{shorten(name)}' is under `inputs.params` already; keep one."
                )


def _is_zero(value: object) -> bool:
    return value is False or value == 0
