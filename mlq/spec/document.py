"""A job file that was read: its data, and the line where each key stands."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from dataclasses import replace as copy_with
from typing import Any

from mlq.errors import SpecError, SpecProblem, nearest
from mlq.spec.paths import KeyPath, Marks, format_path
from mlq.spec.reader import YamlReader, check_values, decode, read_json, refuse_text


@dataclass(frozen=True, slots=True)
class Document:
    """A job file that was read.

    data: the root mapping; never change it in place, `replace` makes a changed copy.
    file: name for error messages; None when the text came without one.
    """

    data: dict[str, Any]
    file: str | None = None
    marks: Marks = field(default_factory=dict, repr=False)

    def line_of(self, path: str | KeyPath) -> int | None:
        """The 1-based line where `path` stands, else of the nearest key above it; None for JSON."""
        parts = self.locate(path)[0] if isinstance(path, str) else path
        line: int | None = None
        marks: Marks | None = self.marks
        for part in parts:
            if marks is None or part not in marks:
                break
            line, marks = marks[part]
        return line if line is not None else (1 if self.marks else None)

    def locate(self, path: str) -> tuple[KeyPath, bool]:
        """Split a written path along the keys there are (a key may itself contain dots).

        Returns the parts and whether all of them exist; what does not exist is split at dots.
        """
        words = re.sub(r"\[(\d+)\]", r".\1", path).split(".") if path else []
        parts: list[str | int] = []
        here: Any = self.data
        while words:
            for length in range(1, len(words) + 1):
                word = ".".join(words[:length])
                if isinstance(here, Mapping) and word in here:
                    parts.append(word)
                    here = here[word]
                    break
                if isinstance(here, list) and word.isdecimal() and int(word) < len(here):
                    parts.append(int(word))
                    here = here[int(word)]
                    break
            else:
                return (*parts, *words), False
            words = words[length:]
        return tuple(parts), True


def read_document(
    text: str | bytes, *, file: str | None = None, media_type: str = "application/yaml"
) -> Document:
    """Read a job file.

    media_type: `application/json` (or any `+json`) reads JSON, everything else YAML.
    Raises SpecError with file, line and key path: not UTF-8, over 4 MiB (code `too_large`), broken
    syntax, duplicate keys, tags, over 64 levels, over 200,000 values once aliases are written out.
    """
    plain = decode(text, file)
    kind = media_type.partition(";")[0].strip().lower()
    marks: Marks = {}
    if kind == "application/json" or kind.endswith("+json"):
        data = read_json(plain, file)
    else:
        data, marks = YamlReader(file).read(plain)
    if not isinstance(data, dict):
        what = "is empty" if data is None else "holds no mapping"
        refuse_text(
            f"This file {what}; it must start with keys and their values, such as `name: …`.",
            file,
            line=1,
        )
    document = Document(data, file, marks)
    check_values(data, file=file, line_of=document.line_of)
    return document


def replace(document: Document, key_path: str | KeyPath, value: Any) -> Document:
    """A copy of `document` with `value` at `key_path`; everything else is shared with the original.

    The last key may be new. Raises SpecError when the path leads through something missing.
    """
    parts = document.locate(key_path)[0] if isinstance(key_path, str) else key_path
    if not parts:
        raise SpecError([SpecProblem("", "An empty key path names nothing.", file=document.file)])
    root: dict[Any, Any] = dict(document.data)
    here: Any = root
    for depth, part in enumerate(parts[:-1]):
        below = here.get(part) if isinstance(here, dict) else here[part]
        if not isinstance(below, (dict, list)) or (
            isinstance(below, list) and parts[depth + 1] not in range(len(below))
        ):
            known = [str(key) for key in here] if isinstance(here, dict) else []
            problem = SpecProblem(
                format_path(parts[: depth + 1]),
                "There is nothing to set a value in.",
                document.line_of(parts[:depth]),
                None if below is not None else nearest(str(part), known),
                document.file,
            )
            raise SpecError([problem])
        here[part] = below.copy()
        here = here[part]
    here[parts[-1]] = value
    return copy_with(document, data=root)


def parse_value(text: str) -> Any:
    """Read one value as it would stand in a job file: `0.1`, `true`, `[1, 2]`, `{a: 1}`, `"5"`.

    Raises SpecError when a list, mapping or quoted text is broken, or a number is not finite.
    """
    stripped = text.strip()
    if stripped[:1] in ("[", "{", '"', "'"):
        document = read_document(f"value: {stripped}")
        return document.data["value"]
    value = YamlReader(None).resolve(stripped, line=None)
    check_values({"value": value}, file=None, line_of=lambda path: None)
    return value
