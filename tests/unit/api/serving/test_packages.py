from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mlq.artifacts import Store
from mlq.db.routing import Target
from mlq.errors import NotFoundError, StepError
from mlq.models.package import EXAMPLE_FILE, load_package
from mlq_api.serving.packages import Packages, warm
from tests.packages import write_constant


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store, and models that say 0, 1 and 2 in it."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def store(folder: Path) -> Store:
    return Store.open(str(folder / "store"))


@pytest.fixture(scope="module")
def targets(folder: Path, store: Store) -> list[Target]:
    made = []
    for number in range(3):
        path = folder / str(number)
        write_constant(path, str(number))
        made.append(Target("churn", number, store.put_tree(path).digest))
    return made


def test_what_is_least_recently_used_goes_first(store: Store, targets: list[Target]) -> None:
    packages = Packages(store, spare=2)
    first, second, third = targets
    packages.load(first)
    packages.load(second)
    assert packages.get(first) is packages.load(first)  # used again, so second is older now
    packages.load(third)
    assert [packages.is_loaded(target) for target in targets] == [True, False, True]


def test_what_is_routed_stays(store: Store, targets: list[Target]) -> None:
    packages = Packages(store, spare=0)
    first, second, _ = targets
    packages.pin([first])
    packages.load(first)
    packages.load(second)
    assert [packages.is_loaded(target) for target in targets] == [True, False, False]
    packages.pin([])
    assert packages.get(first) is None


def test_many_who_want_one_model_get_the_same(store: Store, targets: list[Target]) -> None:
    packages = Packages(store)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(packages.load, [targets[0]] * 4))
    assert all(model is found[0] for model in found)


def test_what_is_not_stored_is_said_and_can_be_tried_again(store: Store) -> None:
    packages = Packages(store)
    missing = Target("churn", 9, "9" * 64)
    for _ in range(2):
        with pytest.raises(NotFoundError):
            packages.load(missing)


def test_a_model_that_does_not_answer_its_own_example_is_refused(
    folder: Path, tmp_path: Path
) -> None:
    model = load_package(folder / "0")
    warm(model, tmp_path)  # there is no example
    (tmp_path / EXAMPLE_FILE).write_text(json.dumps({"columns": ["colour"], "data": [["red"]]}))
    with pytest.raises(StepError) as refused:
        warm(model, tmp_path)
    assert refused.value.code == "invalid_model"
    assert "'months'" in refused.value.message
