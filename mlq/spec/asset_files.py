"""Files of data and models in Azure's schema."""

from __future__ import annotations

from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from mlq.spec.document import Document
from mlq.spec.model import Text
from mlq.spec.problems import Problems
from mlq.spec.references import MODEL_TYPES

F = TypeVar("F", bound="_AssetFile")
DATA_TYPES = ("uri_file", "uri_folder", "mltable")


def _number(value: Any) -> Any:
    text = str(value)
    if value is None or (text.isascii() and text.isdecimal() and 0 < int(text[:10]) < 2**31):
        return None if value is None else int(text)
    raise PydanticCustomError(
        "version", "Versions of data and models are numbers; leave it out to get the next one"
    )


def _one_of(words: tuple[str, ...]) -> BeforeValidator:
    def check(value: Any) -> Any:
        if value in words:
            return value
        raise PydanticCustomError("word", "must be one of {words}", {"words": ", ".join(words)})

    return BeforeValidator(check)


class _AssetFile(BaseModel):
    """path: relative to the file, or an address. What only Azure knows is accepted and ignored."""

    model_config = ConfigDict(extra="forbid")

    schema_: str | None = Field(default=None, alias="$schema")
    name: str
    version: Annotated[int | None, BeforeValidator(_number)] = None
    description: Text = ""
    tags: dict[str, Text] = Field(default_factory=dict)
    path: str
    properties: Any = None
    datastore: Any = None


class DataFile(_AssetFile):
    """A version of a data asset."""

    type: Annotated[str, _one_of(DATA_TYPES)] = "uri_folder"


class ModelFile(_AssetFile):
    """A version of a model."""

    type: Annotated[str, _one_of(tuple(sorted(MODEL_TYPES)))] = "custom_model"
    flavors: Any = None
    stage: Any = None


def read_asset(document: Document, model: type[F]) -> F:
    """What an asset's file says. Raises SpecError."""
    problems = Problems(document)
    found = problems.validate(model, document.data, ())
    problems.raise_any()
    assert found is not None, "what cannot be read is a problem"
    return found
