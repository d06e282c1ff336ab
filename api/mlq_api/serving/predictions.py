"""Predictions in batches of many requests.

A call of scikit-learn, and of ONNX Runtime too, costs nearly the same for one row and for fifty, so
requests for one model are computed together. Nobody waits for company: what came in one turn of the
event loop, or while the model computed, is the next batch. A model whose batches are quick computes
on the event loop, where no thread has to be woken; one that would keep others waiting computes
beside it. Batches shrink where one takes longer than BUDGET_S.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from weakref import WeakKeyDictionary

from mlq.errors import MlqError, UnavailableError
from mlq.models.package import LoadedModel
from mlq_api.lanes import Lane
from mlq_api.serving.rows import Table, merge

if TYPE_CHECKING:
    import numpy as np

#: A batch that takes longer makes the next ones smaller.
BUDGET_S = 0.01
#: A batch of at most this long computes on the event loop: less than waking a thread delays it.
QUICK_S = 0.002
_MOST_ROWS = 2048

#: Predictions, shape (rows,), and probabilities, shape (rows, classes), where they were asked for.
Answer: TypeAlias = "tuple[np.ndarray, np.ndarray | None]"


def predict(model: LoadedModel, table: Table, *, with_probabilities: bool) -> Answer:
    """What the model says to `table`. Raises RowsError; StepError by the model."""
    if model.onnx is not None or model.bare is not None:
        answer = model.answer_numbers(table.numbers(), with_probabilities=with_probabilities)
        if answer is not None:
            return answer
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
    """Requests that wait for one model, and what was learned of how long it takes.

    most_rows: of a batch. is_quick: it computes on the event loop. is_busy: somebody computes.
    """

    def __init__(self) -> None:
        self.waiting: deque[_Asked] = deque()
        self.most_rows = 64
        self.is_quick = False
        self.is_busy = False

    def take(self) -> list[_Asked]:
        """The next batch: at least one request. Those whose caller has gone are left out."""
        batch, rows = [self.waiting.popleft()], 0
        rows = batch[0].table.count
        while self.waiting and rows + self.waiting[0].table.count <= self.most_rows:
            batch.append(self.waiting.popleft())
            rows += batch[-1].table.count
        return [asked for asked in batch if not asked.answer.done()]

    def adapt(self, seconds: float) -> None:
        """Learn from what a batch took."""
        self.is_quick = seconds <= QUICK_S
        if seconds > BUDGET_S:
            self.most_rows = max(1, self.most_rows // 2)
        else:
            self.most_rows = min(_MOST_ROWS, self.most_rows * 2)


class Predictions:
    """Predictions on an event loop. lane: the threads that compute.

    capacity: requests that wait at most; timeout_s: how long a batch may compute.
    """

    def __init__(self, lane: Lane, *, capacity: int, timeout_s: float) -> None:
        self._lane = lane
        self._capacity = capacity
        self._timeout_s = timeout_s
        self._queues: WeakKeyDictionary[LoadedModel, _Queue] = WeakKeyDictionary()
        self._count = 0
        self._drains: set[asyncio.Task[None]] = set()

    async def predict(
        self, model: LoadedModel, table: Table, *, with_probabilities: bool
    ) -> Answer:
        """As `predict`, beside other requests. Raises UnavailableError as Lane.call does, too."""
        if not model.signature.inputs:  # tables may have different columns
            return await self._lane.call(
                predict, model, table, with_probabilities=with_probabilities
            )
        asked = _Asked(table, with_probabilities, asyncio.get_running_loop().create_future())
        self._enqueue(model, asked)
        try:
            return await asked.answer
        finally:
            self._count -= 1

    def _enqueue(self, model: LoadedModel, asked: _Asked) -> None:
        if self._count >= self._capacity:
            raise UnavailableError(
                "Too many requests wait for the predictions of this server.",
                code="overloaded",
                hint="Try again in a second.",
            )
        self._count += 1
        queue = self._queues.get(model)
        if queue is None:
            queue = self._queues[model] = _Queue()
        queue.waiting.append(asked)
        if not queue.is_busy:
            queue.is_busy = True
            asyncio.get_running_loop().call_soon(self._begin, model, queue)

    def _begin(self, model: LoadedModel, queue: _Queue) -> None:
        """Compute what came in this turn of the loop, here or beside it."""
        if not queue.is_quick:
            task = asyncio.create_task(self._drain(model, queue))
            self._drains.add(task)
            task.add_done_callback(self._drains.discard)
            return
        began = time.perf_counter()
        if batch := queue.take():
            _tell(batch, _answer_all(model, batch))
            queue.adapt(time.perf_counter() - began)
        queue.is_busy = bool(queue.waiting)
        if queue.is_busy:
            asyncio.get_running_loop().call_soon(self._begin, model, queue)

    async def _drain(self, model: LoadedModel, queue: _Queue) -> None:
        """Compute beside the loop what waits for a model, until nothing does."""
        try:
            while queue.waiting:
                batch = queue.take()
                if not batch:
                    continue
                try:
                    async with asyncio.timeout(self._timeout_s):
                        answers, seconds = await self._lane.start(_time_all, model, batch)
                except TimeoutError:
                    behind = [*batch, *queue.waiting]  # they would wait as long again
                    queue.waiting.clear()
                    _tell(behind, [self._too_slow() for _ in behind])
                except Exception as error:  # the lane is full, or closed
                    _tell(batch, [error] * len(batch))
                else:
                    queue.adapt(seconds)
                    _tell(batch, answers)
        finally:
            queue.is_busy = False

    def _too_slow(self) -> UnavailableError:
        return UnavailableError(
            f"No answer within {self._timeout_s:g} s.",
            code="timeout",
            hint="Ask for fewer rows at a time.",
        )


def _tell(batch: Sequence[_Asked], answers: Sequence[Answer | Exception]) -> None:
    for asked, answer in zip(batch, answers, strict=True):
        if asked.answer.done():  # whoever asked has gone
            continue
        if isinstance(answer, Exception):
            asked.answer.set_exception(answer)
        else:
            asked.answer.set_result(answer)


def _time_all(
    model: LoadedModel, batch: Sequence[_Asked]
) -> tuple[list[Answer | Exception], float]:
    """As `_answer_all`, and the seconds that it computed."""
    began = time.perf_counter()
    return _answer_all(model, batch), time.perf_counter() - began


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
