"""The table of attacks names tests that are there, and leaves no file of attacks out."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
PAGE = TESTS.parent / "docs" / "attacks.md"
_NAMED = re.compile(r"`([a-z_/]+\.py)::(test_\w+)`")


def test_every_attack_names_tests_that_are_there() -> None:
    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("| ")][1:]
    assert len(rows) >= 20
    for row in rows:
        named = _NAMED.findall(row)
        assert named, f"no test: {row}"
        for file, test in named:
            path = TESTS / file
            assert path.is_file(), f"{file} is not there"
            assert re.search(rf"^\s*def {test}\(", path.read_text(), re.M), f"no {test} in {file}"


def test_every_file_of_attacks_is_in_the_table() -> None:
    named = {file for file, _ in _NAMED.findall(PAGE.read_text())}
    found = {str(path.relative_to(TESTS)) for path in TESTS.glob("integration/attacks/test_*.py")}
    assert found <= named
