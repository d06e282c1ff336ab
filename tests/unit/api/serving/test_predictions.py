from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlq.errors import MlqError, StepError
from mlq.models.package import LoadedModel
from mlq.models.signature import Field, Signature
from mlq_api.lanes import Lane
from mlq_api.serving import rows
from mlq_api.serving.predictions import Answer, Predictions, predict
from mlq_api.serving.rows import Table

SIGNATURE = Signature((Field("a", "double"),))


class Echo:
    """Says each row's value; refuses negative ones. calls: rows of each call."""

    def __init__(self) -> None:
        self.calls: list[int] = []

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        self.calls.append(len(frame))
        if (frame["a"] < 0).any():
            raise ValueError("a negative value")
        return np.asarray(frame["a"], dtype=np.float64)


def table(*values: Any) -> Table:
    return rows.from_rows(SIGNATURE, [{"a": value} for value in values])[0]


@pytest.fixture
def lane() -> Iterator[Lane]:
    lane = Lane("test", threads=1, capacity=8, timeout_s=30)
    yield lane
    lane.close()


def ask_all(lane: Lane, model: LoadedModel, tables: list[Table]) -> list[Answer | BaseException]:
    async def ask() -> list[Answer | BaseException]:
        predictions = Predictions(lane, capacity=64, timeout_s=30)
        asking = (predictions.predict(model, one, with_probabilities=False) for one in tables)
        return list(await asyncio.gather(*asking, return_exceptions=True))

    return asyncio.run(ask())


def test_requests_that_come_together_are_one_call_and_get_their_own_rows(lane: Lane) -> None:
    echo = Echo()
    model = LoadedModel(echo, SIGNATURE, "regression")
    answers = ask_all(lane, model, [table(1.0), table(2.5, 3), table(4)])
    assert [answer[0].tolist() for answer in answers if isinstance(answer, tuple)] == [
        [1.0],
        [2.5, 3.0],
        [4.0],
    ]
    assert echo.calls == [4]


def test_a_quick_model_computes_on_the_event_loop_from_then_on(lane: Lane) -> None:
    threads: list[str] = []

    class Noting(Echo):
        def predict(self, frame: pd.DataFrame) -> np.ndarray:
            threads.append(threading.current_thread().name)
            return super().predict(frame)

    model = LoadedModel(Noting(), SIGNATURE, "regression")

    async def ask() -> None:
        predictions = Predictions(lane, capacity=64, timeout_s=30)
        while threads[-1:] != ["MainThread"]:  # its first call may have been a slow one
            await predictions.predict(model, table(1.0), with_probabilities=False)

    asyncio.run(ask())
    assert threads[0] != "MainThread"


def test_a_model_that_hangs_is_given_up(lane: Lane) -> None:
    goes_on = threading.Event()

    class Hanging(Echo):
        def predict(self, frame: pd.DataFrame) -> np.ndarray:
            goes_on.wait(60)
            return super().predict(frame)

    model = LoadedModel(Hanging(), SIGNATURE, "regression")

    async def ask() -> list[Answer | BaseException]:
        predictions = Predictions(lane, capacity=64, timeout_s=0.1)
        try:
            asking = (
                predictions.predict(model, table(1.0), with_probabilities=False) for _ in range(3)
            )
            return list(await asyncio.gather(*asking, return_exceptions=True))
        finally:
            goes_on.set()

    answers = asyncio.run(ask())
    assert [one.code for one in answers if isinstance(one, MlqError)] == ["timeout"] * 3


def test_one_that_is_refused_harms_no_other(lane: Lane) -> None:
    model = LoadedModel(Echo(), SIGNATURE, "regression")
    good, text, refused, last = ask_all(lane, model, [table(1), table("x"), table(-1), table(2)])
    assert isinstance(good, tuple)
    assert isinstance(last, tuple)
    assert good[0].tolist() == [1.0]
    assert last[0].tolist() == [2.0]
    assert isinstance(text, rows.RowsError)
    assert text.problems[0].path == "a[0]"
    assert isinstance(refused, StepError)


def test_more_than_fit_are_told_to_come_again(lane: Lane) -> None:
    model = LoadedModel(Echo(), SIGNATURE, "regression")
    answers = ask_all(lane, model, [table(1)] * 70)
    codes = [answer.code for answer in answers if isinstance(answer, MlqError)]
    assert codes == ["overloaded"] * 6
    assert sum(isinstance(answer, tuple) for answer in answers) == 64


def test_without_probabilities_a_model_says_so(classifier: LoadedModel) -> None:
    bare = replace(classifier, task="regression")
    few = rows.from_rows(bare.signature, [{"months": 1, "plan": "basic"}])[0]
    with pytest.raises(StepError) as refused:
        predict(bare, few, with_probabilities=True)
    assert refused.value.code == "no_probabilities"
