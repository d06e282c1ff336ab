"""A submission repeated with its key is the same submission."""

from __future__ import annotations

import pytest

from mlq.db import idempotency
from mlq.errors import MlqError
from mlq.service import jobs as service
from mlq.service.jobs import Idempotency, Submitted
from tests.integration.db.plans import fan_out, plan
from tests.integration.db.queue import Queue, race


def submit(queue: Queue, key: Idempotency, *, actor: str = "ann") -> Submitted:
    return queue.database.transact(
        service.submit,
        plan(fan_out(3)),
        actor=actor,
        document="type: pipeline",
        media_type="application/yaml",
        windows=queue.windows,
        idempotency_key=key,
    )


KEY = Idempotency("k1", "a" * 64)


def test_a_replay_answers_the_first_job(queue: Queue) -> None:
    first = submit(queue, KEY)
    again = submit(queue, KEY)

    assert (first.created, again.created) == (True, False)
    assert again.job_id == first.job_id
    assert again.deliveries == []
    assert queue.outstanding() == 3


def test_keys_belong_to_their_principal(queue: Queue) -> None:
    assert submit(queue, KEY).job_id != submit(queue, KEY, actor="bob").job_id


def test_another_body_under_the_key_is_refused(queue: Queue) -> None:
    first = submit(queue, KEY)
    with pytest.raises(MlqError, match=first.job_id) as caught:
        submit(queue, Idempotency("k1", "b" * 64))
    assert caught.value.code == "idempotency_mismatch"
    assert queue.outstanding() == 3


def test_repeats_at_once_make_one_job(queue: Queue) -> None:
    results = race(*[lambda: submit(queue, KEY)] * 6)

    submitted = [result for result in results if isinstance(result, Submitted)]
    assert len(submitted) == 6, results
    assert len({one.job_id for one in submitted}) == 1
    assert sum(one.created for one in submitted) == 1
    assert queue.outstanding() == 3


def test_at_once_with_another_body_one_is_refused(queue: Queue) -> None:
    results = race(lambda: submit(queue, KEY), lambda: submit(queue, Idempotency("k1", "b" * 64)))

    refused = [result for result in results if isinstance(result, MlqError)]
    assert [error.code for error in refused] == ["idempotency_mismatch"]
    assert queue.outstanding() == 3


def test_old_keys_are_forgotten(queue: Queue) -> None:
    first = submit(queue, KEY)
    with queue.database.write() as conn:
        assert idempotency.forget(conn, older_than_s=60) == 0
        assert idempotency.forget(conn, older_than_s=-1) == 1
    assert submit(queue, KEY).job_id != first.job_id
