"""Data that no step can use: a clear error where it is first seen, and nothing half-made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from mlq.errors import MlqError
from mlq.service import models
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import Stack

GOOD = b"a,b,y\n" + b"1,2,yes\n3,1,no\n" * 30
BLANK_COLUMN = b"a,b,y\n" + b"1,2,\n3,1,\n" * 30
ONE_CLASS = b"a,b,y\n" + b"1,2,yes\n3,1,yes\n4,5,yes\n" * 20
GARBAGE = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack() as stack:
        stack.worker()
        yield stack
        stack.assert_sound()


def run(stack: Stack, content: bytes, *, target: str = "y", prepare: bool = True) -> Any:
    """Run data through to a registered model; the rows of the tree by path."""
    data = {"type": "uri_file", "path": stack.upload("bad", content)}
    train: dict[str, Any] = {"estimator": "sklearn.linear_model.LogisticRegression", "cv": 2}
    steps: dict[str, Any] = {}
    if prepare:
        steps["prep"] = {"component": "mlq:preprocess", "inputs": {"data": data, "target": target}}
        train["data"] = "${{parent.jobs.prep.outputs.train}}"
        train["recipe"] = "${{parent.jobs.prep.outputs.recipe}}"
    else:
        train |= {"data": data, "target": target}
    steps["train"] = {"component": "mlq:train", "inputs": train}
    steps["register"] = {
        "component": "mlq:register",
        "inputs": {"model": "${{parent.jobs.train.outputs.model}}", "name": "bad"},
    }
    before = stack.artifact_count()
    job = stack.submit({"type": "pipeline", "display_name": "bad", "jobs": steps})
    stack.wait(job, "failed")
    assert stack.artifact_count() == before, "nothing of a step that failed is kept"
    assert stack.read(models.list_models) == []
    return stack.tree(job)


def test_an_empty_file_makes_no_version(stack: Stack) -> None:
    with pytest.raises(MlqError, match="is empty: it has 0 bytes") as refused:
        stack.upload("nothing", b"")
    assert refused.value.code == "invalid"


@pytest.mark.parametrize("prepare", [True, False], ids=["preprocess", "train"])
@pytest.mark.parametrize(
    ("content", "target", "code", "words"),
    [
        (GOOD, "z", "missing_column", "z"),
        (b"a,b,y\n", "y", "empty_data", "no rows"),
        (BLANK_COLUMN, "y", "invalid_target", "y"),
        (ONE_CLASS, "y", "one_class_target", "yes"),
        (GARBAGE, "y", "invalid_data", "binary"),
    ],
    ids=["no-target", "header-only", "all-missing", "one-class", "garbage"],
)
def test_data_that_no_step_can_use(
    stack: Stack, content: bytes, target: str, code: str, words: str, prepare: bool
) -> None:
    tree = run(stack, content, target=target, prepare=prepare)
    first = tree["prep"] if prepare else tree["train"]
    assert first["state"] == "failed"
    assert first["reason"] == "error"
    assert first["error"]["code"] == code, first["error"]
    assert words in first["error"]["message"]
    assert "Traceback" not in first["error"]["message"]
    assert first["outputs"] is None
    assert first["attempt"] == 1
    assert tree["register"]["state"] == "skipped"
    assert tree[""]["error"]["code"] == code
