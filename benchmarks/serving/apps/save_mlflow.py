"""Save the pickled model as MLflow does, with its signature: python save_mlflow.py"""

import pickle
from pathlib import Path

import mlflow.sklearn
import pandas as pd
from mlflow.models import infer_signature

model = pickle.loads(Path("named.pkl").read_bytes())
frame = pd.read_json("rows.json", orient="split")
mlflow.sklearn.save_model(
    model,
    "saved",
    signature=infer_signature(frame, model.predict(frame)),
    serialization_format="cloudpickle",
    pip_requirements=["scikit-learn"],
)
