from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

import pytest

from mlq.errors import SpecError, UnavailableError
from mlq.service.naming import Named, Template
from mlq.settings import Settings
from mlq.spec import JobTemplate
from mlq_api.lanes import Lane
from mlq_api.plans import JSON_TYPE, Compiled, Plans

BODY = b'{"type": "command", "command": "true", "compute": "big"}'


async def find_none(references: Collection[str], project: str | None) -> dict[str, None]:
    return dict.fromkeys(references)


def compile_many(
    list_computes: Callable[[], Awaitable[frozenset[str]]], home: Path, *, count: int
) -> list[Compiled | BaseException]:
    async def scenario() -> list[Compiled | BaseException]:
        lane = Lane("test", threads=1, capacity=16, timeout_s=30)
        plans = Plans(Settings(home=home), lane, list_computes=list_computes, find_named=find_none)
        made = await asyncio.gather(
            *(plans.compile(BODY, JSON_TYPE) for _ in range(count)), return_exceptions=True
        )
        made.append(
            (await asyncio.gather(plans.compile(BODY, JSON_TYPE), return_exceptions=True))[0]
        )
        lane.close()
        return made

    return asyncio.run(scenario())


def test_the_first_files_of_a_server_wait_until_it_knows_its_computes(mlq_home: Path) -> None:
    asked = []

    async def list_computes() -> frozenset[str]:
        asked.append(1)
        await asyncio.sleep(0)
        return frozenset({"big"})

    made = compile_many(list_computes, mlq_home, count=4)

    assert all(isinstance(one, Compiled) for one in made), made
    assert len(asked) == 1


def test_a_database_that_did_not_answer_is_asked_again(mlq_home: Path) -> None:
    answers = [UnavailableError("It is down.", code="database_unavailable"), frozenset({"big"})]

    async def list_computes() -> frozenset[str]:
        answer = answers.pop(0)
        if isinstance(answer, frozenset):
            return answer
        raise answer

    *failed, last = compile_many(list_computes, mlq_home, count=3)

    assert {type(one) for one in failed} == {UnavailableError}
    assert isinstance(last, Compiled)


def test_a_compute_that_nobody_serves_is_refused(mlq_home: Path) -> None:
    async def list_computes() -> frozenset[str]:
        return frozenset()

    (first, _) = compile_many(list_computes, mlq_home, count=1)

    with pytest.raises(SpecError, match="big"):
        raise first  # type: ignore[misc]


def test_what_latest_means_is_looked_up_each_time(mlq_home: Path) -> None:
    """A file is not compiled again for what has not changed; one level at a time is looked up."""
    inner = JobTemplate("mlq:inner", "1", {"command": "one"})
    outer = JobTemplate("mlq:outer", "1", {"jobs": {"a": {"component": "mlq:inner:1"}}})
    outer_is: Named = ("component", "azureml:outer@latest")
    inner_is: Named = ("component", "mlq:inner:1")
    known: dict[Named, Template | None] = {outer_is: outer, inner_is: inner}
    asked: list[set[Named]] = []

    async def find(
        references: Collection[Named], project: str | None
    ) -> dict[Named, Template | None]:
        asked.append(set(references))
        assert project == "fruit"
        return {reference: known.get(reference) for reference in references}

    async def list_computes() -> frozenset[str]:
        return frozenset()

    body = b'{"jobs": {"x": {"component": "azureml:outer@latest"}}}'

    async def scenario() -> None:
        lane = Lane("test", threads=1, capacity=16, timeout_s=30)
        plans = Plans(Settings(home=mlq_home), lane, list_computes=list_computes, find_named=find)
        first = await plans.compile(body, JSON_TYPE, project="fruit")
        assert first.named == {outer_is: "mlq:outer:1", inner_is: "mlq:inner:1"}
        assert asked == [{outer_is}, {inner_is}]
        assert await plans.compile(body, JSON_TYPE, project="fruit") is first
        known[outer_is] = JobTemplate("mlq:outer", "2", {"command": "two"})
        second = await plans.compile(body, JSON_TYPE, project="fruit")
        assert second.named == {outer_is: "mlq:outer:2"}
        assert second.blueprint.plan.jobs[1].spec["command"] == "two"
        assert second.blueprint.plan.jobs[1].spec["registered"] == "mlq:outer:2"
        del known[outer_is]
        with pytest.raises(SpecError, match="no component 'azureml:outer@latest'"):
            await plans.compile(body, JSON_TYPE, project="fruit")
        lane.close()

    asyncio.run(scenario())
