"""Folders by content, as the API takes and answers them."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

_DIGEST = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Digests(BaseModel):
    """SHA-256 digests of bytes, 64 lower-case hex digits each."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"digests": [_DIGEST]}]}
    )
    digests: list[_Digest] = Field(max_length=100_000)


class Missing(BaseModel):
    """Those of the digests whose bytes are to be sent."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"missing": [_DIGEST]}]})
    missing: list[str]


class Stored(BaseModel):
    """Digests of files that are stored, in the order in which they came."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"digests": [_DIGEST]}]})
    digests: list[str]


class TreeView(BaseModel):
    """A folder that is stored. size_bytes: of its files together."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"digest": _DIGEST, "files": 12, "size_bytes": 48_201}]}
    )
    digest: str
    files: int
    size_bytes: int
