from __future__ import annotations

import pickle

import pytest

from mlq import errors
from mlq.errors import MlqError, RejectedError, SpecError, SpecProblem, nearest

SUBCLASSES = [
    kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, MlqError)
]


def test_every_kind_has_a_code_of_its_own() -> None:
    codes = {kind.code for kind in SUBCLASSES}
    assert len(codes) == len(SUBCLASSES)
    assert all(code.isidentifier() for code in codes)


def test_the_tree_in_the_docstring_is_the_tree() -> None:
    drawn = {word for word in (errors.__doc__ or "").split() if word.endswith("Error")}
    assert drawn == {kind.__name__ for kind in SUBCLASSES}


def test_as_dict_has_a_hint_only_where_there_is_one() -> None:
    assert MlqError("It broke.").as_dict() == {"code": "error", "message": "It broke."}
    error = MlqError("It broke.", code="broken", hint="Mend it.")
    assert error.as_dict() == {"code": "broken", "message": "It broke.", "hint": "Mend it."}
    assert str(error) == "It broke."
    assert MlqError.code == "error"


def test_a_problem_says_where_and_what_instead() -> None:
    problem = SpecProblem("jobs.a", "Unknown key.", line=3, suggestion="inputs", file="job.yml")
    assert str(problem) == "job.yml:3: jobs.a: Unknown key. Did you mean 'inputs'?"
    assert str(SpecProblem("", "Empty.")) == "Empty."


def test_a_spec_error_lists_all() -> None:
    error = SpecError([SpecProblem("a", "Bad."), SpecProblem("b", "Worse.", line=2)])
    assert str(error) == "a: Bad.\n2: b: Worse."
    assert error.as_dict()["code"] == "invalid_spec"
    assert [problem["path"] for problem in error.as_dict()["problems"]] == ["a", "b"]


def test_a_rejection_carries_its_numbers() -> None:
    error = RejectedError("Too low.", {"roc_auc": 0.4})
    assert isinstance(error, MlqError)
    assert str(error) == "Too low."
    assert error.as_dict() == {
        "code": "rejected",
        "message": "Too low.",
        "numbers": {"roc_auc": 0.4},
    }
    assert hash(error)


@pytest.mark.parametrize("error", [MlqError("x"), RejectedError("x", {"a": 1})])
def test_errors_survive_the_way_between_processes(error: MlqError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert copy.as_dict() == error.as_dict()


def test_nearest() -> None:
    assert nearest("imputs", ["inputs", "outputs"]) == "inputs"
    assert nearest("zzz", ["inputs"]) is None
