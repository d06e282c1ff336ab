from __future__ import annotations

from datetime import timedelta

from mlq.onemachine.supervisor import Service, ServiceFailedError, _describe_exit


def test_how_a_process_ended_is_said_in_words() -> None:
    assert _describe_exit(3) == "ended with code 3"
    assert _describe_exit(-9) == "was ended by SIGKILL"
    assert _describe_exit(-250) == "was ended by signal 250"


def test_a_service_has_ten_seconds_to_end() -> None:
    assert Service("api", ["api"], {}).stop_grace == timedelta(seconds=10)


def test_a_failed_service_says_how_and_shows_its_last_lines() -> None:
    error = ServiceFailedError("api", "ended with code 1", ["port is taken"])

    assert str(error) == "api ended with code 1"
    assert error.tail == ["port is taken"]
