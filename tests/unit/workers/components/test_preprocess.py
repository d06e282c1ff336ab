import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlq.data import demo_file
from mlq.errors import StepError
from tests.unit.workers.components.conftest import Go, Ran


def _recipe(ran: Ran) -> dict[str, dict[str, object]]:
    return {column["name"]: column for column in json.loads(ran["recipe"].read_text())["columns"]}


def _refused(go: Go, frame: pd.DataFrame, **inputs: object) -> StepError:
    with pytest.raises(StepError) as caught:
        go("mlq:preprocess", data=frame, **{"target": "left", **inputs})
    return caught.value


def test_demo_data(go: Go) -> None:
    ran = go("mlq:preprocess", data=demo_file("penguins.csv"), target="sex")
    train, test = pd.read_parquet(ran["train"]), pd.read_parquet(ran["test"])
    assert len(train) + len(test) == 333
    assert len(test) == 67
    assert {name: column["kind"] for name, column in _recipe(ran).items()} == {
        "species": "category",
        "island": "category",
        "bill_length_mm": "number",
        "bill_depth_mm": "number",
        "flipper_length_mm": "number",
        "body_mass_g": "number",
        "year": "number",
    }
    profile = json.loads(ran["profile"].read_text())
    assert profile["rows_read"] == 344
    assert profile["target"] == {"name": "sex", "task": "classification"}
    assert profile["notes"] == ["Left out 11 rows without a target."]
    share = (train["sex"] == "male").mean()
    assert abs(share - (test["sex"] == "male").mean()) < 0.01


def test_same_seed_same_bytes_other_seed_other_rows(go: Go, people: pd.DataFrame) -> None:
    runs = [go("mlq:preprocess", data=people, target="left", seed=seed) for seed in (1, 1, 2)]
    for output in ("train", "test", "recipe", "profile"):
        assert runs[0][output].read_bytes() == runs[1][output].read_bytes()
    assert runs[0]["test"].read_bytes() != runs[2]["test"].read_bytes()


def test_the_recipe_holds_settings_and_no_statistics(go: Go, people: pd.DataFrame) -> None:
    """Rows of extreme values change nothing in it: whatever must be fitted is fitted later."""
    wild = people.assign(age=people["age"] * 1e6)
    ran = [
        go("mlq:preprocess", data=data, target="left", clip_quantiles=[0.01, 0.99])
        for data in (people, wild)
    ]
    assert ran[0]["recipe"].read_text() == ran[1]["recipe"].read_text()
    assert pd.read_parquet(ran[1]["train"])["age"].max() == wild["age"].max() or (
        pd.read_parquet(ran[1]["test"])["age"].max() == wild["age"].max()
    )


def test_columns_that_tell_nothing_are_left_out_and_noted(go: Go, people: pd.DataFrame) -> None:
    frame = people.assign(
        empty=None, same=1, ident=[f"row-{n}" for n in range(len(people))], extra=2.5
    )
    ran = go("mlq:preprocess", data=frame, target="left", drop_columns=["extra"])
    assert set(_recipe(ran)) == {"age", "plan", "active", "since"}
    notes = " ".join(json.loads(ran["profile"].read_text())["notes"])
    for words in ("'empty' is empty", "'same' has the same value", "'ident' differs"):
        assert words in notes
        assert any(words in line for line in ran.lines)
    assert "extra" not in pd.read_parquet(ran["train"]).columns


def test_duplicates(go: Go, people: pd.DataFrame) -> None:
    twice = pd.concat([people, people])
    kept = go("mlq:preprocess", data=twice, target="left", drop_duplicates=False)
    dropped = go("mlq:preprocess", data=twice, target="left")
    assert json.loads(kept["profile"].read_text())["rows"] == 200
    assert json.loads(dropped["profile"].read_text())["rows"] == 100


def test_given_types(go: Go, people: pd.DataFrame) -> None:
    frame = people.assign(code=np.arange(100) % 3, size=[*["1.5"] * 60, *["2"] * 39, "unknown"])
    types = {"code": "category", "size": "number"}
    ran = go("mlq:preprocess", data=frame, target="left", types=types)
    assert _recipe(ran)["code"]["kind"] == "category"
    assert _recipe(ran)["size"] == {"name": "size", "kind": "number", "required": False}
    assert any("1 values of 'size' are no number" in line for line in ran.lines)


def test_optional_columns_are_those_with_gaps(go: Go, people: pd.DataFrame) -> None:
    columns = _recipe(go("mlq:preprocess", data=people, target="left"))
    assert {name for name, column in columns.items() if not column["required"]} == {"age", "plan"}


@pytest.mark.parametrize(
    ("inputs", "kind"),
    [
        ({}, "stratified"),
        ({"split": "random"}, "random"),
        ({"group_column": "plan"}, "grouped"),
        ({"time_column": "since"}, "time"),
    ],
)
def test_splits(go: Go, people: pd.DataFrame, inputs: dict[str, str], kind: str) -> None:
    ran = go("mlq:preprocess", data=people, target="left", **inputs)
    assert json.loads(ran["profile"].read_text())["split"]["kind"] == kind
    # What orders or groups rows is not learned from, and stays for folds.
    for column in set(inputs.values()) - {"random"}:
        assert column not in _recipe(ran)
        assert column in pd.read_parquet(ran["train"]).columns


def test_auto_split_of_numbers_and_rare_classes_is_random(
    go: Go, houses: pd.DataFrame, people: pd.DataFrame
) -> None:
    people.loc[0, "left"] = "perhaps"
    for frame, target in ((houses, "price"), (people, "left")):
        ran = go("mlq:preprocess", data=frame, target=target)
        assert json.loads(ran["profile"].read_text())["split"]["kind"] == "random"


def test_no_test_rows(go: Go, people: pd.DataFrame) -> None:
    ran = go("mlq:preprocess", data=people, target="left", test_size=0)
    assert len(pd.read_parquet(ran["train"])) == 100
    assert pd.read_parquet(ran["test"]).empty


def test_target_with_gaps_that_reads_as_float(go: Go, people: pd.DataFrame) -> None:
    frame = people.assign(left=[None, *[0.0, 1.0] * 49, 1.0])
    profile = json.loads(go("mlq:preprocess", data=frame, target="left")["profile"].read_text())
    assert profile["target"]["task"] == "classification"


@pytest.mark.parametrize(
    ("change", "inputs", "code", "words"),
    [
        ({}, {"target": "lefft"}, "missing_column", "left"),
        ({"left": None}, {}, "invalid_target", "is empty"),
        ({"left": "yes"}, {}, "one_class_target", "one value only"),
        ({}, {"drop_columns": ["agee"]}, "missing_column", "age"),
        ({}, {"drop_columns": ["left"]}, "invalid_input", "is needed"),
        ({}, {"types": {"agee": "number"}}, "missing_column", "age"),
        ({}, {"types": {"age": "numeric"}}, "invalid_input", "unknown type"),
        ({}, {"types": {"left": "number"}}, "invalid_data", "is not a number"),
        ({}, {"group_column": "plans"}, "missing_column", "plan"),
        ({}, {"split": "time"}, "missing_input", "time_column"),
        ({}, {"split": "grouped"}, "missing_input", "group_column"),
        ({}, {"target": "age", "split": "stratified"}, "invalid_input", "needs classes"),
        ({"left": ["x", *["y"] * 99]}, {"split": "stratified"}, "too_few_rows", "one row"),
        ({}, {"drop_columns": ["age", "plan", "active", "since"]}, "invalid_data", "No column"),
    ],
)
def test_bad_input(
    go: Go,
    people: pd.DataFrame,
    change: dict[str, object],
    inputs: dict[str, object],
    code: str,
    words: str,
) -> None:
    error = _refused(go, people.assign(**change), **inputs)
    assert error.code == code
    assert words in f"{error.message} {error.hint}"


@pytest.mark.parametrize("content", [b"", b"a,left\n", b"a,left\n1,x,3\n", b"\x00\x01\xff" * 99])
def test_bad_files_leave_nothing_half_made(
    go: Go, started: list[Ran], tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "bad.csv"
    file.write_bytes(content)
    with pytest.raises(StepError):
        go("mlq:preprocess", data=file, target="left")
    assert list(started[0].scratch.iterdir()) == []
