"""Plots of an evaluation, as small PNG files, and the same curves as numbers.

matplotlib is imported here only. Figures are made without pyplot, which keeps global
state and may look for a display; saving one as PNG draws it with Agg.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

DPI = 80
#: Points of a curve that are kept, and rows that are drawn as dots.
CURVE_POINTS = 100
MAX_DOTS = 2000
_BLUE, _GREY = "#2563eb", "#9ca3af"
#: With more classes the cells of a confusion matrix are too small for numbers.
_MAX_CELLS = 12


def plot_ranking(folder: Path, *, roc: Any, precision_recall: Any) -> str:
    """ROC and precision-recall side by side; each curve is {x, y}. Returns the file's name."""
    figure = Figure(figsize=(7.0, 3.2), dpi=DPI, layout="tight")
    left, right = figure.subplots(1, 2)
    left.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    left.plot(roc["x"], roc["y"], color=_BLUE)
    left.set(title="ROC", xlabel="false positive rate", ylabel="true positive rate")
    right.plot(precision_recall["x"], precision_recall["y"], color=_BLUE)
    right.set(title="Precision and recall", xlabel="recall", ylabel="precision", ylim=(0, 1.03))
    return _save(figure, folder, "ranking.png")


def plot_confusion(folder: Path, *, labels: Sequence[Any], counts: np.ndarray) -> str:
    """The confusion matrix, counts of shape (true, predicted). Returns the file's name."""
    figure = Figure(figsize=(3.6, 3.2), dpi=DPI, layout="tight")
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    axes.set(title="Confusion matrix", xlabel="predicted", ylabel="true")
    if len(labels) <= _MAX_CELLS:
        names = [str(label)[:12] for label in labels]
        axes.set_xticks(range(len(labels)), names, rotation=30 if len(labels) > 3 else 0)
        axes.set_yticks(range(len(labels)), names)
        for (row, column), count in np.ndenumerate(counts):
            color = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(count), ha="center", va="center", color=color)
    return _save(figure, folder, "confusion_matrix.png")


def plot_calibration(folder: Path, curve: Any) -> str:
    """Predicted probability against observed share, {x, y}. Returns the file's name."""
    figure = Figure(figsize=(3.6, 3.2), dpi=DPI, layout="tight")
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=_GREY, linewidth=1, linestyle="--")
    axes.plot(curve["x"], curve["y"], color=_BLUE, marker="o", markersize=4)
    axes.set(title="Calibration", xlabel="predicted probability", ylabel="observed share")
    return _save(figure, folder, "calibration.png")


def plot_residuals(folder: Path, *, target: np.ndarray, predicted: np.ndarray) -> str:
    """Predicted against true values, and the residuals. Returns the file's name."""
    step = max(1, len(target) // MAX_DOTS)
    target, predicted = target[::step], predicted[::step]
    figure = Figure(figsize=(7.0, 3.2), dpi=DPI, layout="tight")
    left, right = figure.subplots(1, 2)
    ends = [min(target.min(), predicted.min()), max(target.max(), predicted.max())]
    left.plot(ends, ends, color=_GREY, linewidth=1, linestyle="--")
    left.plot(target, predicted, ".", color=_BLUE, markersize=4, alpha=0.6)
    left.set(title="Predicted and true", xlabel="true", ylabel="predicted")
    right.axhline(0, color=_GREY, linewidth=1, linestyle="--")
    right.plot(predicted, target - predicted, ".", color=_BLUE, markersize=4, alpha=0.6)
    right.set(title="Residuals", xlabel="predicted", ylabel="true − predicted")
    return _save(figure, folder, "residuals.png")


def _save(figure: Figure, folder: Path, name: str) -> str:
    figure.savefig(folder / name, format="png")
    return name
