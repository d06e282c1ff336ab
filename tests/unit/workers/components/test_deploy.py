import json

import pytest

from mlq.errors import SpecError, StepError
from mlq.spec.rollout import read_policy
from mlq_workers.components.base import DeployModel
from tests.unit.workers.components.conftest import Go


def test_effect(go: Go) -> None:
    ran = go("mlq:deploy", model="models:/churn/3", endpoint="churn")
    assert ran.result is not None
    assert ran.result.effect == DeployModel("models:/churn/3", "churn", "staging")


def test_a_policy_goes_by_stages(go: Go) -> None:
    policy = {"canary": [{"percent": 5, "bake_s": 60}], "abort": {"error_rate": 0.1}}
    for written in (policy, json.dumps(policy)):
        ran = go("mlq:deploy", model="models:/churn/3", endpoint="churn", policy=written)
        assert ran.result is not None
        effect = ran.result.effect
        assert isinstance(effect, DeployModel)
        assert effect.policy == read_policy(policy)
    with pytest.raises(SpecError):
        go("mlq:deploy", model="models:/churn/3", endpoint="churn", policy={"canary": [{}]})


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"model": "churn"}, "invalid_model_reference"),
        ({"model": "models:/churn@production"}, "invalid_model_reference"),
        ({"model": "models:/churn/0"}, "invalid_model_reference"),
        ({"endpoint": "a/b"}, "invalid_name"),
        ({"alias": ""}, "invalid_name"),
        ({"alias": "7"}, "invalid_name"),
    ],
)
def test_bad_input(go: Go, inputs: dict[str, str], code: str) -> None:
    with pytest.raises(StepError) as caught:
        go("mlq:deploy", **{"model": "models:/churn/3", "endpoint": "churn", **inputs})
    assert caught.value.code == code
