"""The same model, trained twice, is the same; another one is not."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlq.models.sameness import same_file
from tests.packages import write_classifier


@pytest.mark.parametrize(("strength", "same"), [(1.0, True), (0.1, False)])
def test_two_packages_of_one_training(tmp_path: Path, strength: float, same: bool) -> None:
    write_classifier(tmp_path / "one")
    write_classifier(tmp_path / "other", strength=strength)
    files = [tmp_path / name / "model.skops" for name in ("one", "other")]
    assert same_file("model.skops", *files) is same
    if same:
        assert same_file("MLmodel", *(tmp_path / name / "MLmodel" for name in ("one", "other")))


def test_other_files_are_what_their_bytes_are(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(name)
    assert not same_file("notes.txt", tmp_path / "a", tmp_path / "b")
