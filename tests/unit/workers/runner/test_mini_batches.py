"""The program that does a lot of a parallel job, as the process that it is."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from mlq_workers.runner import mini_batches

SCRIPT = """
import argparse, os, sys
def init():
    global mark
    parser = argparse.ArgumentParser()
    parser.add_argument("--mark", default="")
    mark = parser.parse_known_args()[0].mark
def run(batch):
    return [os.path.basename(name) + mark for name in batch]
"""
SETTINGS = {
    "processes": 2,
    "max_retries": 1,
    "timeout_s": 60.0,
    "error_threshold": -1,
    "mini_batch_error_threshold": -1,
    "logging_level": "INFO",
}
NAMES = [f"{number}.txt" for number in range(7)]


class Ran:
    """A lot that was run in `folder`."""

    def __init__(self, folder: Path, script: str, batches: Any, *words: str, **settings: Any):
        (folder / "data").mkdir()
        for name in NAMES:
            (folder / "data" / name).write_text(name)
        (folder / "score.py").write_text(script)
        lot = {"first": 3, "batches": batches, "settings": {**SETTINGS, **settings}}
        (folder / "lot.json").write_text(json.dumps(lot))
        given = ["--lot", "lot.json", "--data", "data", "--summary", "sum", "--append", "rows"]
        self.done = subprocess.run(
            [sys.executable, mini_batches.__file__, *given, "--", "score.py", *words],
            cwd=folder,
            capture_output=True,
            text=True,
        )
        self.rows = (folder / "rows").read_text()
        self.summary = json.loads((folder / "sum").read_text()) if self.done.returncode == 0 else {}


def batches(size: int = 2) -> list[dict[str, Any]]:
    groups = [NAMES[place : place + size] for place in range(0, len(NAMES), size)]
    return [{"files": group, "size": len(group)} for group in groups]


def test_rows_come_in_the_order_of_the_mini_batches(tmp_path: Path) -> None:
    slow = SCRIPT + "\nimport time\nplain = run\n"
    slow += "def run(batch):\n    time.sleep(0.3 if '0.txt' in batch[0] else 0)\n"
    slow += "    return plain(batch)\n"
    ran = Ran(tmp_path, slow, batches(), "--mark", "!")
    assert ran.done.returncode == 0, ran.done.stderr
    assert ran.rows == "".join(f"{name}!\n" for name in NAMES)
    assert ran.summary == {
        "mini_batches": 4,
        "failed_mini_batches": 0,
        "items": 7,
        "failed_items": 0,
    }


@pytest.mark.parametrize(
    "how", ["raise ValueError('no')", "os._exit(3)", "import time; time.sleep(60)"]
)
def test_what_fails_is_tried_again_and_then_left_out(tmp_path: Path, how: str) -> None:
    once = SCRIPT + f"""
plain = run
def run(batch):
    name = os.path.basename(batch[0])
    if name == "0.txt" or (name == "2.txt" and not os.path.exists("tried")):
        open("tried", "w").close() if name == "2.txt" else None
        {how}
    return plain(batch)
"""  # fmt: skip
    timeout_s = 2.0 if "sleep" in how else 60.0
    ran = Ran(tmp_path, once, batches(), timeout_s=timeout_s)
    assert ran.done.returncode == 0, ran.done.stderr
    assert ran.rows == "".join(f"{name}\n" for name in NAMES[2:])
    assert (ran.summary["failed_mini_batches"], ran.summary["failed_items"]) == (1, 2)
    assert ran.done.stderr.count("Mini-batch 3 failed") == 2
    assert ran.done.stderr.count("Mini-batch 4 failed") == 1


def test_more_than_may_fail_ends_it(tmp_path: Path) -> None:
    half = SCRIPT.replace("for name in batch]", "for name in batch[1:]]")
    ran = Ran(tmp_path, half, batches(), error_threshold=1)
    assert ran.done.returncode == 1
    assert "2 items have failed, and error_threshold is 1." in ran.done.stderr


def test_a_script_that_cannot_be_used(tmp_path: Path) -> None:
    ran = Ran(
        tmp_path, "def init():\n    raise RuntimeError('no model')\ndef run(b): pass", batches()
    )
    assert ran.done.returncode == 1
    assert "no model" in ran.done.stderr


def test_a_table_by_parts_of_its_file_and_a_frame_as_rows(tmp_path: Path) -> None:
    script = (
        "def run(frame, context):\n"
        "    assert context.minibatch_index in (3, 4)\n"
        "    return frame.assign(c=frame.a * 2)\n"
    )
    part = {"file": "t.csv", "format": "delimited", "delimiter": ",", "encoding": "utf-8"}
    tables = [
        {"table": [{**part, "start": 4, "end": 8, "header": "a,b\n"}], "size": 1},
        {"table": [{**part, "start": 8, "end": 12, "header": "a,b\n"}], "size": 1},
    ]
    (tmp_path / "score").mkdir()
    script = f"open('data/t.csv', 'w').write('a,b\\n1,x\\n2,y\\n')\n{script}"
    ran = Ran(tmp_path, script, tables, processes=1)
    assert ran.done.returncode == 0, ran.done.stderr
    assert ran.rows == "1 x 2\n2 y 4\n"
