from dataclasses import dataclass

from mlq_workers.components.shelf import Shelf


@dataclass
class Box:
    size_bytes: int


def test_least_recently_used_goes_first() -> None:
    shelf, made = Shelf(10), list[str]()

    def get(key: str, size_bytes: int = 4) -> Box:
        return shelf.get(key, lambda: (made.append(key), Box(size_bytes))[1])

    first = get("a")
    get("b")
    assert get("a") is first
    get("c")  # 12 bytes are too many, and b was used longest ago
    get("a")
    get("b")
    assert made == ["a", "b", "c", "b"]


def test_what_is_in_use_stays_whatever_its_size() -> None:
    shelf = Shelf(10)
    large = shelf.get("large", lambda: Box(100))
    assert shelf.get("large", lambda: Box(1)) is large
    shelf.get("small", lambda: Box(1))
    assert len(shelf) == 1


def test_values_that_grow_are_counted_as_they_are() -> None:
    shelf = Shelf(10)
    growing = shelf.get("growing", lambda: Box(1))
    shelf.get("other", lambda: Box(5))
    growing.size_bytes = 9
    shelf.get("growing", lambda: Box(0))
    assert len(shelf) == 1
