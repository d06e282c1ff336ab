from __future__ import annotations

from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from mlq.onemachine import services
from mlq.onemachine.services import Layout
from mlq.onemachine.supervisor import Service
from mlq.settings import Settings


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    (tmp_path / "broker").mkdir()
    return Layout(
        home=tmp_path,
        plain_http=False,
        host="127.0.0.1",
        port=8420,
        api_url="http://127.0.0.1:8420",
        allowed_hosts=["box"],
        database_url=f"sqlite:///{tmp_path}/mlq.db",
        broker_url="redis://:broker-secret@127.0.0.1:20001/0",
        artifact_url=str(tmp_path / "artifacts"),
        queue_prefix="",
        serve_port=20002,
        flower_port=20003,
        flower_auth="mlq:flower-secret",
        broker_port=20001,
        broker_password="broker-secret",
        cores=2,
        drain_grace_s=30,
    )


def all_services(layout: Layout) -> list[Service]:
    env = layout.environment({"PATH": "/usr/bin"})
    return [
        services.broker(layout),
        services.prepare(layout, env, layout.home / "result"),
        services.api(layout, env),
        services.serve(layout, env),
        services.worker(layout, env, compute="cpu", slots=2),
        services.flower(layout, env),
    ]


def test_no_command_line_shows_a_secret(layout: Layout) -> None:
    for service in all_services(layout):
        assert "secret" not in " ".join(service.command)


def test_every_module_that_is_run_exists(layout: Layout) -> None:
    for service in all_services(layout):
        if service.fork:
            module = service.command[0]
            spec = find_spec(module)
            assert spec is not None, module
            if spec.submodule_search_locations:
                assert find_spec(f"{module}.__main__"), module


def test_every_setting_that_is_passed_is_known(layout: Layout) -> None:
    known = {f"MLQ_{name.upper()}" for name in Settings.model_fields}

    for service in all_services(layout):
        assert {name for name in service.env if name.startswith("MLQ_")} <= known


def test_workers_stop_first_and_the_broker_last(layout: Layout) -> None:
    ranks = {service.name: service.stop_rank for service in all_services(layout)}

    assert ranks["worker-cpu"] < ranks["api"] == ranks["serve"] == ranks["flower"] < ranks["broker"]


def test_a_worker_has_its_drain_grace_and_a_moment_more(layout: Layout) -> None:
    worker = services.worker(layout, {}, compute="gpu", slots=1)

    assert worker.stop_grace.total_seconds() > layout.drain_grace_s
    assert worker.command[-4:] == ["-Q", "gpu", "-c", "1"]


def test_the_token_of_the_terminal_stays_there(layout: Layout) -> None:
    env = layout.environment({"MLQ_TOKEN": "mlq_mine", "MLQ_LEASE_S": "45", "LANG": "C.UTF-8"})

    assert "MLQ_TOKEN" not in env
    assert env["MLQ_LEASE_S"] == "45"
    assert env["LANG"] == "C.UTF-8"
    assert env["MLQ_HOME"] == str(layout.home)


def test_the_api_hears_of_flower_only_where_it_runs(layout: Layout) -> None:
    without = services.api(replace(layout, flower_port=None), {})

    assert "MLQ_FLOWER_URL" not in without.env
    assert services.api(layout, {}).env["MLQ_FLOWER_URL"] == "http://127.0.0.1:20003"


def test_flower_only_shows(layout: Layout) -> None:
    assert services.flower(layout, {}).env["FLOWER_READ_ONLY"] == "true"
    assert services.flower(layout, {}).env["FLOWER_ADDRESS"] == "127.0.0.1"


def test_a_broker_that_was_given_is_asked_first(layout: Layout) -> None:
    given = replace(layout, broker_port=None)
    env = layout.environment({})

    assert services.CHECK_BROKER in services.prepare(given, env, Path("result")).command
    # that of mlq itself starts meanwhile
    assert services.CHECK_BROKER not in services.prepare(layout, env, Path("result")).command
