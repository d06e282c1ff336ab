"""Files of data, models and environments: what mlq takes of the corpus, the oracle loads."""

from __future__ import annotations

import pytest

from mlq.cli.asset_file import find_local, read_file, with_conda
from mlq.spec import check_environment
from mlq.spec.asset_files import DataFile, ModelFile, read_asset
from tests.oracle.files import CORPUS

FILES = {path.stem: path for path in sorted((CORPUS / "assets").glob("*.yml"))}


@pytest.mark.parametrize("name", FILES)
def test_mlq_takes_it(name: str) -> None:
    path = FILES[name]
    document = read_file(path)
    kind = name.partition("_")[0]
    if kind == "environment":
        check_environment(with_conda(document, base=path.parent))
        return
    asset = read_asset(document, DataFile if kind == "data" else ModelFile)
    assert find_local(document, base=path.parent, type=asset.type) is not None


@pytest.mark.parametrize("name", FILES)
def test_the_oracle_loads_it(name: str) -> None:
    azure = pytest.importorskip(
        "azure.ai.ml", reason="the oracle is not installed: pip install '.[oracle]'"
    )
    load = getattr(azure, f"load_{name.partition('_')[0]}")
    assert load(source=FILES[name]).name
