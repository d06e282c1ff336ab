"""What a step asks of its machine."""

from __future__ import annotations

from typing import Any

import pytest

from mlq.errors import SpecError
from mlq.spec import compile_job, read_document


def spec_of(resources: str) -> tuple[dict[str, Any], list[str]]:
    text = f"type: command\ncommand: 'true'\nresources: {resources}\n"
    plan = compile_job(read_document(text, media_type="application/yaml"), computes=None)
    (job,) = plan.jobs
    return dict(job.spec), list(plan.warnings)


@pytest.mark.parametrize(
    ("resources", "cpus", "memory"),
    [
        ("{cpu: 2, memory: 1.5GiB}", 2.0, 1536 * 2**20),
        ("{cpu: 0.5}", 0.5, None),
        ("{docker_args: '--cpus=4 --memory=2g'}", 4.0, 2 * 2**30),
        ("{docker_args: ['--cpus', 4, '-m', 512m]}", 4.0, 512 * 2**20),
        ("{docker_args: '--memory 2g', memory: 1GiB}", None, 2**30),
        ("{instance_count: 1}", None, None),
    ],
)
def test_cpus_and_memory(resources: str, cpus: float | None, memory: int | None) -> None:
    spec, _ = spec_of(resources)
    assert (spec.get("cpus"), spec.get("memory_limit_bytes")) == (cpus, memory)


def test_what_is_left_is_ignored_with_a_warning() -> None:
    assert spec_of("{docker_args: '--cpus 2 --memory 2g'}")[1] == []
    (warning,) = spec_of("{docker_args: '--cpus 2 --ipc host', shm_size: 2g}")[1]
    assert "docker_args, shm_size is accepted and ignored" in warning


@pytest.mark.parametrize(
    "resources", ["{cpu: 0}", "{cpu: many}", "{cpu: true}", "{memory: 12}", "{memory: 0GiB}"]
)
def test_what_makes_no_sense_is_refused(resources: str) -> None:
    with pytest.raises(SpecError) as refused:
        spec_of(resources)
    assert refused.value.problems[0].path.startswith("resources.")
