"""Bodies of `/v1/data` beyond versions: imports, previews, profiles and differences."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


def _example(**fields: Any) -> ConfigDict:
    return ConfigDict(json_schema_extra={"examples": [fields]})


class NewDataImport(BaseModel):
    """Registers what lies at an address; `copy` false leaves it there."""

    model_config = _example(url="https://data.example.org/churn.csv", copy=True)
    url: str = Field(max_length=2000)
    keep: bool = Field(default=True, alias="copy", description="Keep a copy in the store.")
    file_name: str | None = Field(default=None, max_length=255)
    description: str = Field(default="", max_length=10_000)
    tags: dict[str, str] = Field(default={}, max_length=100)
    version: int | None = Field(
        default=None, ge=1, lt=2**31, description="Its number; the next when left out."
    )


class PreviewColumn(BaseModel):
    """A column as Arrow reads it."""

    name: str
    type: str


class DataPreview(BaseModel):
    """The first rows of a table; long texts are cut."""

    model_config = _example(
        columns=[{"name": "age", "type": "int64"}], rows=[[31], [40]], is_whole=True
    )
    columns: list[PreviewColumn]
    rows: list[list[Any]]
    is_whole: bool


class Histogram(BaseModel):
    """Counts between edges, of which there is one more."""

    edges: list[float]
    counts: list[int]


class ValueCount(BaseModel):
    """How often a value occurs."""

    value: str
    count: int


class ColumnProfileView(BaseModel):
    """A column. What does not apply to its type is left out; min and max of times are texts."""

    name: str
    type: str
    missing: int
    missing_share: float
    distinct: int
    distinct_is_exact: bool
    min: float | str | None = None
    max: float | str | None = None
    mean: float | None = None
    std: float | None = None
    quantiles: dict[str, float | None] | None = None
    histogram: Histogram | None = None
    sampled: int | None = None
    top: list[ValueCount] | None = None


class DataProfile(BaseModel):
    """A table's columns: types, missing and distinct values, distributions."""

    model_config = _example(
        rows=2,
        files=1,
        columns=[
            {
                "name": "age",
                "type": "number",
                "missing": 0,
                "missing_share": 0.0,
                "distinct": 2,
                "distinct_is_exact": True,
                "min": 31.0,
                "max": 40.0,
                "mean": 35.5,
                "std": 4.5,
                "quantiles": {"0.5": 35.5},
                "histogram": {"edges": [31.0, 40.0], "counts": [2]},
                "sampled": 2,
            }
        ],
    )
    rows: int
    files: int
    columns: list[ColumnProfileView]


class NumberChange(BaseModel):
    """A number before and after."""

    before: float | None
    after: float | None


class BoundChange(BaseModel):
    """An end of a column's range before and after; of times, texts."""

    before: float | str | None
    after: float | str | None


class ColumnDifference(BaseModel):
    """A column that both have. drift: none, moderate, large; null where it cannot be compared."""

    name: str
    type: str
    missing_share: NumberChange
    distinct: NumberChange
    mean: NumberChange | None = None
    min: BoundChange | None = None
    max: BoundChange | None = None
    psi: float | None = None
    ks: float | None = None
    drift: str | None


class TypeChange(BaseModel):
    """A column whose type is another one now."""

    name: str
    before: str | None
    after: str | None


class SchemaDifference(BaseModel):
    """Columns that came, went, or changed their type."""

    added: list[str]
    removed: list[str]
    changed: list[TypeChange]


class DataDifference(BaseModel):
    """How a version differs from an earlier one."""

    model_config = _example(
        before="mlq:churn:1",
        after="mlq:churn:2",
        identical=False,
        rows={"before": 2, "after": 3, "added": 1, "removed": 0},
        schema={"added": [], "removed": [], "changed": []},
        columns=[
            {
                "name": "age",
                "type": "number",
                "missing_share": {"before": 0.0, "after": 0.0},
                "distinct": {"before": 2, "after": 3},
                "psi": 0.02,
                "ks": 0.1,
                "drift": "none",
            }
        ],
    )
    before: str
    after: str
    identical: bool
    rows: dict[str, int | None]
    schema_: SchemaDifference = Field(alias="schema")
    columns: list[ColumnDifference]
