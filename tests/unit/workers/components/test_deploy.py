import pytest

from mlq.errors import StepError
from mlq_workers.components.base import DeployModel
from tests.unit.workers.components.conftest import Go


def test_effect(go: Go) -> None:
    ran = go("mlq:deploy", model="models:/churn/3", endpoint="churn")
    assert ran.result is not None
    assert ran.result.effect == DeployModel("models:/churn/3", "churn", "staging")


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
