"""mlq:evaluate: metrics and plots on given rows, comparison with a champion, and the gate."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlq.errors import RejectedError, StepError
from mlq.models import metrics
from mlq.models.metrics import Threshold, direction, gain, metric_name, parse_threshold
from mlq.models.package import LoadedModel, load_package
from mlq_workers.components import arguments, bootstrap
from mlq_workers.components.base import Metric, Result, Step
from mlq_workers.components.kinds import as_target
from mlq_workers.components.scoring import calm, choose_metrics, measure
from mlq_workers.components.tables import read_rows, require_column, take

#: Differences below this are rounding, not improvement or loss.
TOLERANCE = 1e-12


def run(step: Step) -> Result:
    """Measure, compare, decide, and write report and plots.

    Raises RejectedError with the report as its `numbers` when a threshold is not met or the gain
    over the champion is below `min_improvement`.
    """
    inputs = step.inputs
    model = load_package(inputs["model"])
    thresholds = [parse_threshold(text) for text in arguments.read_names(inputs, "threshold")]
    rows, target = _read_rows(step, model)
    names = _choose(step, model, thresholds)
    with calm(step.log):
        model.signature.check(rows)
        measured = _measure(step, model, rows, target, names)
        predicted = _predict(model, rows)
        report: dict[str, Any] = {
            "version": 1,
            "task": model.task,
            "model": step.sources.get("model"),
            "data": step.sources.get("data"),
            "rows": len(rows),
            "target": rows.columns[-1],
            "metrics": measured,
            "directions": {name: direction(name) for name in measured},
            "thresholds": [_judge(threshold, measured) for threshold in thresholds],
            "comparison": _compare(step, model, rows, target, predicted, names, measured),
        }
        plots = step.scratch / "plots"
        plots.mkdir()
        report |= _draw(plots, model, target, predicted)
    reasons = _reasons(report)
    report["passed"] = not reasons
    report_file = step.scratch / "report.json"
    report_file.write_text(json.dumps(report, ensure_ascii=False, allow_nan=False), "utf-8")
    for name, value in measured.items():
        step.log_metric(Metric(name, value))
    if reasons:
        raise RejectedError("; ".join(reasons) + ".", numbers=report)
    step.log("Passed: " + ", ".join(f"{name} {value:.4f}" for name, value in measured.items()))
    return Result({"report": report_file, "plots": plots})


def _read_rows(step: Step, model: LoadedModel) -> tuple[pd.DataFrame, np.ndarray]:
    """Rows that have a target, its column last, and the target typed like the model's classes."""
    name = step.inputs.get("target") or model.target
    if name is None:
        raise StepError(
            "The model does not say what it predicts.",
            code="missing_input",
            hint="Name the target column in the input 'target'.",
        )
    rows = read_rows(step.inputs["data"])
    require_column(name, rows.columns, what="target column")
    gaps = rows[name].isna().to_numpy()
    if len(gaps) and gaps.any():
        step.log(f"Left out {int(gaps.sum())} rows without a target.")
        rows = take(rows, ~gaps)
    if rows.empty:
        raise StepError(
            "There are no rows to evaluate on.",
            code="empty_data",
            hint="Give rows with a target; mlq:preprocess makes none when test_size is 0.",
        )
    target = _as_known(as_target(rows[name]), model, step)
    return rows[[*(column for column in rows.columns if column != name), name]], target


def _as_known(target: np.ndarray, model: LoadedModel, step: Step) -> np.ndarray:
    """The target in the type of the model's labels; `1` and `"1"` are the same class."""
    if model.task == "regression":
        if target.dtype.kind not in "iuf":
            raise StepError(
                "The target holds text, and the model predicts numbers.", code="invalid_target"
            )
        return target.astype(np.float64)
    by_text = {_text(label): label for label in model.classes}
    labels = target.tolist()
    strange = sorted({_text(label) for label in labels} - set(by_text))
    known = [by_text.get(_text(label), label) for label in labels]
    if len(strange) == len({_text(label) for label in labels}) or len(set(map(type, known))) > 1:
        raise StepError(
            f"The target holds what is no class of the model: {', '.join(strange[:5])}.",
            code="invalid_target",
            hint=f"The model's classes are: {', '.join(by_text)}.",
        )
    if strange:
        step.log(f"Classes the model has never seen, counted as wrong: {', '.join(strange[:5])}.")
    return np.asarray(known)


def _text(label: Any) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _choose(step: Step, model: LoadedModel, thresholds: Sequence[Threshold]) -> list[str]:
    """Defaults first, then what the job asks for."""
    wanted = arguments.read_names(step.inputs, "scoring")
    wanted += [threshold.metric for threshold in thresholds]
    if step.inputs.get("metric"):
        wanted.append(step.inputs["metric"])
    pipeline, task, classes = model.pipeline, model.task, model.classes
    names = choose_metrics([], pipeline, task=task, classes=classes)
    if wanted:
        names += choose_metrics(wanted, pipeline, task=task, classes=classes)
    return metrics.unique(names)


def _measure(
    step: Step, model: LoadedModel, rows: pd.DataFrame, target: np.ndarray, names: Sequence[str]
) -> dict[str, float]:
    """Each metric that is defined on these rows."""
    found = measure(names, model.pipeline, rows, target, classes=model.classes)
    for name in [name for name, value in found.items() if math.isnan(value)]:
        step.log(f"{name} is undefined on these rows and left out.")
        del found[name]
    if not found:
        model.predict(rows)  # says which column or value does not fit, if that is why
        raise StepError(
            "No metric can be computed on these rows.",
            code="invalid_data",
            hint="Give more rows, with more than one class or value of the target.",
        )
    return found


def _predict(model: LoadedModel, rows: pd.DataFrame) -> bootstrap.Predicted:
    return bootstrap.predict_all(model.pipeline, rows, model.classes)


def _judge(threshold: Threshold, measured: Mapping[str, float]) -> dict[str, Any]:
    value = measured.get(threshold.metric)
    return {
        "metric": threshold.metric,
        "op": threshold.op,
        "bound": threshold.bound,
        "value": value,
        "passed": value is not None and threshold.is_met(value),
    }


def _compare(
    step: Step,
    model: LoadedModel,
    rows: pd.DataFrame,
    target: np.ndarray,
    predicted: bootstrap.Predicted,
    names: Sequence[str],
    measured: Mapping[str, float],
) -> dict[str, Any] | None:
    """The comparison with the champion; None where the job asks for none.

    The gain is positive when the new model is better, whatever the metric's direction.
    """
    inputs = step.inputs
    least = inputs.get("min_improvement")
    if least is None:
        return None
    metric = _comparison_metric(step, names)
    if "champion" not in inputs:
        step.log("There is no champion yet: the comparison passes.")
        return {"champion": None, "metric": metric, "min_improvement": least, "passed": True}
    champion = load_package(inputs["champion"])
    old = _measure_champion(champion, model, rows, target, metric)
    new = measured.get(metric)
    if new is None or math.isnan(old):
        raise StepError(
            f"{metric} is undefined on these rows, so the models cannot be compared.",
            code="invalid_data",
            hint="Choose another `metric`, or give rows with every class.",
        )
    interval = bootstrap.compare(
        metric,
        target,
        new=predicted,
        old=_predict(champion, rows),
        draws=int(inputs["bootstrap_samples"]),
        seed=int(inputs["seed"]),
    )
    difference = gain(metric, new=new, old=old)
    spread = f", 95 % interval {interval.low:+.4f} to {interval.high:+.4f}" if interval else ""
    step.log(f"{metric} {new:.4f}, champion {old:.4f}: gain {difference:+.4f}{spread}.")
    return {
        "champion": step.sources.get("champion", "champion"),
        "metric": metric,
        "value": new,
        "champion_value": old,
        "gain": difference,
        "interval": interval.as_dict() if interval else None,
        "min_improvement": least,
        "passed": difference >= least - TOLERANCE,
    }


def _comparison_metric(step: Step, names: Sequence[str]) -> str:
    """`metric`, else the first threshold's, else the task's first."""
    if step.inputs.get("metric"):
        return metric_name(step.inputs["metric"])
    for text in arguments.read_names(step.inputs, "threshold"):
        return parse_threshold(text).metric
    return names[0]


def _measure_champion(
    champion: LoadedModel, model: LoadedModel, rows: pd.DataFrame, target: np.ndarray, metric: str
) -> float:
    if champion.task != model.task:
        raise StepError(
            f"The champion does {champion.task}, the model {model.task}.",
            code="invalid_champion",
            hint="Compare with a model of the same kind, or leave 'champion' out.",
        )
    champion.predict(rows)  # says which column does not fit, which a scorer would swallow
    names = choose_metrics(
        [metric], champion.pipeline, task=champion.task, classes=champion.classes
    )
    return measure(names, champion.pipeline, rows, target, classes=champion.classes)[metric]


def _reasons(report: Mapping[str, Any]) -> list[str]:
    """Why the gate says no; empty when it says yes."""
    reasons = []
    for judged in report["thresholds"]:
        if not judged["passed"]:
            value = judged["value"]
            shown = "undefined" if value is None else f"{value:.4f}"
            reasons.append(
                f"{judged['metric']} is {shown}, wanted {judged['op']} {judged['bound']:g}"
            )
    compared = report["comparison"]
    if compared is not None and not compared["passed"]:
        interval = compared["interval"]
        spread = (
            f" (95 % interval {interval['low']:+.4f} to {interval['high']:+.4f})"
            if interval
            else ""
        )
        reasons.append(
            f"{compared['metric']} is {compared['value']:.4f}, the champion's "
            f"{compared['champion_value']:.4f}: gain {compared['gain']:+.4f}{spread}, wanted at "
            f"least {compared['min_improvement']:+g}"
        )
    return reasons


def _draw(
    folder: Path, model: LoadedModel, target: np.ndarray, predicted: bootstrap.Predicted
) -> dict[str, Any]:
    """Draw the plots; return what they show as JSON, and their names."""
    from sklearn.calibration import calibration_curve
    from sklearn.metrics import confusion_matrix, precision_recall_curve, roc_curve

    from mlq_workers.components import plots

    if model.task == "regression":
        files = [plots.plot_residuals(folder, target=target, predicted=predicted.labels)]
        return {"plots": files}
    labels = sorted({*model.classes, *target.tolist()}, key=str)
    counts = confusion_matrix(target, predicted.labels, labels=labels)
    shown: dict[str, Any] = {
        "confusion_matrix": {"labels": labels, "counts": counts.tolist()},
    }
    files = [plots.plot_confusion(folder, labels=labels, counts=counts)]
    is_positive = target == model.classes[-1]
    if len(model.classes) == 2 and predicted.scores is not None and 0 < is_positive.mean() < 1:
        false_rate, true_rate, _ = roc_curve(is_positive, predicted.scores)
        precision, recall, _ = precision_recall_curve(is_positive, predicted.scores)
        shown["roc"] = _curve(false_rate, true_rate, plots.CURVE_POINTS)
        shown["precision_recall"] = _curve(recall[::-1], precision[::-1], plots.CURVE_POINTS)
        files.append(
            plots.plot_ranking(folder, roc=shown["roc"], precision_recall=shown["precision_recall"])
        )
        if predicted.probabilities is not None:
            observed, said = calibration_curve(
                is_positive, predicted.probabilities[:, 1], n_bins=10, strategy="quantile"
            )
            shown["calibration"] = _curve(said, observed, plots.CURVE_POINTS)
            files.append(plots.plot_calibration(folder, shown["calibration"]))
    return {**shown, "plots": files}


def _curve(x: np.ndarray, y: np.ndarray, points: int) -> dict[str, list[float]]:
    """A curve thinned to at most `points`, its ends kept."""
    kept = np.unique(np.linspace(0, len(x) - 1, min(points, len(x))).astype(int))
    return {"x": x[kept].tolist(), "y": y[kept].tolist()}
