from __future__ import annotations

import struct
from typing import Any

import pytest

from mlq_api.serving import binary
from mlq_api.serving.rows import RowsError


def tensor(datatype: str, size: int, **more: Any) -> dict[str, Any]:
    return {"name": "x", "datatype": datatype, "parameters": {"binary_data_size": size}, **more}


@pytest.mark.parametrize(
    ("datatype", "values"),
    [
        ("BOOL", [True, False]),
        ("INT8", [-1, 2]),
        ("UINT64", [2**64 - 1]),
        ("INT64", [-(2**63)]),
        ("FP16", [0.5]),
        ("FP32", [0.25, -2.0]),
        ("FP64", [0.1, 1e300]),
        ("BYTES", ["", "Adélie", "a\0b"]),
    ],
)
def test_what_goes_out_comes_back(datatype: str, values: list[Any]) -> None:
    output = {"name": "x", "datatype": datatype, "data": list(values)}
    raw = binary.take_data(output)
    assert "data" not in output
    binary.fill_inputs([output], raw)
    assert output["data"] == values


def test_tensors_take_their_bytes_in_order() -> None:
    inputs = [tensor("INT32", 4), {"name": "json", "data": [1]}, tensor("BYTES", 6)]
    binary.fill_inputs(inputs, struct.pack("<iI2s", 7, 2, b"hi"))
    assert [one["data"] for one in inputs] == [[7], [1], ["hi"]]


@pytest.mark.parametrize(
    ("inputs", "raw", "said"),
    [
        ([tensor("FP32", 8)], b"1234", "has no such bytes"),
        ([tensor("FP32", -4)], b"1234", "has no such bytes"),
        ([tensor("FP32", True)], b"1", "has no such bytes"),
        ([tensor("FP32", 3)], b"123", "no whole number of FP32"),
        ([tensor("FP32", 4)], b"12345", "1 bytes of the body belong to no tensor"),
        ([tensor("BF16", 2)], b"12", "expected one of"),
        ([tensor("FP32", 4, data=[1])], b"1234", "send one of them"),
        ([tensor("BYTES", 3)], b"123", "within the length"),
        ([tensor("BYTES", 5)], b"\x09\0\0\0a", "within an element"),
        ([tensor("BYTES", 5)], b"\x01\0\0\0\xff", "element 0 is not UTF-8"),
        (None, b"1", "belong to no tensor"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(inputs: Any, raw: bytes, said: str) -> None:
    with pytest.raises(RowsError, match=said):
        binary.fill_inputs(inputs, raw)


@pytest.mark.parametrize("length", ["-1", "x", "", "9", "9" * 5000, "²"])
def test_a_length_beyond_the_body_is_refused(length: str) -> None:
    with pytest.raises(RowsError, match="no place in the body"):
        binary.split_body(b"12345678", length)
    assert binary.split_body(b"12345678", "3") == (b"123", b"45678")
