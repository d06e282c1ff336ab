"""Functions as steps: what they are called with, what they become, and how they run here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

import mlq
from mlq.errors import MlqError
from mlq.sdk.code import code_root, import_path, take_python
from mlq.sdk.documents import write_document
from mlq.spec import compile_job, read_document
from mlq.testing.inline import run_inline


class Two(NamedTuple):
    low: int
    high: float


@mlq.component
def bounds(values: list, scale: float = 1.0) -> Two:
    mlq.log_metric("count", len(values))
    return Two(min(values), max(values) * scale)


@mlq.component(compute="gpu", timeout=9, retries=2, environment_variables={"A": "1"})
def text(low: int, high: float, word: str, note: str | None = None) -> str:
    return f"{word} {low}..{high:g} {note}"


@mlq.component
def count(rows: pd.DataFrame) -> int:
    return len(rows)


@mlq.component
def fail(low: int) -> None:
    raise ZeroDivisionError("on purpose")


@mlq.pipeline
def ranges(values: list, word: str = "it's") -> Any:
    found = bounds(values, 2.0)
    return text(found.low, found.high, word)


@mlq.pipeline
def nested(values: list) -> Any:
    first = ranges(values)
    return {"first": first, "second": ranges([1], "plain")}


def test_outside_a_pipeline_a_component_is_its_function() -> None:
    assert bounds([3, 1]) == Two(1, 3.0)
    assert text(1, 2.0, "a") == "a 1..2 None"
    assert bounds.__name__ == "bounds"


def test_a_local_run_gives_outputs_steps_and_metrics() -> None:
    run = run_inline(ranges([2, 5]))
    assert run.outputs == {"output": "it's 2..10 None"}
    assert run.steps["bounds"] == {"low": 2, "high": 10.0}
    assert run.metrics == {"bounds": [{"key": "count", "value": 2.0, "step": 0}]}


def test_pipelines_in_pipelines_bring_their_steps() -> None:
    job = nested([4])
    assert [step.name for step in job.steps] == ["bounds", "text", "bounds_2", "text_2"]
    assert run_inline(job).outputs == {"first": "it's 4..8 None", "second": "plain 1..2 None"}


def test_frames_may_be_given_as_such_or_as_files(tmp_path: Path) -> None:
    @mlq.pipeline
    def both(rows: Any) -> Any:
        return count(rows)

    (tmp_path / "rows.csv").write_text("a\n1\n2\n")
    assert run_inline(both(tmp_path / "rows.csv")).outputs == {"output": 2}
    assert run_inline(both(pd.DataFrame({"a": [1]}))).outputs == {"output": 1}


def test_an_exception_names_its_step() -> None:
    @mlq.pipeline
    def failing() -> None:
        fail(bounds([1]).low)

    with pytest.raises(ZeroDivisionError) as caught:
        run_inline(failing())
    assert caught.value.__notes__ == ["In step 'fail' of the pipeline 'failing'."]


def test_the_job_file_is_one_that_the_compiler_takes(tmp_path: Path) -> None:
    document, files, code = write_document(ranges([2, 5]), tmp_path)
    assert files == []
    (snapshot,) = code.values()
    assert "test_pipelines.py" in snapshot.manifest.decode()
    plan = compile_job(
        read_document(json.dumps(document), media_type="application/json"), computes=None
    )
    by_path = {job.path: job for job in plan.jobs}
    step = by_path["text"]
    assert (step.compute, step.timeout_s, step.max_retries) == ("gpu", 9, 2)
    assert (step.spec["code"], plan.code) == (snapshot.digest, (snapshot.digest,))
    assert step.spec["environment_variables"] == {"A": "1"}
    assert step.inputs["low"].kind == "output"
    # a quote is never left for a shell to read
    assert "--json word=${{inputs.word}}" in step.spec["command"]
    assert step.inputs["word"].value == ["it's"]
    assert plan.outputs.keys() == {"output"}


def test_the_same_code_has_the_same_digest(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1")
    (tmp_path / "pkg" / "__pycache__").mkdir(parents=True)
    (tmp_path / "pkg" / "b.py").write_text("y = 1")
    (tmp_path / "pkg" / "__pycache__" / "b.py").write_text("")
    (tmp_path / ".hidden").mkdir()
    (tmp_path / ".hidden" / "c.py").write_text("")
    (tmp_path / "data.csv").write_text("")
    first, second = take_python(tmp_path), take_python(tmp_path)
    assert first.digest == second.digest
    entries = json.loads(first.manifest)["entries"]
    assert [entry["path"] for entry in entries] == ["a.py", "pkg/b.py"]


def test_where_code_comes_from() -> None:
    assert import_path(bounds.function).endswith("test_pipelines:bounds")
    assert code_root(json.dumps) is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mlq.component(lambda x: x), "does not say what 'x' is"),
        (lambda: mlq.component(_takes_everything), r"takes \*args"),
        (lambda: mlq.component(_returns_a_set), "what the result is"),
        (lambda: mlq.pipeline(lambda: None)(), "has no steps"),
        (lambda: mlq.pipeline(lambda: 3 if bounds([1]) else 0)(), "returns 3"),
        (lambda: mlq.pipeline(lambda: text(bounds([1]).low + 1, 1.0, "a"))(), "no value yet"),
        (lambda: mlq.pipeline(lambda: text("1", 1.0, "a"))(), "'low' takes integer; got '1'"),
        (lambda: mlq.pipeline(lambda: count(bounds([1]).low))(), "takes table"),
    ],
)
def test_what_cannot_work_is_refused_at_once(make: Any, message: str) -> None:
    with pytest.raises(MlqError, match=message):
        make()


def test_a_missing_argument_is_a_type_error() -> None:
    with pytest.raises(TypeError, match="word"):
        mlq.pipeline(lambda: text(1, 1.0))()


def _takes_everything(*args: int) -> int:
    return len(args)


def _returns_a_set(x: int) -> set[int]:
    return {x}
