"""The binary tensor extension of the Open Inference Protocol: raw bytes behind the JSON.

The Triton server repository, docs/protocol/extension_binary_data.md: the header
`Inference-Header-Content-Length` says where the JSON ends; a tensor whose parameters have
`binary_data_size` takes that many of the bytes that follow, in order. Numbers are little-endian and
row-major, BOOL is a byte, an element of BYTES has its length in front, as four bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

from mlq_api.serving.rows import refuse

LENGTH_HEADER = "inference-header-content-length"
#: struct's code of an element; all are read and written little-endian.
_CODES = {
    "BOOL": "?",
    "INT8": "b",
    "INT16": "h",
    "INT32": "i",
    "INT64": "q",
    "UINT8": "B",
    "UINT16": "H",
    "UINT32": "I",
    "UINT64": "Q",
    "FP16": "e",
    "FP32": "f",
    "FP64": "d",
}


def split_body(body: bytes, length: str) -> tuple[bytes, bytes]:
    """The JSON and the bytes behind it. Raises RowsError."""
    if not (length.isascii() and length.isdecimal()) or int(length[:19]) > len(body):
        raise refuse(
            "", f"the header {LENGTH_HEADER} is {length!r:.40}, which is no place in the body."
        )
    return body[: int(length)], body[int(length) :]


def fill_inputs(inputs: Any, raw: bytes) -> None:
    """Give each tensor that says `binary_data_size` its `data`. Raises RowsError naming it."""
    place = 0
    for number, tensor in enumerate(inputs if isinstance(inputs, list) else []):
        parameters = tensor.get("parameters") if isinstance(tensor, dict) else None
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is None:
            continue
        path = f"inputs[{number}]"
        if type(size) is not int or not 0 <= size <= len(raw) - place:
            raise refuse(f"{path}.parameters.binary_data_size", "the body has no such bytes")
        if "data" in tensor:
            raise refuse(f"{path}.data", "it has binary data too: send one of them")
        tensor["data"] = _decode(raw[place : place + size], tensor.get("datatype"), path)
        place += size
    if place < len(raw):
        raise refuse("inputs", f"{len(raw) - place} bytes of the body belong to no tensor")


def take_data(output: dict[str, Any]) -> bytes:
    """Move the `data` of an output tensor into bytes; its parameters say how many."""
    values, datatype = output.pop("data"), output["datatype"]
    if datatype == "BYTES":
        parts = [value.encode() for value in values]
        raw = b"".join(struct.pack("<I", len(part)) + part for part in parts)
    else:
        raw = struct.pack(f"<{len(values)}{_CODES[datatype]}", *values)
    output["parameters"] = {**output.get("parameters", {}), "binary_data_size": len(raw)}
    return raw


def wants_binary(request: Mapping[str, Any], name: str) -> bool:
    """Whether an output goes as bytes: its own parameter decides, else the request's."""
    parameters = request.get("parameters")
    default = isinstance(parameters, dict) and parameters.get("binary_data_output") is True
    for output in request.get("outputs") or []:
        own = output.get("parameters") or {}
        if output.get("name") == name and isinstance(own, dict) and "binary_data" in own:
            return own["binary_data"] is True
    return default


def _decode(raw: bytes, datatype: Any, path: str) -> Sequence[Any]:
    if datatype == "BYTES":
        return _decode_texts(raw, path)
    code = _CODES.get(datatype)
    if code is None:
        raise refuse(f"{path}.datatype", f"expected one of {', '.join([*_CODES, 'BYTES'])}")
    width = struct.calcsize(f"<{code}")
    if len(raw) % width:
        raise refuse(path, f"{len(raw)} bytes are no whole number of {datatype}")
    return list(struct.unpack(f"<{len(raw) // width}{code}", raw))


def _decode_texts(raw: bytes, path: str) -> list[str]:
    found = []
    place = 0
    while place < len(raw):
        if len(raw) - place < 4:
            raise refuse(path, "its bytes end within the length of an element")
        (size,) = struct.unpack_from("<I", raw, place)
        place += 4
        if size > len(raw) - place:
            raise refuse(path, "its bytes end within an element")
        try:
            found.append(raw[place : place + size].decode())
        except UnicodeDecodeError:
            raise refuse(path, f"element {len(found)} is not UTF-8") from None
        place += size
    return found
