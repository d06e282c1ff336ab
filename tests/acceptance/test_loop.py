"""The loop on real processes: from a CSV file to an endpoint that answers."""

from __future__ import annotations

import pytest

from mlq.data import demo_file
from mlq.service import endpoints, models
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, assert_ran_once


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_penguins_become_an_endpoint(open_stack: OpenStack, database: str) -> None:
    with open_stack(database) as stack:
        worker = stack.worker()
        content = demo_file("penguins.csv").read_bytes()
        stack.upload("penguins", content, file_name="penguins.csv")
        job = stack.submit((JOBS / "penguins.yml").read_text())
        stack.wait(job, timeout_s=90)
        assert_ran_once(stack, job)
        tree = stack.tree(job)
        assert tree["register"]["outputs"]["version"]["value"] == "models:/penguins/1"
        version = stack.read(models.find_version, "penguins", version=1)
        assert version.aliases == ("staging",)
        assert version.digest == tree["train"]["outputs"]["model"]["digest"]
        assert version.job_id == tree["register"]["id"]
        assert version.metrics["accuracy"] >= 0.7
        endpoint = stack.read(endpoints.find, "penguins")
        assert endpoint.traffic == {"staging": 100}
        assert [one.model for one in endpoint.deployments] == ["models:/penguins@staging"]
        assert [one.version for one in endpoint.deployments] == [1]

        again = stack.submit((JOBS / "penguins.yml").read_text())
        stack.wait(again)
        tree = stack.tree(again)
        assert {path for path, row in tree.items() if row["reason"] == "cached"} == {
            "prep",
            "train",
            "validate",
        }
        assert stack.read(endpoints.find, "penguins").deployments[0].version == 2
        stack.assert_sound()
        assert worker.stop() == 0
