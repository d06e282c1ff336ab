"""BentoML with the pickled model: bentoml serve bento:Scorer"""

import pickle
from pathlib import Path

import bentoml
import numpy as np


@bentoml.service
class Scorer:
    def __init__(self) -> None:
        self.model = pickle.loads(Path("model.pkl").read_bytes())

    @bentoml.api
    def predict(self, rows: list[list[float]]) -> list[int]:
        return self.model.predict(np.array(rows)).tolist()
