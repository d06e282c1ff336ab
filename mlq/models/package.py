"""Model packages on disk: MLflow-format directories whose estimator is serialized with skops.

    MLmodel             flavors, signature and mlq's own metadata, YAML
    model.skops         the pipeline; it takes raw rows
    model.onnx          the same for ONNX Runtime, where it is; see `mlq.models.onnx`
    input_example.json  a few raw rows, as {columns, data}
    serving_input_example.json   the same rows as a request body
    training_profile.json   what later rows are compared with; see `mlq.models.profile`
    requirements.txt  python_env.yaml

Reading one never unpickles: see `mlq.models.trust`.
"""

from __future__ import annotations

import json
import logging
import math
import platform
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import yaml

from mlq.errors import StepError
from mlq.models import onnx
from mlq.models import signature as signatures
from mlq.models.bare import BareModel, strip
from mlq.models.onnx import ONNX_FILE, OnnxModel
from mlq.models.signature import Signature

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger(__name__)

MLMODEL = "MLmodel"
MODEL_FILE = "model.skops"
EXAMPLE_FILE = "input_example.json"
SERVING_EXAMPLE_FILE = "serving_input_example.json"
EXAMPLE_ROWS = 3
#: Written as `mlflow_version`: the release whose layout these packages follow.
MLFLOW_LAYOUT = "3.17.2"


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class LoadedModel:
    """A model ready to predict.

    task: classification or regression. classes: labels as in the training data, in the order of
    `predict_proba`'s columns; empty for regression. target: the column that was learned, if known.
    metadata: what was stored with the model (estimator, params, metrics, seed …). onnx: the same
    model for ONNX Runtime, where the package has it and it was asked for. bare: the pipeline for
    arrays, where it was asked for and all columns are numbers.
    """

    pipeline: Any
    signature: Signature
    task: str
    classes: tuple[Any, ...] = ()
    target: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    onnx: OnnxModel | None = None
    bare: BareModel | None = None

    @property
    def has_probabilities(self) -> bool:
        """Whether `predict_proba` answers."""
        return self.task == "classification" and hasattr(self.pipeline, "predict_proba")

    def predict(self, rows: pd.DataFrame) -> np.ndarray:
        """Predictions for raw rows, shape (rows,): labels as in the training data, or numbers.

        Raises StepError (code `invalid_rows`) where a column is missing or a value does not fit.
        """
        import numpy as np

        if not len(rows):
            self.signature.check(rows)
            return np.asarray(self.classes[:0] if self.classes else [], dtype=object)
        return np.asarray(self._call("predict", rows))

    def predict_proba(self, rows: pd.DataFrame) -> np.ndarray:
        """Probabilities for raw rows, shape (rows, classes), float64, columns as in `classes`.

        Raises StepError where the model has none (code `no_probabilities`) or rows are bad.
        """
        import numpy as np

        if not self.has_probabilities:
            raise StepError(
                "This model gives no probabilities.",
                code="no_probabilities",
                hint="Ask for predictions only, or train a classifier that has predict_proba.",
            )
        if not len(rows):
            self.signature.check(rows)
            return np.empty((0, len(self.classes)))
        return np.asarray(self._call("predict_proba", rows))

    def answer_numbers(
        self, rows: np.ndarray, *, with_probabilities: bool
    ) -> tuple[np.ndarray, np.ndarray | None] | None:
        """Predictions and probabilities for raw rows of numbers; None where it takes frames only.

        rows: float64, shape (rows, columns), columns as in the signature, missing ones NaN.
        Raises StepError as `predict`.
        """
        model = self.onnx or self.bare
        if model is None or (with_probabilities and not self.has_probabilities):
            return None
        try:
            return model.run(rows, with_probabilities=with_probabilities)
        except (ValueError, TypeError) as error:
            raise _refused(error) from error

    def _call(self, method: str, rows: pd.DataFrame) -> Any:
        self.signature.check(rows)
        try:
            return getattr(self.pipeline, method)(rows)
        except (ValueError, TypeError) as error:
            raise _refused(error) from error


def _refused(error: Exception) -> StepError:
    return StepError(
        f"The model cannot take these rows: {error}.".replace("..", "."), code="invalid_rows"
    )


def write_package(
    path: Path,
    pipeline: Any,
    *,
    columns: Sequence[Mapping[str, Any]],
    rows: pd.DataFrame,
    task: str,
    target: str,
    metadata: Mapping[str, Any],
    requirements: Sequence[str] = (),
) -> LoadedModel:
    """Write a fitted pipeline as a package into the new folder `path` and read it back.

    columns: the recipe's columns, records {name, kind, required}; rows: raw training rows, of which
    the first few become the example. requirements: distributions needed besides scikit-learn's.
    Raises StepError where the pipeline holds something that must not or cannot be stored.
    """
    import skops.io

    path.mkdir(parents=True)
    example = rows[[column["name"] for column in columns]].head(EXAMPLE_ROWS)
    prediction = pipeline.predict(example)
    signature = Signature(
        signatures.infer_fields(rows, columns), signatures.infer_output(prediction)
    )
    try:
        skops.io.dump(pipeline, path / MODEL_FILE, compression=zipfile.ZIP_DEFLATED)
        trusted = skops.io.get_untrusted_types(file=path / MODEL_FILE)
    except Exception as error:  # skops raises whatever the estimator's state provokes
        raise StepError(
            f"The model cannot be stored: {error}",
            code="model_not_storable",
            hint="skops stores scikit-learn-compatible estimators without functions of their own.",
        ) from error
    from mlq.models.profile import PROFILE_FILE, make_profile
    from mlq.models.trust import check_types

    exported = onnx.export_model(
        pipeline,
        rows[[column["name"] for column in columns]],
        kinds=[column["kind"] for column in columns],
        has_probabilities=task == "classification" and hasattr(pipeline, "predict_proba"),
    )
    if exported is not None:
        (path / ONNX_FILE).write_bytes(exported)
    _write_example(path, example)
    profile = make_profile(pipeline, rows, columns=columns, task=task)
    (path / PROFILE_FILE).write_text(json.dumps(profile), encoding="utf-8")
    _write_environment(path, requirements)
    document = _mlmodel(
        trusted=check_types(trusted),
        signature=signature,
        metadata={"mlq": {"task": task, "target": target, **metadata}},
        has_onnx=exported is not None,
        size=sum(file.stat().st_size for file in path.iterdir()),
    )
    text = yaml.safe_dump(document, sort_keys=True, allow_unicode=True)
    (path / MLMODEL).write_text(text, encoding="utf-8")
    return load_package(path)


def _mlmodel(
    *,
    trusted: list[str],
    signature: Signature,
    metadata: Mapping[str, Any],
    has_onnx: bool,
    size: int,
) -> dict[str, Any]:
    import sklearn

    return {
        "flavors": {
            **({"onnx": _onnx_flavor()} if has_onnx else {}),
            "python_function": {
                "env": {"virtualenv": "python_env.yaml"},
                "loader_module": "mlflow.sklearn",
                "model_path": MODEL_FILE,
                "predict_fn": "predict",
                "python_version": platform.python_version(),
            },
            "sklearn": {
                "code": None,
                "pickled_model": MODEL_FILE,
                "serialization_format": "skops",
                "sklearn_version": sklearn.__version__,
                "skops_trusted_types": trusted,
            },
        },
        "is_signature_from_type_hint": False,
        "metadata": dict(metadata),
        "mlflow_version": MLFLOW_LAYOUT,
        "model_size_bytes": size,
        "model_uuid": uuid4().hex,
        "saved_input_example_info": {
            "artifact_path": EXAMPLE_FILE,
            "pandas_orient": "split",
            "serving_input_path": SERVING_EXAMPLE_FILE,
            "type": "dataframe",
        },
        "signature": signature.as_mlmodel(),
        "type_hint_from_example": False,
        "utc_time_created": datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S.%f"),
    }


def _onnx_flavor() -> dict[str, Any]:
    from importlib.metadata import version

    return {
        "code": None,
        "data": ONNX_FILE,
        "onnx_version": version("onnx"),
        "providers": ["CPUExecutionProvider"],
    }


def _write_example(path: Path, example: pd.DataFrame) -> None:
    table = {
        "columns": list(example.columns),
        "data": [[_plain(value) for value in row] for row in example.itertuples(index=False)],
    }
    (path / EXAMPLE_FILE).write_text(json.dumps(table), encoding="utf-8")
    body = json.dumps({"dataframe_split": table}, indent=2)
    (path / SERVING_EXAMPLE_FILE).write_text(body, encoding="utf-8")


def _plain(value: Any) -> Any:
    import pandas as pd

    if pd.isna(value) or (isinstance(value, float) and math.isinf(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.isoformat()
    return value.item() if hasattr(value, "item") else value


def _write_environment(path: Path, requirements: Sequence[str]) -> None:
    from importlib.metadata import version

    names = dict.fromkeys(["numpy", "pandas", "scikit-learn", "skops", *requirements])
    lines = [
        "# The model's own transformers are mlq.models.transformers, installed with the platform.",
        *(f"{name}=={version(name)}" for name in names),
    ]
    (path / "requirements.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    environment = {
        "python": platform.python_version(),
        "build_dependencies": ["pip"],
        "dependencies": ["-r requirements.txt"],
    }
    text = yaml.safe_dump(environment, sort_keys=False)
    (path / "python_env.yaml").write_text(text, encoding="utf-8")


def load_package(path: Path, *, with_onnx: bool = False, with_bare: bool = False) -> LoadedModel:
    """Read a package; nothing in it is unpickled or imported beyond trusted classes.

    with_onnx: read its ONNX model, too, where it has one, ONNX Runtime is installed, and both
    answer the example in the package alike. with_bare: make its form for arrays, where all columns
    are numbers and it answers the example alike.

    Raises StepError: `invalid_model` for a folder that is no package or a damaged one,
    `untrusted_model` for one whose content is refused.
    """
    document = read_mlmodel(path)
    flavor = document["flavors"].get("sklearn")
    if not isinstance(flavor, dict):
        raise _invalid("it has no sklearn flavor")
    if flavor.get("serialization_format") != "skops":
        raise StepError(
            f"The model is serialized with {flavor.get('serialization_format', 'pickle')}, which "
            "runs code when it is read.",
            code="untrusted_model",
            hint="Store it with serialization_format='skops'.",
        )
    file = path / str(flavor.get("pickled_model", MODEL_FILE))
    if file.resolve().parent != path.resolve() or not file.is_file():
        raise _invalid(f"{MODEL_FILE} is missing")
    pipeline = _load_estimator(file, flavor.get("skops_trusted_types") or [])
    metadata = (document.get("metadata") or {}).get("mlq") or {}
    classes = getattr(pipeline, "classes_", None)
    task = metadata.get("task") or ("regression" if classes is None else "classification")
    model = LoadedModel(
        pipeline=pipeline,
        signature=_read_signature(document),
        task=task,
        classes=tuple(classes.tolist()) if classes is not None and task != "regression" else (),
        target=metadata.get("target"),
        metadata=metadata,
    )
    example = _read_numbers(path, model) if with_onnx or with_bare else None
    if example is None:
        return model
    has_probabilities = model.has_probabilities
    return replace(
        model,
        onnx=_load_onnx(path, model, example) if with_onnx else None,
        bare=strip(pipeline, example, has_probabilities=has_probabilities) if with_bare else None,
    )


def _read_numbers(path: Path, model: LoadedModel) -> pd.DataFrame | None:
    """The example, where all columns are numbers."""
    file = path / EXAMPLE_FILE
    types = [field.type for field in model.signature.inputs]
    if not (file.is_file() and onnx.is_numeric(types)):
        return None
    import pandas as pd

    try:
        table = json.loads(file.read_text(encoding="utf-8"))
        rows = pd.DataFrame(table["data"], columns=table["columns"], dtype="float64")
        return rows[[field.name for field in model.signature.inputs]]
    except (ValueError, KeyError, TypeError):
        return None  # warming the model says what is wrong with it


def _load_onnx(path: Path, model: LoadedModel, rows: pd.DataFrame) -> OnnxModel | None:
    """The package's ONNX model, unless it is not to be trusted with requests."""
    file = path / ONNX_FILE
    if not file.is_file():
        return None
    try:
        opened = onnx.open_model(file)
        reason = onnx.find_difference(
            opened, model.pipeline, rows, has_probabilities=model.has_probabilities
        )
    except ImportError:
        return None
    except Exception as error:  # a damaged file fails in many ways; the original serves
        reason = f"{type(error).__name__}: {error}"
    if reason is not None:
        log.warning("the model's ONNX form is not used: %.300s", reason)
        return None
    return opened


def read_mlmodel(path: Path) -> dict[str, Any]:
    """The MLmodel document of the package at `path`, without reading the model itself.

    Raises StepError (code `invalid_model`).
    """
    try:
        document = yaml.safe_load((path / MLMODEL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise _invalid(f"it has no {MLMODEL} file") from None
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise _invalid(f"its {MLMODEL} file cannot be read: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("flavors"), dict):
        raise _invalid(f"its {MLMODEL} file names no flavors")
    return document


def read_signature(path: Path) -> Signature:
    """The signature of the package at `path`. Raises StepError (code `invalid_model`)."""
    return _read_signature(read_mlmodel(path))


def _read_signature(document: Mapping[str, Any]) -> Signature:
    try:
        return signatures.parse_signature(document.get("signature"))
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise _invalid(f"its signature cannot be read: {error}") from error


def _load_estimator(file: Path, declared: Sequence[str]) -> Any:
    import skops.io
    from skops.io.exceptions import UntrustedTypesFoundException

    from mlq.models.trust import check_trees, check_types

    if not isinstance(declared, list) or not all(isinstance(name, str) for name in declared):
        raise _invalid("skops_trusted_types is not a list of names")
    try:
        estimator = skops.io.load(file, trusted=check_types(declared))
    except UntrustedTypesFoundException as error:
        raise StepError(
            f"The model holds types that its {MLMODEL} does not name. {str(error).splitlines()[0]}",
            code="untrusted_model",
            hint="Only models written by mlq or mlflow.sklearn with skops load.",
        ) from error
    except StepError:
        raise
    except Exception as error:  # a damaged zip or schema fails in many ways
        raise _invalid(f"{file.name} cannot be read: {error}") from error
    check_trees(estimator)
    return estimator


def _invalid(reason: str) -> StepError:
    return StepError(
        f"This is no usable model package: {reason}.",
        code="invalid_model",
        hint="A model package is a folder that mlq:train or MLflow's sklearn flavor wrote.",
    )
