from tests.unit.workers.components.conftest import Go


def test_hands_its_value_on(go: Go) -> None:
    value = {"a": [1, None]}
    assert go("mlq:pass", value=value, other=1)["value"] is value
    assert go("mlq:pass", other=1)["value"] is None
