"""What routes have in common: query parameters, documented problems, OpenAPI examples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Path, Query

from mlq.errors import MlqError
from mlq_api.schemas import Problem

#: OpenAPI: every operation may answer a problem.
PROBLEMS: dict[int | str, dict[str, Any]] = {
    "4XX": {
        "description": "What is wrong with the request.",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    },
    503: {
        "description": "A part of the server is not reachable; try again.",
        "content": {"application/problem+json": {"schema": Problem.model_json_schema()}},
    },
}

Limit = Annotated[int, Query(ge=1, le=500, description="Items of a page.")]
Cursor = Annotated[str | None, Query(max_length=300, description="`next_cursor` of a page.")]
Ref = Annotated[
    str,
    Path(
        max_length=255,
        description="An id, its first digits (6 or more), the name or display name of a root, "
        "or `@last`.",
    ),
]
Name = Annotated[str, Path(max_length=255)]


def number_of(cursor: str | None) -> int | None:
    """A cursor that is a number. Raises MlqError (code `invalid`)."""
    if cursor is None:
        return None
    if not cursor.isascii() or not cursor.isdecimal() or len(cursor) > 18:
        raise bad_cursor()
    return int(cursor)


def bad_cursor() -> MlqError:
    """The error for a cursor that no page gave out."""
    return MlqError("This cursor is not one that a page gave out.", code="invalid")


def content(media_type: str, *, example: Any, description: str = "") -> dict[int | str, Any]:
    """OpenAPI: an answer that is not JSON."""
    is_text = media_type.startswith("text/")
    schema = {"type": "string"} if is_text else {"type": "string", "format": "binary"}
    return {
        200: {
            "description": description or "OK",
            "content": {media_type: {"schema": schema, "example": example}},
        }
    }


def takes(model: type[Any] | None, *others: tuple[str, Any]) -> dict[str, Any]:
    """OpenAPI: a body that the route reads itself. others: (media type, example)."""
    kinds: dict[str, Any] = {}
    if model is not None:
        kinds["application/json"] = {"schema": _inlined(model.model_json_schema())}
    for media_type, example in others:
        kinds[media_type] = {"schema": {"type": "string"}, "example": example}
    return {"requestBody": {"required": True, "content": kinds}}


def _inlined(schema: Any, definitions: Mapping[str, Any] | None = None) -> Any:
    """`schema` with its definitions in their places: pointers below it mean nothing elsewhere."""
    if isinstance(schema, list):
        return [_inlined(item, definitions) for item in schema]
    if not isinstance(schema, dict):
        return schema
    definitions = schema.get("$defs", definitions or {})
    if "$ref" in schema:
        return _inlined(definitions[schema["$ref"].removeprefix("#/$defs/")], definitions)
    return {key: _inlined(value, definitions) for key, value in schema.items() if key != "$defs"}


def add_examples(document: dict[str, Any]) -> None:
    """Give every JSON answer of an OpenAPI document an example, from those of its schemas."""
    for item in document["paths"].values():
        for operation in item.values():
            for response in operation.get("responses", {}).values():
                for media_type, answer in response.get("content", {}).items():
                    if "json" in media_type and "example" not in answer and "schema" in answer:
                        answer["example"] = _example_of(answer["schema"], document)


def _example_of(schema: Mapping[str, Any], document: Mapping[str, Any], depth: int = 0) -> Any:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _example_of(document["components"]["schemas"][name], document, depth)
    for given in ("examples", "enum"):
        if schema.get(given):
            return schema[given][0]
    if "default" in schema:
        return schema["default"]
    if "anyOf" in schema:
        return _example_of(schema["anyOf"][0], document, depth)
    kind = schema.get("type")
    if kind == "object" and "properties" in schema and depth < 4:
        needed = schema.get("required", [])
        return {
            name: _example_of(schema["properties"][name], document, depth + 1) for name in needed
        }
    if kind == "object":
        extra = schema.get("additionalProperties")
        return {"name": _example_of(extra, document, depth + 1)} if isinstance(extra, dict) else {}
    if kind == "array":
        return [_example_of(schema.get("items", {}), document, depth + 1)] if depth < 4 else []
    return {"string": "text", "integer": 1, "number": 0.5, "boolean": True}.get(str(kind))
