"""Predictions: by ONNX Runtime where a model has that form, else in batches of many requests.

While a model computes, requests for it gather; whoever is next computes all of them in one call.
Nobody waits for company: a request that finds the model idle is computed at once. A call of
scikit-learn costs nearly the same for one row and for fifty, so that this pays whenever more than
one caller asks. Batches shrink where one takes longer than BUDGET_S.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

from mlq.errors import MlqError, UnavailableError
from mlq.models.package import LoadedModel
from mlq_api.lanes import Lane
from mlq_api.serving.rows import Table, merge

if TYPE_CHECKING:
    import numpy as np

#: A batch that takes longer makes the next ones smaller.
BUDGET_S = 0.01
_MOST_ROWS = 2048
#: Values that are looked at on the event loop; more of them would keep others waiting.
_INLINE_CELLS = 4096

#: Predictions, shape (rows,), and probabilities, shape (rows, classes), where they were asked for.
Answer: TypeAlias = "tuple[np.ndarray, np.ndarray | None]"


def predict(model: LoadedModel, table: Table, *, with_probabilities: bool) -> Answer:
    """What the model says to `table`. Raises RowsError; StepError by the model."""
    if model.onnx is not None and (model.has_probabilities or not with_probabilities):
        return model.onnx.run(table.numbers(), with_probabilities=with_probabilities)
    frame = table.frame()
    if with_probabilities:
        return model.predict(frame), model.predict_proba(frame)
    return model.predict(frame), None


@dataclass(frozen=True, slots=True)
class _Asked:
    table: Table
    with_probabilities: bool
    answer: asyncio.Future[Answer]


class _Queue:
    """Requests that wait for one model, and how many rows it may take at a time."""

    def __init__(self) -> None:
        self.waiting: deque[_Asked] = deque()
        self.most_rows = 64

    def take(self) -> list[_Asked]:
        """The next batch: at least one request."""
        batch, rows = [self.waiting.popleft()], 0
        rows = batch[0].table.count
        while self.waiting and rows + self.waiting[0].table.count <= self.most_rows:
            batch.append(self.waiting.popleft())
            rows += batch[-1].table.count
        return batch

    def adapt(self, seconds: float) -> None:
        """Learn from what a batch took."""
        if seconds > BUDGET_S:
            self.most_rows = max(1, self.most_rows // 2)
        else:
            self.most_rows = min(_MOST_ROWS, self.most_rows * 2)


class Predictions:
    """Predictions on an event loop. lane: the threads that compute.

    capacity: requests that wait at most; timeout_s: how long one waits.
    """

    def __init__(self, lane: Lane, *, capacity: int, timeout_s: float) -> None:
        self._lane = lane
        self._capacity = capacity
        self._timeout_s = timeout_s
        self._queues: dict[int, _Queue] = {}
        self._drains: set[asyncio.Task[None]] = set()

    async def predict(
        self, model: LoadedModel, table: Table, *, with_probabilities: bool
    ) -> Answer:
        """As `predict`, beside other requests. Raises UnavailableError as Lane.call does, too."""
        if not model.signature.inputs:  # tables may have different columns
            return await self._lane.call(
                predict, model, table, with_probabilities=with_probabilities
            )
        if model.onnx is not None and table.count * len(table.fields) <= _INLINE_CELLS:
            return predict(model, table, with_probabilities=with_probabilities)
        loop = asyncio.get_running_loop()
        asked = _Asked(table, with_probabilities, loop.create_future())
        self._enqueue(model, asked)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asked.answer
        except TimeoutError:
            raise UnavailableError(
                f"No answer within {self._timeout_s:g} s.",
                code="timeout",
                hint="Ask for fewer rows at a time.",
            ) from None

    def _enqueue(self, model: LoadedModel, asked: _Asked) -> None:
        if sum(len(queue.waiting) for queue in self._queues.values()) >= self._capacity:
            raise UnavailableError(
                "Too many requests wait for the predictions of this server.",
                code="overloaded",
                hint="Try again in a second.",
            )
        queue = self._queues.get(id(model))
        if queue is not None:
            queue.waiting.append(asked)
            return
        queue = self._queues[id(model)] = _Queue()
        queue.waiting.append(asked)
        task = asyncio.create_task(self._drain(model, queue))
        self._drains.add(task)
        task.add_done_callback(self._drains.discard)

    async def _drain(self, model: LoadedModel, queue: _Queue) -> None:
        """Compute what waits for a model, until nothing does."""
        loop = asyncio.get_running_loop()
        try:
            while queue.waiting:
                batch = [asked for asked in queue.take() if not asked.answer.done()]
                if not batch:
                    continue
                began = loop.time()
                try:
                    answers = await self._lane.start(_answer_all, model, batch)
                except Exception as error:  # the lane is full, or closed
                    answers = [error] * len(batch)
                queue.adapt(loop.time() - began)
                for asked, answer in zip(batch, answers, strict=True):
                    if asked.answer.done():  # whoever asked has gone
                        continue
                    if isinstance(answer, Exception):
                        asked.answer.set_exception(answer)
                    else:
                        asked.answer.set_result(answer)
        finally:
            self._queues.pop(id(model), None)


def _answer_all(model: LoadedModel, batch: Sequence[_Asked]) -> list[Answer | Exception]:
    """What the model says to each: in one call, unless that fails through one of them."""
    if len(batch) > 1:
        try:
            merged = predict(
                model,
                merge([asked.table for asked in batch]),
                with_probabilities=any(asked.with_probabilities for asked in batch),
            )
        except MlqError:
            pass  # each alone, so that it is told what is wrong with its own rows
        else:
            return list(_split(merged, batch))
    answers: list[Answer | Exception] = []
    for asked in batch:
        try:
            answers.append(predict(model, asked.table, with_probabilities=asked.with_probabilities))
        except Exception as error:
            answers.append(error)
    return answers


def _split(merged: Answer, batch: Sequence[_Asked]) -> list[Answer]:
    predictions, probabilities = merged
    found: list[Answer] = []
    place = 0
    for asked in batch:
        part = slice(place, place + asked.table.count)
        shares = probabilities[part] if probabilities is not None else None
        found.append((predictions[part], shares if asked.with_probabilities else None))
        place += asked.table.count
    return found
