"""Collects what is wrong with a job file, in sentences with file, line, key path, nearest word."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from mlq.errors import SpecError, SpecProblem, nearest
from mlq.spec.document import Document
from mlq.spec.model import PORT_TYPES, REFUSED_KEYS
from mlq.spec.paths import KeyPath, format_path
from mlq.spec.references import shorten
from mlq.spec.values import describe

MAX_PROBLEMS = 100
# Looking for near words costs up to a second per problem in a file made for it.
_MAX_SUGGESTIONS = 20
_MAX_CANDIDATES = 500
_MAX_WORD = 100

M = TypeVar("M", bound=BaseModel)


class Problems:
    """The problems of one document so far. Beyond MAX_PROBLEMS, `add` raises the SpecError."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: dict[tuple[str, str], SpecProblem] = {}
        self._suggested = 0

    def __len__(self) -> int:
        return len(self._found)

    def add(
        self,
        path: KeyPath,
        message: str,
        *,
        word: str | None = None,
        known: Iterable[str] = (),
        suggestion: str | None = None,
    ) -> None:
        """Note a problem at `path`. word: what was written; the nearest of `known` is suggested."""
        if word is not None and suggestion is None:
            suggestion = self._nearest(word, known)
        where = shorten(format_path(path[:40]), limit=300)
        problem = SpecProblem(
            where, message, self._document.line_of(path), suggestion, self._document.file
        )
        self._found.setdefault((where, message), problem)
        if len(self._found) >= MAX_PROBLEMS:
            self._found[("", "")] = SpecProblem(
                "", "There is more; further problems are not listed.", file=self._document.file
            )
            self.raise_any()

    def raise_any(self) -> None:
        """Raise SpecError with all problems, in the order of their lines, if there is one."""
        if self._found:
            raise SpecError(sorted(self._found.values(), key=lambda p: (p.path == "", p.line or 0)))

    def validate(
        self, model: type[M], data: Mapping[str, Any], path: KeyPath, *, partial: bool = False
    ) -> M | None:
        """`data` as `model`, or None when it cannot be read; all that is wrong is noted.

        partial: read it without the keys that are wrong, where they may be left out, so that what
        stands beside them is checked too.
        """
        try:
            return model.model_validate(data)
        except ValidationError as error:
            details = error.errors(include_url=False, include_context=True)
        for detail in details:
            self._add_detail(model, detail, path)
        if not partial:
            return None
        wrong = {str(detail["loc"][0]) for detail in details if detail["loc"]}
        try:
            return model.model_validate({k: v for k, v in data.items() if k not in wrong})
        except ValidationError:
            return None

    def _nearest(self, word: str, known: Iterable[str]) -> str | None:
        if self._suggested >= _MAX_SUGGESTIONS or len(word) > _MAX_WORD:
            return None
        self._suggested += 1
        candidates = [str(name) for name in known if len(str(name)) <= _MAX_WORD]
        return nearest(word, candidates[:_MAX_CANDIDATES])

    def _add_detail(self, model: type[BaseModel], detail: ErrorDetails, path: KeyPath) -> None:
        loc = detail["loc"]
        # A bad key of a mapping is reported below the key itself.
        parts = tuple(part for part in loc if part != "[key]")
        where = (*path, *parts)
        got = detail["input"]
        kind = detail["type"]
        last = str(loc[-1]) if loc else ""
        if kind == "extra_forbidden":
            if last in REFUSED_KEYS:
                self.add(where, f"'{last}': {REFUSED_KEYS[last]}")
            else:
                known = _keys(model, loc[:-1])
                self.add(where, f"Unknown key '{shorten(last)}'.", word=last, known=known)
        elif kind == "missing":
            self.add(where, f"The key '{last}' is required here.")
        elif kind == "port_type":
            self.add(
                where,
                f"{describe(got)} is not a type of input or output.",
                word=got if isinstance(got, str) else None,
                known=sorted(PORT_TYPES),
            )
        elif kind == "word":
            words = detail["ctx"]["words"]
            self.add(
                where,
                f"This must be one of {words}; got {describe(got)}.",
                word=got if isinstance(got, str) else None,
                known=words.split(", "),
            )
        else:
            sentence = _SENTENCES.get(kind)
            if sentence is None:
                self.add(where, f"{detail['msg']}; got {describe(got)}.")
            else:
                wanted = sentence.format(**detail.get("ctx", {}))
                self.add(where, f"This must be {wanted}; got {describe(got)}.")


_SENTENCES = {
    "string_type": "text",
    "string_too_short": "text that is not empty",
    "string_too_long": "at most {max_length} characters long",
    "int_type": "an integer",
    "float_type": "a number",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "list_type": "a list",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "greater_than": "greater than {gt:g}",
    "greater_than_equal": "at least {ge:g}",
    "less_than_equal": "at most {le:g}",
    "less_than": "less than {lt:g}",
    "finite_number": "a finite number",
}


def _keys(model: type[BaseModel], loc: tuple[str | int, ...]) -> list[str]:
    """The keys that the model at `loc` below `model` knows."""
    here: Any = model
    for part in loc:
        field = here.model_fields.get(str(part)) if hasattr(here, "model_fields") else None
        if field is None:
            return []
        options = [field.annotation, *getattr(field.annotation, "__args__", ())]
        models = [o for o in options if isinstance(o, type) and issubclass(o, BaseModel)]
        if not models:
            return []
        here = models[0]
    return [field.alias or name for name, field in here.model_fields.items()]
