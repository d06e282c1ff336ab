import pandas as pd
import pytest

from mlq.data import demo_file
from mlq.errors import NotFoundError


def test_the_first_years_are_part_of_all_years() -> None:
    every, first = (pd.read_csv(demo_file(n)) for n in ("penguins.csv", "penguins-2007-2008.csv"))
    assert (len(every), len(first)) == (344, 224)
    expected = every[every["year"] < 2009].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, expected)
    assert every["sex"].isna().sum() == 11


def test_licence_and_citation_are_shipped() -> None:
    text = demo_file("penguins.csv").with_name("README.md").read_text()
    for words in ("CC0", "Gorman", "Horst", "10.1371/journal.pone.0090081"):
        assert words in text


def test_unknown_file() -> None:
    with pytest.raises(NotFoundError) as caught:
        demo_file("../errors.py")
    assert "penguins.csv" in caught.value.hint
