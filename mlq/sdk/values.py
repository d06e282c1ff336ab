"""What flows between the functions of a pipeline: kinds of values, and how they are kept in files.

int, float, bool, str              literals; as outputs and from other steps, JSON
dict, list, tuple, Any, None       JSON
pandas.DataFrame                   Parquet
numpy.ndarray                      .npy, without pickle
estimators (fit, or BaseEstimator) skops
pathlib.Path                       the file or folder itself
"""

from __future__ import annotations

import inspect
import json
import shutil
import types
import typing
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Any

from mlq.errors import MlqError


class Kind(StrEnum):
    """Of a value; the first four are port types of a job file."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    JSON = "json"
    TABLE = "table"
    ARRAY = "array"
    ESTIMATOR = "estimator"
    PATH = "path"

    @property
    def is_json(self) -> bool:
        """Whether it is written as JSON, literals included."""
        return self not in (Kind.TABLE, Kind.ARRAY, Kind.ESTIMATOR, Kind.PATH)


_BUILTIN: Mapping[Any, Kind] = {
    str: Kind.STRING,
    float: Kind.NUMBER,
    int: Kind.INTEGER,
    bool: Kind.BOOLEAN,
    Path: Kind.PATH,
    Any: Kind.JSON,
    None: Kind.JSON,
    types.NoneType: Kind.JSON,
}
_FILES: Mapping[Kind, str] = {
    Kind.TABLE: "value.parquet",
    Kind.ARRAY: "value.npy",
    Kind.ESTIMATOR: "value.skops",
}
_JSON_FILE = "value.json"
_PATH_FOLDER = "path"


def kind_of(annotation: Any) -> Kind | None:
    """The kind of values that an annotation stands for; None where no kind fits.

    `X | None` is the kind of X.
    """
    if annotation in _BUILTIN:
        return _BUILTIN[annotation]
    origin = typing.get_origin(annotation)
    if origin in (typing.Union, types.UnionType):
        rest = [part for part in typing.get_args(annotation) if part is not types.NoneType]
        kinds = {kind_of(part) for part in rest}
        if len(kinds) == 1:
            return kinds.pop()
        return Kind.JSON if None not in kinds and all(k and k.is_json for k in kinds) else None
    if origin is typing.Annotated:
        return kind_of(typing.get_args(annotation)[0])
    if origin is typing.Literal:
        kinds = {kind_of(type(value)) for value in typing.get_args(annotation)}
        return kinds.pop() if len(kinds) == 1 else Kind.JSON
    plain = origin or annotation
    if not inspect.isclass(plain):
        return None
    if issubclass(plain, (Mapping, Sequence)):
        return Kind.JSON
    if issubclass(plain, Path):
        return Kind.PATH
    if _is_named(plain, "pandas", "DataFrame"):
        return Kind.TABLE
    if _is_named(plain, "numpy", "ndarray"):
        return Kind.ARRAY
    is_estimator = any(_is_named(base, "sklearn", base.__name__) for base in plain.__mro__)
    return Kind.ESTIMATOR if is_estimator or hasattr(plain, "fit") else None


def write(value: Any, kind: Kind, folder: Path) -> None:
    """Keep `value` in the empty folder `folder`. Raises MlqError where it is not of its kind."""
    if kind is Kind.PATH:
        source = Path(value) if isinstance(value, (str, Path)) else None
        if source is None or not source.exists():
            raise _wrong(value, "the path of a file or folder that exists")
        target = folder / _PATH_FOLDER / source.name
        target.parent.mkdir()
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy2(source, target)
        return
    write_file(value, kind, folder)


def write_file(value: Any, kind: Kind, folder: Path) -> Path:
    """Keep a value that is not a path in one file of `folder`; the file."""
    if kind.is_json:
        path = folder / _JSON_FILE
        try:
            path.write_text(json.dumps(value, default=_plain, ensure_ascii=False))
        except (TypeError, ValueError) as error:
            raise _wrong(value, f"a JSON value ({error})") from None
        return path
    path = folder / _FILES[kind]
    if kind is Kind.TABLE:
        if not hasattr(value, "to_parquet"):
            raise _wrong(value, "a pandas DataFrame")
        value.to_parquet(path)
    elif kind is Kind.ARRAY:
        import numpy as np

        array = np.asarray(value)
        if array.dtype == object:
            raise _wrong(value, "an array of numbers or texts")
        np.save(path, array, allow_pickle=False)
    else:
        import skops.io

        if not hasattr(value, "fit"):
            raise _wrong(value, "an estimator")
        skops.io.dump(value, path)
    return path


def read(path: Path, kind: Kind) -> Any:
    """The value at `path`: a folder that `write` filled, or a file or folder from elsewhere.

    From elsewhere tables are CSV, Parquet or Feather, arrays .npy, JSON values .json, and
    estimators model packages.
    """
    if (path / _PATH_FOLDER).is_dir() and kind is Kind.PATH:
        (inner,) = (path / _PATH_FOLDER).iterdir()
        return inner
    if kind is Kind.PATH:
        return path
    own = path / _FILES.get(kind, _JSON_FILE)
    file = own if own.is_file() else path
    try:
        if kind.is_json:
            return json.loads(file.read_text())
        if kind is Kind.TABLE:
            return _read_table(file)
        if kind is Kind.ARRAY:
            import numpy as np

            return np.load(file, allow_pickle=False)
        return _read_estimator(file)
    except (OSError, ValueError) as error:
        raise MlqError(
            f"{path.name} cannot be read as {_NAMES[kind]}: {error}.", code="bad_value"
        ) from error


def _read_table(file: Path) -> Any:
    import pandas as pd

    match file.suffix:
        case ".parquet":
            return pd.read_parquet(file)
        case ".feather" | ".arrow":
            return pd.read_feather(file)
        case _:
            return pd.read_csv(file)


def _read_estimator(file: Path) -> Any:
    import skops.io

    if file.is_dir():
        file = file / "model.skops"  # of a model package

    # The functions of the pipeline wrote it, and are trusted as much as the one that reads it.
    return skops.io.load(file, trusted=skops.io.get_untrusted_types(file=file))


def _plain(value: Any) -> Any:
    """Numbers of numpy as Python's; nothing else is made JSON that is not."""
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return value.item()
    raise TypeError(f"{type(value).__name__} is no JSON value")


def _is_named(kind: type, package: str, name: str) -> bool:
    return kind.__module__.partition(".")[0] == package and kind.__name__ == name


def _wrong(value: Any, wanted: str) -> MlqError:
    return MlqError(f"{value!r:.80} is not {wanted}.", code="bad_value")


_NAMES: Mapping[Kind, str] = {
    **dict.fromkeys(Kind, "JSON"),
    Kind.TABLE: "a table",
    Kind.ARRAY: "an array",
    Kind.ESTIMATOR: "an estimator",
}
