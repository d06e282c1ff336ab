"""The way from a request's body to its answer, the same for each form that a request may have."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from mlq.errors import SpecError, TooLargeError, UnavailableError
from mlq.ids import new_id
from mlq.models.package import LoadedModel
from mlq.service.monitoring import is_request_id
from mlq_api.serving.front import Said
from mlq_api.serving.json_bodies import SMALL_BODY
from mlq_api.serving.meters import Key
from mlq_api.serving.predictions import Answer, predict
from mlq_api.serving.rows import Table
from mlq_api.serving.samples import Source
from mlq_api.serving.server import Serving

if TYPE_CHECKING:
    import numpy as np


#: Names a request, in the answer too; the truth about it is told by this name.
REQUEST_HEADER = "x-request-id"


def read_request_id(headers: Mapping[str, str]) -> str:
    """The id of a request: the caller's own where it is one, else a new one."""
    given = headers.get(REQUEST_HEADER)
    return given if given is not None and is_request_id(given) else new_id()


class Asked(Protocol):
    """A request that was read: its rows, and how its answer is written."""

    @property
    def table(self) -> Table:
        """The rows."""

    @property
    def with_probabilities(self) -> bool:
        """Whether the probability of each class is wanted."""

    def write(self, answer: Answer) -> Said:
        """What the model says, in the form that was asked for."""


@dataclass(frozen=True, slots=True)
class Answered:
    """An answer, the rows that were asked, and the predictions, shape (rows,)."""

    said: Said
    table: Table
    predictions: np.ndarray
    task: str


async def answer(
    serving: Serving, model: LoadedModel, *, size: int, read: Callable[[], Asked]
) -> Answered:
    """Read and answer a request, large ones beside the event loop. size: of its body, bytes.

    Raises what `read` does, and as `Predictions.predict`.
    """
    if size > SMALL_BODY:
        return await serving.compute(answer_alone, model, read)
    asked = read()
    found = await serving.predictions.predict(
        model, asked.table, with_probabilities=asked.with_probabilities
    )
    return Answered(asked.write(found), asked.table, found[0], model.task)


def answer_alone(model: LoadedModel, read: Callable[[], Asked]) -> Answered:
    """As `answer`, in the calling thread and without others' rows."""
    asked = read()
    found = predict(model, asked.table, with_probabilities=asked.with_probabilities)
    return Answered(asked.write(found), asked.table, found[0], model.task)


async def measure(
    serving: Serving, key: Key, *, request_id: str, work: Awaitable[Answered]
) -> Said:
    """The answer of one deployment, counted, and kept where it is drawn as a sample.

    An error is the deployment's own unless rows or load are at fault; that it refuses rows which
    fit its signature is its own, too.
    """
    endpoint, deployment, version, is_copy = key
    began = time.perf_counter()
    rows, is_error = 0, True
    try:
        answered = await work
        rows, is_error = answered.table.count, False
        if serving.draw_sample(endpoint, deployment):
            source = Source(endpoint, deployment, version, is_copy, answered.task)
            serving.samples.add(request_id, source, answered.table, answered.predictions)
        return answered.said
    except (SpecError, TooLargeError, asyncio.CancelledError):
        is_error = False
        raise
    except UnavailableError as error:
        is_error = error.code != "overloaded"
        raise
    finally:
        seconds = time.perf_counter() - began
        serving.meters.record(key, seconds=seconds, rows=rows, is_error=is_error)
