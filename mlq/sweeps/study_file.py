"""Study files: Optuna's own SQLite schema, filled at once.

Through Optuna's storage a trial takes about 10 ms, and more with every trial there is already,
because each is a transaction of its own. The schema has been the same since Optuna 3.2; Optuna
makes the empty file, so that one that differs is an error here and not a file nobody can read.
Importing this module brings in Optuna.
"""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from optuna.distributions import distribution_to_json
from optuna.storages import RDBStorage
from optuna.study import Study, create_study
from optuna.trial import FrozenTrial

_INSERTS = {
    "trials": "(trial_id, number, study_id, state, datetime_start, datetime_complete)",
    "trial_params": "(trial_id, param_name, param_value, distribution_json)",
    "trial_values": "(trial_id, objective, value, value_type)",
    "trial_intermediate_values": "(trial_id, step, intermediate_value, intermediate_value_type)",
    "trial_user_attributes": "(trial_id, key, value_json)",
}


def write_study(study: Study, path: Path, *, name: str) -> None:
    """Write a copy of `study` to a new file at `path`, where it is called `name`.

    Raises FileExistsError where something is there. A file that could not be finished is removed.
    """
    path.open("xb").close()
    try:
        _make(study, path, name)
        with closing(sqlite3.connect(path)) as file, file:
            for table, rows in _rows(study.get_trials(deepcopy=False)).items():
                columns = _INSERTS[table]
                marks = ", ".join("?" * (columns.count(",") + 1))
                insert = " ".join(("INSERT INTO", table, columns, "VALUES", f"({marks})"))
                file.executemany(insert, rows)
    except BaseException:
        path.unlink()
        raise


def _make(study: Study, path: Path, name: str) -> None:
    storage = RDBStorage(f"sqlite:///{path.absolute()}")
    try:
        made = create_study(storage=storage, study_name=name, direction=study.direction)
        for key, value in study.user_attrs.items():
            made.set_user_attr(key, value)
    finally:
        storage.remove_session()
        storage.engine.dispose()


def _rows(trials: Iterable[FrozenTrial]) -> dict[str, list[tuple[Any, ...]]]:
    """The rows of each table; the file has one study, number 1."""
    rows: dict[str, list[tuple[Any, ...]]] = {table: [] for table in _INSERTS}
    for trial_id, trial in enumerate(trials, start=1):
        times = (_moment(trial.datetime_start), _moment(trial.datetime_complete))
        rows["trials"].append((trial_id, trial.number, 1, trial.state.name, *times))
        for name, value in trial.params.items():
            drawn = trial.distributions[name]
            internal = float(drawn.to_internal_repr(value))
            rows["trial_params"].append((trial_id, name, internal, distribution_to_json(drawn)))
        if trial.value is not None:
            rows["trial_values"].append((trial_id, 0, *_number(trial.value)))
        for step, value in trial.intermediate_values.items():
            rows["trial_intermediate_values"].append((trial_id, step, *_number(value)))
        for key, value in trial.user_attrs.items():
            rows["trial_user_attributes"].append((trial_id, key, json.dumps(value)))
    return rows


def _number(value: float) -> Iterator[Any]:
    """A figure as Optuna stores it: the value, none where it is not finite, and its kind."""
    if math.isfinite(value):
        yield from (value, "FINITE")
    elif math.isnan(value):
        yield from (None, "NAN")
    else:
        yield from (None, "INF_POS" if value > 0 else "INF_NEG")


def _moment(moment: Any) -> str | None:
    # SQLAlchemy's spelling in SQLite
    return None if moment is None else moment.strftime("%Y-%m-%d %H:%M:%S.%f")
