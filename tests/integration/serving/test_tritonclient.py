"""The Open Inference Protocol's public client passes its calls, with JSON and with raw bytes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException

from mlq.service import models
from tests.integration.serving.conftest import World


@pytest.fixture
def world_of_two(sqlite_world: World) -> World:
    """churn/1 says `one`; churn/2, in production, looks at its rows."""
    sqlite_world.register("one")
    sqlite_world.register("real")
    with sqlite_world.database.write() as conn:
        models.set_alias(conn, name="churn", alias="production", version=2, actor="ann")
    sqlite_world.start()
    return sqlite_world


def inputs(*, as_bytes: bool) -> list[Any]:
    months = triton.InferInput("months", [2], "FP64")
    months.set_data_from_numpy(np.array([1.0, 60.0]), binary_data=as_bytes)
    plan = triton.InferInput("plan", [2, 1], "BYTES")
    plan.set_data_from_numpy(np.array([["basic"], ["plus"]], dtype=object), binary_data=as_bytes)
    return [months, plan]


@pytest.mark.parametrize("as_bytes", [True, False], ids=["binary", "json"])
def test_the_client_passes_its_calls(world_of_two: World, as_bytes: bool) -> None:
    headers = {"authorization": f"Bearer {world_of_two.token}"}
    client = triton.InferenceServerClient(world_of_two.url.removeprefix("http://"))
    try:
        assert client.is_server_live(headers=headers)
        assert client.is_server_ready(headers=headers)
        assert client.is_model_ready("churn", headers=headers)
        assert "binary_tensor_data" in client.get_server_metadata(headers=headers)["extensions"]
        metadata = client.get_model_metadata("churn", headers=headers)
        assert [one["name"] for one in metadata["inputs"]] == ["months", "plan"]
        outputs = [
            triton.InferRequestedOutput(name, binary_data=as_bytes)
            for name in ("predict", "predict_proba")
        ]
        result = client.infer(
            "churn",
            inputs(as_bytes=as_bytes),
            outputs=outputs,
            request_id="7",
            headers=headers,
        )
        answer = result.get_response()
        assert (answer["id"], answer["model_version"]) == ("7", "2")
        said = [
            one.decode() if isinstance(one, bytes) else one for one in result.as_numpy("predict")
        ]
        assert said == ["yes", "no"]
        shares = result.as_numpy("predict_proba")
        assert shares.shape == (2, 2)
        assert shares.sum(axis=1) == pytest.approx([1, 1])
        parameters = result.get_output("predict_proba")["parameters"]
        assert json.loads(parameters["classes"]) == ["no", "yes"]

        # without outputs the client asks for bytes of all there are
        first = client.infer("churn", inputs(as_bytes=as_bytes), model_version="1", headers=headers)
        assert [one.decode() for one in first.as_numpy("predict")] == ["one", "one"]
        with pytest.raises(InferenceServerException, match="months"):
            client.infer("churn", inputs(as_bytes=as_bytes)[1:], headers=headers)
    finally:
        client.close()
