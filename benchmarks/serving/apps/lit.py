"""LitServe with the pickled model: python lit.py PORT"""

import pickle
import sys
from pathlib import Path

import litserve
import numpy as np


class Api(litserve.LitAPI):
    def setup(self, device):
        self.model = pickle.loads(Path("model.pkl").read_bytes())

    def decode_request(self, request):
        return np.array(request["rows"])

    def predict(self, rows):
        return self.model.predict(rows)

    def encode_response(self, labels):
        return {"predictions": labels.tolist()}


if __name__ == "__main__":
    server = litserve.LitServer(Api(), accelerator="cpu")
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
