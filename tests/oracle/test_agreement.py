"""mlq and the oracle agree on every file of the corpus, and on 200 mutations of them.

Agree: both accept, both refuse, or the tables of `tests.oracle.rules` say why not.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from mlq.spec import parse_binding
from tests.oracle import mutations
from tests.oracle.files import VERDICTS, digest, example, files, read
from tests.oracle.rules import ADDITIONS, STRICTER, Rule
from tests.oracle.verdicts import plan_of, problems_of

RECORDED = json.loads(VERDICTS.read_text())
FILES = files()
GUIDE = Path(__file__).parents[2] / "docs" / "azure.md"


def unexplained(data: Mapping[str, Any], path: Path, verdict: Mapping[str, Any]) -> Sequence[str]:
    """Messages of the one that refuses what the other accepts, and that no rule is about."""
    messages = [problem.message for problem in problems_of(data, path)]
    if verdict["valid"]:
        return [text for text in messages if not any(r.explains(text) for r in STRICTER)]
    if messages:
        return []
    return [text for text in verdict["errors"] if not any(r.explains(text) for r in ADDITIONS)]


@pytest.mark.parametrize("name", sorted(FILES))
def test_on_every_file(name: str) -> None:
    found = unexplained(read(FILES[name]), FILES[name], RECORDED["files"][name])
    assert found == []


def test_on_mutations() -> None:
    assert len(RECORDED["mutations"]) == mutations.COUNT
    documents = {name: read(path) for name, path in FILES.items()}
    both = 0
    for mutation in RECORDED["mutations"]:
        name = mutation["file"]
        data = mutations.apply(documents[name], mutation)
        assert unexplained(data, FILES[name], mutation) == [], mutation
        both += mutation["valid"] != bool(problems_of(data, FILES[name]))
    # so that the tables explain the rest and not everything
    assert both > mutations.COUNT / 2


@pytest.mark.parametrize("rule", STRICTER, ids=lambda rule: rule.name)
def test_where_mlq_is_stricter(rule: Rule) -> None:
    assert RECORDED["rules"][rule.name]["valid"]
    problems = problems_of(*example(rule))
    assert problems
    assert all(rule.explains(problem.message) for problem in problems), problems


@pytest.mark.parametrize("rule", ADDITIONS, ids=lambda rule: rule.name)
def test_where_mlq_accepts_more(rule: Rule) -> None:
    assert problems_of(*example(rule)) == []
    verdict = RECORDED["rules"][rule.name]
    assert not verdict["valid"]
    assert any(rule.explains(text) for text in verdict["errors"]), verdict
    assert unexplained(*example(rule), verdict) == []


@pytest.mark.parametrize(
    "name",
    [name for name, found in RECORDED["files"].items() if name[0] == "j" and "steps" in found],
)
def test_on_what_flows_between_steps(name: str) -> None:
    """The same steps, each given the same bindings and literals."""
    data = read(FILES[name])
    if problems_of(data, FILES[name]):
        pytest.skip("refused, by a rule of its table")
    plan = plan_of(data, FILES[name])
    assert plan is not None
    jobs = {job.path: job for job in plan.jobs}
    steps = RECORDED["files"][name]["steps"]
    assert {job.name for job in plan.jobs if job.parent == 0 and job.role is None} == steps.keys()
    for step, inputs in steps.items():
        for key, given in inputs.items():
            source = jobs[step].inputs[key]
            binding = parse_binding(given) if isinstance(given, str) else None
            if binding is None and isinstance(given, dict):
                assert (given, source.kind) == ({"path": True}, "asset")
            elif binding is None:
                assert source.kind == "literal"
                # Azure's package turns true into 1, and numbers into text
                assert source.value == given or str(source.value) == str(given)
            elif binding.kind == "jobs.outputs":
                assert source.kind == "output"
                assert source.job is not None
                writer = plan.jobs[source.job].path
                assert (writer + ".").startswith(f"{binding.step}."), (step, key)
                assert plan.outputs or source.output == binding.name
            else:
                giver = jobs[binding.step]  # of a pipeline's own inputs: the root, ""
                given_there = giver.inputs[binding.name]
                assert (source.kind, str(source.value)) == (
                    given_there.kind,
                    str(given_there.value),
                )


@pytest.mark.parametrize("rule", [*STRICTER, *ADDITIONS], ids=lambda rule: rule.name)
def test_the_guide_has_both_tables(rule: Rule) -> None:
    assert f"| {rule.name} | {rule.why} |" in GUIDE.read_text()


def test_the_verdicts_are_those_on_these_files() -> None:
    """Else: `python -m tests.oracle.record`."""
    assert RECORDED["digest"] == digest(FILES)
    ours = {name: read(path) for name, path in FILES.items() if not name.startswith("samples/")}
    drawn = mutations.draw(ours, seed=mutations.SEED, count=mutations.COUNT)
    kept = ("file", "kind", "path", "value")
    assert [{key: one[key] for key in kept} for one in RECORDED["mutations"]] == drawn


def test_the_oracle_says_so_today() -> None:
    pytest.importorskip(
        "azure.ai.ml", reason="the oracle is not installed: pip install '.[oracle]'"
    )
    from tests.oracle.record import ask

    for name in ("jobs/pipeline_files.yml", "jobs/sweep.yml", "components/count.yml"):
        assert ask(read(FILES[name]), FILES[name], graph=True) == RECORDED["files"][name]
    for mutation in RECORDED["mutations"][:10]:
        path = FILES[mutation["file"]]
        verdict = ask(mutations.apply(read(path), mutation), path)
        assert verdict.items() <= mutation.items()
