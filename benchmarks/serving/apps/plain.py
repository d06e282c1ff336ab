"""The plain app: FastAPI and the pickled model. Run by its own environment's uvicorn."""

import pickle
from pathlib import Path

import numpy as np
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
model = pickle.loads(Path("model.pkl").read_bytes())


class Rows(BaseModel):
    rows: list[list[float]]


@app.post("/predict")
async def predict(asked: Rows):
    return {"predictions": model.predict(np.array(asked.rows)).tolist()}
