"""Parallel jobs on real workers: mini-batches in lots, what fails, and a worker that is killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mlq.db import registry
from tests.acceptance.conftest import OpenStack
from tests.acceptance.stack import JOBS, Stack, wait_for

DOCUMENT = (JOBS / "parallel.yml").read_text()
SCRIPT = (JOBS / "parallel" / "score.py").read_text()
SQUARES = "".join(f"{n:02} {n**2}\n" for n in range(1, 11))


@pytest.fixture(scope="module")
def stack(open_stack: OpenStack) -> Iterator[Stack]:
    with open_stack("postgresql") as stack:
        stack.worker()
        yield stack


def submit(stack: Stack, folder: Path, *, script: str = SCRIPT, document: str = DOCUMENT) -> str:
    folder.mkdir()
    (folder / "score.py").write_text(script)
    tree = stack.store.put_tree(folder)
    stack.write(registry.add_tree, tree.digest, tree.size_bytes)
    return stack.submit(document.replace("./parallel", f"artifact:sha256:{tree.digest}"))


def read(stack: Stack, job: str, step: str, output: str) -> str:
    with stack.store.read(stack.tree(job)[step]["outputs"][output]["digest"]) as file:
        return file.read().decode()


def test_rows_and_files_of_all_mini_batches_come_together(stack: Stack, tmp_path: Path) -> None:
    job = submit(stack, tmp_path / "code")
    stack.wait(job)
    assert read(stack, job, "score", "scores") == SQUARES
    assert read(stack, job, "rows", "doubled") == "".join(
        f"{n} w{n} {2 * n}\n" for n in range(1, 6)
    )
    assert read(stack, job, "show", "count").strip() == "10"
    tree = stack.tree(job)
    assert len([path for path in tree if path.startswith("score.lot-")]) == 8
    assert tree["score.lot-1"]["outputs"]["mlq_summary"]["value"]["mini_batches"] == 1
    assert "'items': 10" in stack.log_of(tree["score.collect"]["id"])
    assert tree["score"]["attempt"] == 0  # no worker had it
    stack.assert_sound()


def test_mini_batches_may_fail_up_to_the_threshold(stack: Stack, tmp_path: Path) -> None:
    fails = DOCUMENT.replace("fail: nothing", 'fail: "7"')
    job = submit(stack, tmp_path / "code", document=fails)
    stack.wait(job)
    assert read(stack, job, "score", "scores") == SQUARES.replace("07 49\n", "")
    stack.assert_sound()
    none = fails.replace("mini_batch_error_threshold: 2", "mini_batch_error_threshold: 0")
    job = submit(stack, tmp_path / "again", document=none)
    row = stack.wait(job, "failed")
    assert "7 cannot be scored" in "\n".join(row["error"]["last_lines"])
    assert row["error"]["step"].startswith("score.lot-")
    stack.assert_sound()


def test_a_lot_is_done_again_where_its_worker_was_killed(stack: Stack, tmp_path: Path) -> None:
    hang = f'''        if number == "5" and not Path("{tmp_path}/once").exists():
            Path("{tmp_path}/once").touch()
            import time; time.sleep(600)
'''
    place = "        if number == arguments.fail:"
    job = submit(stack, tmp_path / "code", script=SCRIPT.replace(place, hang + place))
    wait_for((tmp_path / "once").exists, what="a mini-batch hangs")
    (worker,) = [part for part in stack.parts if part.is_running and "worker" in part.name]
    worker.kill()
    stack.worker()
    stack.wait(job, timeout_s=120)
    assert read(stack, job, "score", "scores") == SQUARES
    stack.assert_sound()
