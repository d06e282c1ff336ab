"""The demo's own pieces; the story as a whole is an acceptance test."""

from __future__ import annotations

import csv

from mlq.cli.demo_story import _OBSERVED, _PIPELINE, _ROWS
from mlq.data import demo_file
from mlq.spec import compile_job, find_local_paths, read_document


def test_the_shipped_pipeline_compiles() -> None:
    document = read_document(_PIPELINE.read_text(), file=_PIPELINE.name)
    plan = compile_job(document, computes=frozenset({"cpu"}))
    names = [job.name for job in plan.jobs[1:]]
    assert names == ["preprocess", "train", "evaluate", "register", "deploy"]
    assert find_local_paths(document) == []


def test_the_penguins_that_are_asked_about_are_in_the_data() -> None:
    with demo_file("penguins-2007-2008.csv").open(newline="") as lines:
        known = list(csv.DictReader(lines))
    for row, observed in zip(_ROWS, _OBSERVED, strict=True):
        whole = {name: str(value) for name, value in {**row, "sex": observed}.items()}
        assert whole in known
