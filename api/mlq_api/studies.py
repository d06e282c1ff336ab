"""Work on a sweep's trials that takes long: done in a process of its own.

Optuna takes seconds and megabytes, which the requests beside it should not pay for. The process is
`python -m mlq_api.studies ACT [FILE]`: it reads the trials as JSON from stdin.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO

from mlq.errors import MlqError, UnavailableError
from mlq.service.studies import Subject
from mlq.sweeps.study import TrialRecord
from mlq.sweeps.trial_table import write_trials

_TIMEOUT_S = 280.0
_NOT_INSTALLED = 3
_PIECE_BYTES = 1 << 16


def find_importance(subject: Subject, trials: Sequence[TrialRecord]) -> dict[str, float]:
    """How much each parameter matters; see `mlq.sweeps.study.importance`.

    Raises MlqError (code `not_installed`) where Optuna is missing.
    """
    shares: dict[str, float] = json.loads(_run("importance", subject, trials))
    return shares


def make_study(subject: Subject, trials: Sequence[TrialRecord]) -> BinaryIO:
    """An Optuna study file, open to be read.

    Raises MlqError (code `not_installed`) where Optuna is missing.
    """
    with TemporaryDirectory(prefix="mlq-study-") as folder:
        path = Path(folder) / "study.db"
        _run("export", subject, trials, str(path))
        return path.open("rb")


def make_csv(trials: Sequence[Mapping[str, Any]]) -> BinaryIO:
    """A table of trials, as the API shows them, as CSV, open to be read."""
    with TemporaryDirectory(prefix="mlq-trials-") as folder:
        path = Path(folder) / "trials.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            write_trials(trials, file)
        return path.open("rb")


def read_pieces(file: BinaryIO) -> Iterator[bytes]:
    """What is in a file, which is closed at its end."""
    with file:
        while piece := file.read(_PIECE_BYTES):
            yield piece


def _run(act: str, subject: Subject, trials: Sequence[TrialRecord], *arguments: str) -> str:
    content = {
        "name": subject.name,
        "search_space": subject.space.as_dict(),
        "objective": subject.objective.as_dict(),
        "trials": [asdict(trial) for trial in trials],
    }
    try:
        done = subprocess.run(
            # -P: what lies in the folder where the server was started is no module of ours
            [sys.executable, "-P", "-m", __name__, act, *arguments],
            input=json.dumps(content, default=datetime.isoformat),
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_S,
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError(
            f"The {act} of {len(trials)} trials took over {_TIMEOUT_S:g} s.", code="timeout"
        ) from None
    if done.returncode == _NOT_INSTALLED:
        raise MlqError(
            "Optuna is not installed beside this server.",
            code="not_installed",
            hint="`pip install optuna` there; `format=csv` needs nothing.",
        )
    if done.returncode:
        raise RuntimeError(f"the {act} of {subject.id} ended with {done.returncode}: {done.stderr}")
    return done.stdout


def _work(act: str, content: dict[str, Any], arguments: Sequence[str]) -> None:
    from mlq.sweeps.objective import Objective
    from mlq.sweeps.space import parse_space
    from mlq.sweeps.study import export_study, importance

    space = parse_space(content["search_space"])
    objective = Objective.from_dict(content["objective"])
    trials = [_record_of(trial) for trial in content["trials"]]
    if act == "importance":
        print(json.dumps(importance(trials, space, objective)))
    else:
        export_study(trials, space, objective, Path(arguments[0]), name=content["name"])


def _record_of(raw: dict[str, Any]) -> TrialRecord:
    times = {
        name: None if raw[name] is None else datetime.fromisoformat(raw[name])
        for name in ("started", "finished")
    }
    steps = {int(step): value for step, value in raw["steps"].items()}
    return TrialRecord(**{**raw, **times, "steps": steps})


if __name__ == "__main__":
    try:
        _work(sys.argv[1], json.load(sys.stdin), sys.argv[2:])
    except ImportError as error:
        sys.exit(_NOT_INSTALLED if error.name == "optuna" else repr(error))
