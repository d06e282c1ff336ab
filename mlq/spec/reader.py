"""Text to plain data: YAML and JSON, the safe subset, with the line of every key.

YAML 1.2 core scalars (so `no` is text and `1e-3` a number), anchors and `<<` merges within a
budget, no tags beyond text, no duplicate keys. The text may come from anybody.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NoReturn

import yaml

from mlq.errors import SpecError, SpecProblem
from mlq.spec.paths import KeyPath, Marks, format_path

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 64
#: Values of a document with aliases written out; beyond it stands an alias bomb.
MAX_NODES = 200_000

_TOO_DEEP = f"This is nested more than {MAX_DEPTH} levels deep."
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_TEXT_TAGS = frozenset({"!", "tag:yaml.org,2002:str"})
_COLLECTION_TAGS = frozenset({"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"})
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NOT_FINITE = re.compile(r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)")
_INTEGER_RANGE = range(-(2**63), 2**63)
_MISSING = object()


def refuse_text(
    message: str,
    file: str | None,
    *,
    line: int | None = None,
    path: str = "",
    code: str | None = None,
) -> NoReturn:
    raise SpecError([SpecProblem(path, message, line, file=file)], code=code)


def decode(text: str | bytes, file: str | None) -> str:
    if isinstance(text, str):
        try:
            encoded = text.encode()
        except UnicodeEncodeError:
            refuse_text("This job file contains half a character (a lone surrogate).", file)
    else:
        encoded = bytes(text)
    if len(encoded) > MAX_BYTES:
        refuse_text(
            f"This job file has {len(encoded):,} bytes; the limit is {MAX_BYTES:,}. "
            "Data belongs in a data asset, not in the job.",
            file,
            code="too_large",
        )
    try:
        return encoded.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = encoded.count(b"\n", 0, error.start) + 1
        refuse_text("This job file is not UTF-8 text.", file, line=line)


# JSON ------------------------------------------------------------------------------------------


class _Duplicated(dict[str, Any]):
    """A JSON object that wrote `key` twice; found again, with its path, by `check_values`."""

    key = ""


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    marked = _Duplicated(found)
    for key, _ in pairs:
        if key in seen:
            marked.key = key
        seen.add(key)
    return marked


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number that JSON knows")


def read_json(text: str, file: str | None) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_pairs, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        if not text.strip():
            return None
        refuse_text(
            f"This is not JSON: {error.msg}, column {error.colno}.", file, line=error.lineno
        )
    except RecursionError:
        refuse_text(f"This job file is nested more than {MAX_DEPTH} levels deep.", file)
    except ValueError as error:
        refuse_text(f"This is not JSON: {error}.", file)


def check_values(
    data: dict[str, Any], *, file: str | None, line_of: Callable[[KeyPath], int | None]
) -> None:
    """Refuse what no database column or JSON reader downstream could hold."""

    def refuse(path: KeyPath, message: str) -> NoReturn:
        refuse_text(message, file, line=line_of(path), path=format_path(path))

    count = 0
    stack: list[tuple[Any, KeyPath]] = [(data, ())]
    while stack:
        here, path = stack.pop()
        if len(path) >= MAX_DEPTH:
            refuse(path[:8], _TOO_DEEP)
        if type(here) is _Duplicated:
            refuse((*path, here.key), f"The key '{_shorten(here.key)}' is written twice.")
        entries: Iterator[tuple[str | int, Any]]
        entries = iter(here.items()) if isinstance(here, dict) else iter(enumerate(here))
        count += len(here)
        if count > MAX_NODES:
            refuse((), f"This job file holds more than {MAX_NODES:,} values.")
        for key, value in entries:
            if type(key) is str and not _is_storable(key):
                refuse(path, "A key here contains a NUL or half a character.")
            if type(value) is str:
                if not _is_storable(value):
                    refuse((*path, key), "This text contains a NUL or half a character.")
            elif isinstance(value, (dict, list)):
                stack.append((value, (*path, key)))
            elif type(value) is float:
                if not math.isfinite(value):
                    refuse((*path, key), "This number is not finite.")
            elif type(value) is int and value not in _INTEGER_RANGE:
                refuse((*path, key), "This integer needs more than 64 bits; write it as text.")


def _is_storable(text: str) -> bool:
    if "\x00" in text:
        return False
    return text.isascii() or not any("\ud800" <= letter <= "\udfff" for letter in text)


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}..."


# YAML ------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Frame:
    """A collection being read."""

    data: Any  # dict or list
    marks: Marks
    line: int
    anchor: str | None
    key: Any = _MISSING  # of a mapping, once its key was read
    key_line: int = 0
    merges: list[tuple[Any, Marks | None]] | None = None
    size: int = 1


class YamlReader:
    """Builds values from parser events with a stack of its own: input cannot exhaust it."""

    def __init__(self, file: str | None) -> None:
        self.file = file
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, Marks | None, int]] = {}

    def read(self, text: str) -> tuple[Any, Marks]:
        root: Any = None
        root_marks: Marks | None = None
        documents = 0
        total = 0
        try:
            events: Iterator[Any] = yaml.parse(text, Loader=_LOADER)
            for event in events:
                kind = type(event)
                line = event.start_mark.line + 1
                if kind is yaml.ScalarEvent:
                    value, marks, size = self._scalar(event, line), None, 1
                    if event.anchor:
                        self.anchors[event.anchor] = (value, None, 1)
                elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
                    self._open(event, line)
                    continue
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    value, marks, size, line = self._close()
                elif kind is yaml.AliasEvent:
                    value, marks, size = self._alias(event, line)
                    total += size
                elif kind is yaml.DocumentStartEvent:
                    documents += 1
                    if documents > 1:
                        self.refuse("A job file is one document; a second one starts here.", line)
                    continue
                else:
                    continue
                total += 1
                if total > MAX_NODES:
                    self.refuse(f"This file holds more than {MAX_NODES:,} values.", line)
                if self.stack:
                    self._attach(value, marks, size, line, event)
                else:
                    root, root_marks = value, marks
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = mark.line + 1 if mark else None
            what = error.problem or error.context or "broken syntax"
            if "nesting depth" in what:  # PyYAML's own limit (since 6.0.4): its scanner reads ahead
                self.refuse(_TOO_DEEP, line)
            self.refuse(f"This is not YAML: {what}.", line)
        except yaml.YAMLError as error:
            self.refuse(f"This is not YAML: {str(error).splitlines()[0]}.", None)
        return root, root_marks or {}

    def refuse(self, message: str, line: int | None, *, key: str | None = None) -> NoReturn:
        parts: list[str | int] = []
        for frame in self.stack:
            if isinstance(frame.data, list):
                parts.append(len(frame.data))
            elif frame.key is not _MISSING:
                parts.append(frame.key)
        if key is not None:
            parts.append(key)
        refuse_text(message, self.file, line=line, path=format_path(tuple(parts[:8])))

    def resolve(self, text: str, *, line: int | None) -> Any:
        """The value of a plain scalar by the YAML 1.2 core schema."""
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in "+-.0123456789":
            return text
        if _INTEGER.fullmatch(text):
            if len(text) > 24:
                self.refuse("This integer needs more than 64 bits; write it in quotes.", line)
            base = {"0o": 8, "0x": 16}.get(text[:2], 10)
            return int(text, base)
        if _FLOAT.fullmatch(text):
            return float(text)
        if _NOT_FINITE.fullmatch(text):
            self.refuse("This number is not finite.", line)
        return text

    def _scalar(self, event: Any, line: int) -> Any:
        if event.tag is not None and event.tag not in _TEXT_TAGS:
            self.refuse(f"The tag {_shorten(event.tag)} is not allowed in a job file.", line)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and isinstance(frame.data, dict) and frame.key is _MISSING:
            return event.value  # a key is text, whatever it looks like
        if event.style or event.tag is not None:
            return event.value
        return self.resolve(event.value, line=line)

    def _open(self, event: Any, line: int) -> None:
        if event.tag is not None and event.tag not in _COLLECTION_TAGS:
            self.refuse(f"The tag {_shorten(event.tag)} is not allowed in a job file.", line)
        above = self.stack[-1] if self.stack else None
        if above is not None and isinstance(above.data, dict) and above.key is _MISSING:
            self.refuse("A key must be text.", line)
        if len(self.stack) >= MAX_DEPTH:
            self.refuse(_TOO_DEEP, line)
        data: Any = {} if type(event) is yaml.MappingStartEvent else []
        self.stack.append(_Frame(data, {}, line, event.anchor))

    def _close(self) -> tuple[Any, Marks, int, int]:
        frame = self.stack.pop()
        for data, marks in frame.merges or ():
            sources = data if isinstance(data, list) else [data]
            for index, source in enumerate(sources):
                if not isinstance(source, dict):
                    self.refuse("`<<` merges a mapping or a list of mappings.", frame.line)
                below = marks or {}
                if isinstance(data, list):
                    below = below[index][1] or {}
                for key, value in source.items():
                    if key not in frame.data:
                        frame.data[key] = value
                        frame.marks[key] = below.get(key, (frame.line, None))
        if frame.anchor:
            self.anchors[frame.anchor] = (frame.data, frame.marks, frame.size)
        return frame.data, frame.marks, frame.size, frame.line

    def _alias(self, event: Any, line: int) -> tuple[Any, Marks | None, int]:
        if event.anchor not in self.anchors:
            self.refuse(f"The alias *{event.anchor} stands before, or inside, its anchor.", line)
        frame = self.stack[-1]
        if isinstance(frame.data, dict) and frame.key is _MISSING:
            self.refuse("A key must be text, not an alias.", line)
        return self.anchors[event.anchor]

    def _attach(self, value: Any, marks: Marks | None, size: int, line: int, event: Any) -> None:
        frame = self.stack[-1]
        frame.size += size
        if isinstance(frame.data, list):
            frame.marks[len(frame.data)] = (line, marks)
            frame.data.append(value)
        elif frame.key is _MISSING:
            merging = value == "<<" and not event.style
            if value in frame.data and not merging:
                first = frame.marks[value][0]
                self.refuse(
                    f"The key '{_shorten(value)}' is written twice; first on line {first}.",
                    line,
                    key=value,
                )
            frame.key, frame.key_line = value, line
            if merging:
                frame.merges = frame.merges if frame.merges is not None else []
        else:
            if frame.key == "<<" and frame.merges is not None:
                frame.merges.append((value, marks))
            else:
                frame.data[frame.key] = value
                frame.marks[frame.key] = (frame.key_line, marks)
            frame.key = _MISSING
