"""References in their one spelling."""

from __future__ import annotations

import pytest

from mlq.spec.references import (
    BadReferenceError,
    is_component_file,
    is_local_path,
    is_step_name,
    parse_asset,
    parse_component,
    parse_compute,
    shorten,
)

DIGEST = "a" * 64


@pytest.mark.parametrize(
    ("text", "type", "reference"),
    [
        ("mlq:churn:3", "uri_file", "mlq:churn:3"),
        ("azureml:churn@latest", "uri_file", "mlq:churn@latest"),
        ("azureml:churn:3", "mlflow_model", "models:/churn/3"),
        ("mlq:churn@latest", "mlflow_model", "models:/churn/latest"),
        ("mlq:churn@production", "custom_model", "models:/churn@production"),
        ("models:/churn@production", "mlflow_model", "models:/churn@production"),
        ("models:/churn/7", "mlflow_model", "models:/churn/7"),
        (f"artifact:sha256:{DIGEST}", "uri_folder", f"artifact:sha256:{DIGEST}"),
        (f"artifact:sha256:{DIGEST}/x.csv", "uri_file", f"artifact:sha256:{DIGEST}/x.csv"),
        ("https://example.org/iris.csv", "uri_file", "https://example.org/iris.csv"),
    ],
)
def test_assets(text: str, type: str, reference: str) -> None:
    assert parse_asset(text, type=type) == reference


@pytest.mark.parametrize(
    ("text", "words", "suggestion"),
    [
        ("mlq:churn", "says no version", "mlq:churn@latest"),
        ("azureml:churn", "says no version", "mlq:churn@latest"),
        ("azureml://jobs/x/outputs/y", "datastore", None),
        ("models:/churn", "is not a reference", None),
        ("artifact:sha256:12", "is not a reference", None),
        ("./churn.csv", "mlq data create", None),
        ("file:///srv/churn.csv", "POST /v1/data/NAME/versions", None),
        ("churn", "mlq data create", None),
        ("ftp://x/y", "not supported", None),
    ],
)
def test_what_is_no_asset(text: str, words: str, suggestion: str | None) -> None:
    with pytest.raises(BadReferenceError, match=words) as caught:
        parse_asset(text)
    assert caught.value.suggestion == suggestion


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("mlq:train", ("mlq:train", None)),
        ("azureml:train@latest", ("mlq:train", None)),
        ("azureml:train:2", ("mlq:train", "2")),
        ("mlq:train@stable", ("mlq:train", "@stable")),
        ("train", ("train", None)),
    ],
)
def test_components(text: str, parts: tuple[str, str | None]) -> None:
    assert parse_component(text) == parts


@pytest.mark.parametrize(
    ("text", "tag"),
    [
        ("gpu", "gpu"),
        ("azureml:cpu-cluster", "cpu-cluster"),
        ("azureml:/subscriptions/s/resourceGroups/r/computes/gpu", "gpu"),
        ("a,b", None),
        ("", None),
        ("x" * 64, None),
    ],
)
def test_computes(text: str, tag: str | None) -> None:
    assert parse_compute(text) == tag


def test_local_paths() -> None:
    assert all(map(is_local_path, ["./x.csv", "x.csv", "/srv/x", "file:x", "C:\\x.csv", "~/x"]))
    assert not any(map(is_local_path, ["mlq:x:1", "https://x", "${{parent.inputs.x}}"]))


def test_component_files() -> None:
    assert all(map(is_component_file, ["./a.yml", "../a", "file:a", "a.yaml", "/srv/a"]))
    assert not is_component_file("mlq:train")


def test_step_names() -> None:
    assert all(map(is_step_name, ["a", "_a", "train-2", "A_b"]))
    assert not any(map(is_step_name, ["", "2a", "a.b", "a b", "-a", "ä", "a\n"]))


def test_shortening() -> None:
    assert shorten("x" * 100) == "x" * 57 + "..."
