from __future__ import annotations

import pytest

from mlq.models.package import LoadedModel
from tests.packages import write_classifier, write_regressor


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Says `yes` for few months, `no` for many."""
    return write_classifier(tmp_path_factory.mktemp("classifier") / "model")


@pytest.fixture(scope="session")
def regressor(tmp_path_factory: pytest.TempPathFactory) -> LoadedModel:
    """Says twice the months."""
    return write_regressor(tmp_path_factory.mktemp("regressor") / "model")
