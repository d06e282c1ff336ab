import time

import numpy as np
import pytest

from mlq.models.metrics import direction
from mlq_workers.components import bootstrap
from mlq_workers.components.bootstrap import Predicted, compare

ROWS = 60


def _case(seed: int, classes: tuple[str, ...]) -> tuple[np.ndarray, Predicted]:
    generator = np.random.default_rng(seed)
    target = np.random.default_rng(0).choice(classes, ROWS)
    ideal = (target[:, None] == np.asarray(classes)).astype(float)
    raw = ideal + generator.uniform(0, 2, (ROWS, len(classes)))
    chances = (raw / raw.sum(axis=1, keepdims=True)).round(2)  # rounded, so that there are ties
    chances /= chances.sum(axis=1, keepdims=True)
    labels = np.asarray(classes)[chances.argmax(axis=1)]
    scores = chances[:, 1] if len(classes) == 2 else None
    return target, Predicted(classes, labels, chances, scores)


def _numbers(seed: int) -> tuple[np.ndarray, Predicted]:
    target = np.random.default_rng(0).normal(size=ROWS)
    return target, Predicted((), target + np.random.default_rng(seed).normal(0, 0.5, ROWS))


@pytest.mark.parametrize("metric", sorted(bootstrap._VECTORIZED))
def test_all_draws_at_once_equal_scikit_learn_draw_by_draw(metric: str) -> None:
    if metric in ("f1_macro", "balanced_accuracy"):
        target, model = _case(1, ("a", "b", "c"))
    elif "error" in metric or metric == "r2":
        target, model = _numbers(1)
    else:
        target, model = _case(1, ("a", "b"))
    (weights,) = bootstrap._draw(ROWS, 25, seed=4)
    assert weights.sum(axis=1).tolist() == [ROWS] * 25
    quick = bootstrap._VECTORIZED[metric](weights, target, model)
    slow = bootstrap._slow(metric)(weights, target, model)
    assert quick == pytest.approx(slow, abs=1e-9)


def test_interval_is_repeatable_and_says_which_is_better() -> None:
    target, poor = _case(1, ("a", "b"))
    good = Predicted(("a", "b"), target, np.eye(2)[(target == "b").astype(int)])
    for metric in ("accuracy", "log_loss"):
        found = [compare(metric, target, new=good, old=poor, draws=300, seed=1) for _ in range(2)]
        assert found[0] == found[1]
        assert found[0] is not None
        assert 0 < found[0].low < found[0].high, direction(metric)
        assert found[0].as_dict()["draws"] == 300


def test_same_model_has_no_gain() -> None:
    target, model = _numbers(1)
    interval = compare("r2", target, new=model, old=model, draws=50, seed=0)
    assert interval is not None
    assert (interval.low, interval.high) == (0, 0)


def test_metric_without_a_formula_is_drawn_less_often() -> None:
    target, model = _case(1, ("a", "b"))
    interval = compare("matthews_corrcoef", target, new=model, old=model, draws=999, seed=0)
    assert interval is not None
    assert interval.draws == bootstrap.SLOW_DRAWS


def test_no_draws_and_nothing_defined() -> None:
    target, model = _case(1, ("a", "b"))
    assert compare("roc_auc", target, new=model, old=model, draws=0, seed=0) is None
    one = np.full(ROWS, "a")
    assert compare("roc_auc", one, new=model, old=model, draws=9, seed=0) is None


def test_draws_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    target, model = _numbers(1)
    _, other = _numbers(2)
    whole = compare("r2", target, new=model, old=other, draws=40, seed=0)
    monkeypatch.setattr(bootstrap, "CHUNK_CELLS", ROWS * 7)
    assert compare("r2", target, new=model, old=other, draws=40, seed=0) == whole


def test_quick_enough_for_many_rows() -> None:
    generator = np.random.default_rng(0)
    target = generator.choice(["a", "b"], 5000)
    scores = generator.uniform(size=5000)
    model = Predicted(("a", "b"), target, np.c_[1 - scores, scores], scores)
    started = time.process_time()
    compare("roc_auc", target, new=model, old=model, draws=1000, seed=0)
    assert time.process_time() - started < 5
