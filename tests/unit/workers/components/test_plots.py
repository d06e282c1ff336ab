from pathlib import Path

import numpy as np

from mlq_workers.components import plots

PNG = b"\x89PNG\r\n"
CURVE = {"x": [0.0, 0.5, 1.0], "y": [0.0, 0.9, 1.0]}


def test_plots_are_small_png_files(tmp_path: Path) -> None:
    numbers = np.arange(5000.0)
    names = [
        plots.plot_ranking(tmp_path, roc=CURVE, precision_recall=CURVE),
        plots.plot_confusion(tmp_path, labels=["a", "b"], counts=np.asarray([[5, 1], [0, 9]])),
        plots.plot_calibration(tmp_path, CURVE),
        plots.plot_residuals(tmp_path, target=numbers, predicted=numbers[::-1]),
    ]
    for name in names:
        content = (tmp_path / name).read_bytes()
        assert content.startswith(PNG)
        assert len(content) < 100_000


def test_many_classes_and_a_class_without_rows(tmp_path: Path) -> None:
    counts = np.zeros((30, 30), dtype=int)
    assert plots.plot_confusion(tmp_path, labels=list(range(30)), counts=counts)
