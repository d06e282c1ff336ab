"""mlq:score: batch predictions."""

from __future__ import annotations

import pandas as pd

from mlq.models.package import load_package
from mlq_workers.components.base import Result, Step
from mlq_workers.components.scoring import calm
from mlq_workers.components.tables import read_table, write_table

PREDICTION = "prediction"


def run(step: Step) -> Result:
    """Write the rows with a column `prediction`, and `probability_LABEL` per class on request.

    Columns of the data that have these names are replaced.
    """
    model = load_package(step.inputs["model"])
    rows = read_table(step.inputs["data"])
    found = {}
    with calm(step.log):
        found[PREDICTION] = pd.Series(model.predict(rows), index=rows.index)
        if step.inputs["probabilities"]:
            probabilities = model.predict_proba(rows)
            for index, label in enumerate(model.classes):
                found[f"probability_{label}"] = pd.Series(probabilities[:, index], rows.index)
    kept = rows if step.inputs["keep_columns"] else rows[[]]
    replaced = [name for name in found if name in kept.columns]
    if replaced:
        step.log(f"Replaced the columns {', '.join(replaced)} of the data.")
    table = kept.drop(columns=replaced).assign(**found)
    step.log(f"Scored {len(table)} rows.")
    return Result({"predictions": write_table(table, step.scratch / "predictions.parquet")})
