from __future__ import annotations

from mlq.ids import new_id
from mlq.service import blueprint
from mlq.service.blueprint import Blueprint
from mlq.spec import compile_job, read_document

PIPELINE = """\
type: pipeline
display_name: churn
jobs:
  left: {type: command, command: "true", compute: gpu}
  right: {type: command, command: "true", outputs: {out: {type: uri_file}}}
  last: {type: command, command: "true", inputs: {a: "${{parent.jobs.right.outputs.out}}"}}
"""


def drawn(document: str = PIPELINE) -> Blueprint:
    plan = compile_job(
        read_document(document), computes=frozenset({"cpu", "gpu"}), compute_aliases={}
    )
    return blueprint.draw(plan, document=document, media_type="application/yaml")


def test_submissions_differ_in_their_ids_only() -> None:
    same = drawn()
    ids, others = ([new_id() for _ in same.plan.jobs] for _ in range(2))
    first = blueprint.rows(same, ids, {}, actor="ann", force_rerun=False)
    second = blueprint.rows(same, others, {}, actor="ann", force_rerun=False)

    renamed = str(first)
    for one, other in zip(ids, others, strict=True):
        renamed = renamed.replace(one, other)
    assert renamed == str(second)
    assert not set(ids) & set(str(second).split("'"))


def test_a_tree_starts_on_the_computes_of_its_entries() -> None:
    assert drawn().computes == {"cpu", "gpu"}
    later = PIPELINE.replace(", compute: gpu", "").replace("inputs:", "compute: gpu, inputs:")
    assert drawn(later).computes == {"cpu"}


def test_edges_are_the_bindings_between_steps() -> None:
    paths = [job.path for job in drawn().plan.jobs]
    assert [(paths[a], paths[b]) for a, b in drawn().edges] == [("right", "last")]


def test_equal_steps_share_a_spec_and_only_the_root_keeps_the_document() -> None:
    one, other = drawn(), drawn(PIPELINE + "# a comment\n")
    digests = [set(same.specs) for same in (one, other)]
    assert len(digests[0] - digests[1]) == 1
    (root,) = digests[0] - digests[1]
    assert one.specs[root]["document"] == PIPELINE
    assert one.columns[0]["spec_digest"] == root
