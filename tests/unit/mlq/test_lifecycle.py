from __future__ import annotations

import pytest

from mlq.lifecycle import INNER_TYPES, LIVE, TERMINAL, TRANSITIONS, JobType, State, is_terminal


def test_states_are_live_or_terminal() -> None:
    assert set(State) == LIVE | TERMINAL
    assert not LIVE & TERMINAL


@pytest.mark.parametrize("name", TRANSITIONS)
def test_outcomes_are_left_only_by_a_resume(name: str) -> None:
    leaves, enters = TRANSITIONS[name]
    assert leaves
    assert enters
    assert bool(leaves & TERMINAL) == (name == "reopen")


def test_every_state_can_be_entered_and_every_live_one_left() -> None:
    entered = {state for _, enters in TRANSITIONS.values() for state in enters}
    left = {state for leaves, _ in TRANSITIONS.values() for state in leaves}
    assert entered == set(State)
    assert left == set(State)


def test_whatever_lives_can_be_canceled_and_nothing_else() -> None:
    assert TRANSITIONS["cancel"] == (LIVE, {State.CANCELED})


def test_only_a_claim_or_a_start_makes_a_job_run() -> None:
    into = {name for name, (_, enters) in TRANSITIONS.items() if State.RUNNING in enters}
    assert into == {"claim", "start", "decide"}


def test_success_comes_from_running() -> None:
    into = {
        name: leaves for name, (leaves, enters) in TRANSITIONS.items() if State.SUCCEEDED in enters
    }
    assert into == {"succeed": {State.RUNNING}}


def test_is_terminal() -> None:
    assert is_terminal("succeeded")
    assert not is_terminal("waiting")
    with pytest.raises(ValueError):
        is_terminal("done")


def test_inner_jobs() -> None:
    assert set(JobType) - {JobType.COMMAND} == INNER_TYPES
