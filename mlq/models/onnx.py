"""ONNX beside the original: written where skl2onnx is installed and where it answers the same.

A package with `model.onnx` beside its estimator gives the same answers by ONNX Runtime, at a
fraction of the cost of a call. It is written only for models whose columns are all numbers, after
the labels of a sample of training rows came out equal and all numbers within TOLERANCE: trees sum
in single precision in ONNX. The model takes one tensor `rows`, FP64, shape [n, columns] in the
order of the signature, missing values as NaN.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlq.models.bare import without_names

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

log = logging.getLogger(__name__)

ONNX_FILE = "model.onnx"
INPUT = "rows"
#: Largest difference of a probability or a prediction, absolute or relative to the original's.
TOLERANCE = 1e-6
#: Training rows that both answer before the export is kept.
SAMPLE_ROWS = 500
_OPSET = {"": 18, "ai.onnx.ml": 3}
_NUMERIC = frozenset({"double", "float", "long", "integer"})


@dataclass(frozen=True, slots=True)
class OnnxModel:
    """A session of ONNX Runtime. Safe to use from many threads.

    outputs: names of what it gives, predictions first, then probabilities where it has them.
    """

    session: Any
    outputs: tuple[str, ...]

    def run(
        self, rows: np.ndarray, *, with_probabilities: bool
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Predictions, shape (rows,), and probabilities, shape (rows, classes), float64.

        rows: float64, shape (rows, columns). with_probabilities: only where the model has them.
        """
        import numpy as np

        wanted = self.outputs[: 2 if with_probabilities else 1]
        answer = self.session.run(wanted, {INPUT: np.ascontiguousarray(rows)})
        predictions = answer[0].reshape(-1)
        return predictions, answer[1].astype(np.float64) if with_probabilities else None


def is_numeric(types: Sequence[str]) -> bool:
    """Whether columns of these types can be one tensor of numbers."""
    return bool(types) and _NUMERIC.issuperset(types)


def export_model(
    pipeline: Any, rows: pd.DataFrame, *, kinds: Sequence[str], has_probabilities: bool
) -> bytes | None:
    """The pipeline as ONNX; None where it cannot be, or is not the same on a sample of `rows`.

    rows: raw training rows, the model's columns in order. kinds: of the columns, as in a recipe.
    """
    if set(kinds) != {"number"}:
        return None
    try:
        import onnxruntime  # noqa: F401
        import skl2onnx  # noqa: F401
    except ImportError:
        return None
    try:
        serialized = _convert(pipeline, width=rows.shape[1], has_probabilities=has_probabilities)
        model = open_model(serialized)
        step = max(1, len(rows) // SAMPLE_ROWS)
        sample = rows.iloc[::step].head(SAMPLE_ROWS)
        reason = find_difference(model, pipeline, sample, has_probabilities=has_probabilities)
    except Exception as error:  # whatever a converter or the runtime raises, the original serves
        reason = f"{type(error).__name__}: {error}"
    if reason is not None:
        log.info("the model is not written as ONNX: %.300s", reason)
        return None
    return serialized


def open_model(serialized: bytes | Path) -> OnnxModel:
    """Read an ONNX model for calls of one thread each. Raises whatever ONNX Runtime raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    source = str(serialized) if isinstance(serialized, Path) else serialized
    session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    return OnnxModel(session, tuple(output.name for output in session.get_outputs()))


def find_difference(
    model: OnnxModel, pipeline: Any, rows: pd.DataFrame, *, has_probabilities: bool
) -> str | None:
    """What an ONNX model answers otherwise than its original; None where nothing is."""
    import numpy as np

    predictions, probabilities = model.run(
        rows.to_numpy(dtype=np.float64), with_probabilities=has_probabilities
    )
    wanted = np.asarray(pipeline.predict(rows))
    if probabilities is not None:
        shares = pipeline.predict_proba(rows)
        if not _are_same(predictions, wanted):
            return "it predicts another label"
        if not np.allclose(probabilities, shares, rtol=0, atol=TOLERANCE):
            return f"a probability differs by {np.abs(probabilities - shares).max():.3g}"
        return None
    if predictions.dtype.kind != "f" or wanted.dtype.kind != "f":
        return None if _are_same(predictions, wanted) else "it predicts another label"
    if not np.allclose(predictions, wanted, rtol=TOLERANCE, atol=TOLERANCE):
        return f"a prediction differs by {np.abs(predictions - wanted).max():.3g}"
    return None


def _are_same(one: np.ndarray, other: np.ndarray) -> bool:
    """Whether labels are equal, and of the same type: JSON tells 1 from true."""
    left, right = one.tolist(), other.tolist()
    return left == right and list(map(type, left)) == list(map(type, right))


def _convert(pipeline: Any, *, width: int, has_probabilities: bool) -> bytes:
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import DoubleTensorType

    bare = without_names(pipeline)
    options: Mapping[int, Any] = {id(bare): {"zipmap": False}} if has_probabilities else {}
    converted = convert_sklearn(
        bare,
        initial_types=[(INPUT, DoubleTensorType([None, width]))],
        options=options or None,
        target_opset=_OPSET,
        custom_shape_calculators=_shapes(),
        custom_conversion_functions=_converters(),
    )
    return bytes(converted.SerializeToString())


def _shapes() -> dict[type, Any]:
    from sklearn.impute import SimpleImputer

    from mlq.models.transformers import Clip

    def keep_shape(operator: Any) -> None:
        given = operator.inputs[0].type
        operator.outputs[0].type = type(given)([None, given.shape[1]])

    return {Clip: keep_shape, SimpleImputer: keep_shape}


def _converters() -> dict[type, Any]:
    import numpy as np
    from skl2onnx.algebra.onnx_ops import OnnxIsNaN_13, OnnxMax_13, OnnxMin_13, OnnxWhere_16
    from sklearn.impute import SimpleImputer

    from mlq.models.transformers import Clip

    def clip(scope: Any, operator: Any, container: Any) -> None:
        raw = operator.raw_operator
        opset = container.target_opset
        low, high = raw.lower_.astype(np.float64), raw.upper_.astype(np.float64)
        raised = OnnxMax_13(operator.inputs[0], low, op_version=opset)
        lowered = OnnxMin_13(raised, high, op_version=opset, output_names=operator.outputs[:1])
        lowered.add_to(scope, container)

    def impute(scope: Any, operator: Any, container: Any) -> None:
        # ONNX's own imputer is for single precision in ONNX Runtime
        opset = container.target_opset
        known = operator.raw_operator.statistics_.astype(np.float64)
        filled = OnnxWhere_16(
            OnnxIsNaN_13(operator.inputs[0], op_version=opset),
            known,
            operator.inputs[0],
            op_version=opset,
            output_names=operator.outputs[:1],
        )
        filled.add_to(scope, container)

    return {Clip: clip, SimpleImputer: impute}
