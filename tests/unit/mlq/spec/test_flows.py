"""One flow against one port."""

from __future__ import annotations

from mlq.spec import Port, read_document
from mlq.spec.flows import ABSENT, BROKEN, Flow, fit
from mlq.spec.problems import Problems


def test_what_fits_is_typed_by_its_port() -> None:
    problems = Problems(read_document("{}"))
    model = Port("mlflow_model")
    asset = fit(problems, "m", Flow("literal", "azureml:m:2"), model, ("m",))
    assert asset == Flow("asset", "models:/m/2", type="mlflow_model")
    folder = Flow("asset", "mlq:m:2", type="uri_folder")
    assert fit(problems, "m", folder, model, ("m",)).type == "mlflow_model"
    assert fit(problems, "m", folder, None, ("m",)) is folder
    assert fit(problems, "m", ABSENT, model, ("m",)) is ABSENT
    assert len(problems) == 0


def test_what_does_not_fit_is_a_problem_once() -> None:
    problems = Problems(read_document("{}"))
    for _ in range(2):
        assert fit(problems, "m", Flow("literal", 3), Port("uri_file"), ("m",)) is BROKEN
    assert len(problems) == 1
