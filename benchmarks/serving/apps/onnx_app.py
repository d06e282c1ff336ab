"""FastAPI and ONNX Runtime, written by hand for one model. Run by its own environment's uvicorn."""

import numpy as np
import onnxruntime
from fastapi import FastAPI
from pydantic import BaseModel

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession("model.onnx", options, providers=["CPUExecutionProvider"])
app = FastAPI()


class Rows(BaseModel):
    rows: list[list[float]]


@app.post("/predict")
async def predict(asked: Rows):
    labels = session.run(None, {"rows": np.array(asked.rows)})[0]
    return {"predictions": labels.tolist()}
