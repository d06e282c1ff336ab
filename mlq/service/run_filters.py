"""MLflow's search language: filters such as `metrics.acc > 0.9 AND tags.team = 'a'`, and orders.

Grammar as MLflow documents it ("Search Runs"): comparisons joined by AND; `metrics.`, `params.`,
`tags.`, `attributes.` (or none: an attribute) before a key, quoted with backticks or double quotes
where it holds other characters; numbers for metrics and times, quoted texts for the rest; LIKE,
ILIKE, IN, NOT IN, IS NULL, IS NOT NULL.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlq.errors import MlqError, nearest

Kind = Literal["metric", "param", "tag", "attribute"]

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("metric", "metrics"), "metric"),
    **dict.fromkeys(("param", "params", "parameter", "parameters"), "param"),
    **dict.fromkeys(("tag", "tags"), "tag"),
    **dict.fromkeys(("attribute", "attributes", "attr", "run"), "attribute"),
}
#: attribute as written -> as `mlq.db.queries.runs` knows it
ATTRIBUTES = {
    "run_id": "id",
    "run_name": "name",
    "Run name": "name",
    "run name": "name",
    "Run Name": "name",
    "status": "status",
    "user_id": "user",
    "start_time": "started_at",
    "Created": "started_at",
    "created": "started_at",
    "end_time": "ended_at",
    "experiment_id": "experiment_id",
    "name": "name",
    "creation_timestamp": "created_at",
    "creation_time": "created_at",
    "last_update_time": "updated_at",
    "last_updated_timestamp": "updated_at",
    "model_id": "model_id",
    "model_type": "model_type",
    "source_run_id": "source_run_id",
    "version_number": "version",
}
_TIMES = frozenset({"started_at", "ended_at", "created_at", "updated_at"})
_NUMBERS = frozenset({*_TIMES, "experiment_id", "version"})
_TEXT_OPS = frozenset({"=", "!=", "LIKE", "ILIKE", "IN", "NOT IN", "IS NULL", "IS NOT NULL"})
_NUMBER_OPS = frozenset({"=", "!=", ">", ">=", "<", "<=", "IN", "NOT IN", "IS NULL", "IS NOT NULL"})
_MAX_CHARACTERS = 6000

_TOKEN = re.compile(
    r"""\s*(?:
      (?P<text>'(?:[^'\\]|\\.|'')*')
    | (?P<quoted>"[^"]*"|`[^`]*`)
    | (?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)(?![\w.])
    | (?P<op><=|>=|!=|<>|==|=|<|>|\(|\)|,|\.)
    | (?P<word>[A-Za-z_][\w./:-]*)
    )""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """One comparison. value: a number, a text, or a tuple of them for IN; None for IS NULL."""

    kind: Kind
    key: str
    op: str
    value: Any


@dataclass(frozen=True, slots=True)
class Order:
    """What to sort by."""

    kind: Kind
    key: str
    descending: bool = False


def parse_filter(text: str | None) -> list[Comparison]:
    """Read a filter; empty means no comparison. Raises MlqError (code `invalid_filter`)."""
    tokens = _Tokens(text or "")
    found: list[Comparison] = []
    while not tokens.at_end:
        if found:
            tokens.take_word("AND")
        found.append(_comparison(tokens))
    return found


def parse_orders(texts: Sequence[str]) -> list[Order]:
    """Read `metrics.acc DESC` and such. Raises MlqError (code `invalid_filter`)."""
    orders = []
    for text in texts:
        tokens = _Tokens(text)
        kind, key = _identifier(tokens)
        descending = False
        if not tokens.at_end:
            word = tokens.take_one_of(("ASC", "DESC"))
            descending = word == "DESC"
        if not tokens.at_end:
            raise _invalid(f"'{text:.80}' is no order", "Write it as `metrics.acc DESC`.")
        orders.append(Order(kind, key, descending))
    return orders


def _comparison(tokens: _Tokens) -> Comparison:
    kind, key = _identifier(tokens)
    op = _operator(tokens)
    is_number = kind == "metric" or (kind == "attribute" and key in _NUMBERS)
    if op not in (_NUMBER_OPS if is_number else _TEXT_OPS):
        what = "a number" if is_number else "a text"
        raise _invalid(f"{op} does not compare {what}, which {kind} '{key}' is")
    if op.startswith("IS"):
        return Comparison(kind, key, op, None)
    if op in {"IN", "NOT IN"}:
        return Comparison(kind, key, op, tuple(_list(tokens, is_number=is_number)))
    return Comparison(kind, key, op, _value(tokens, is_number=is_number))


def _identifier(tokens: _Tokens) -> tuple[Kind, str]:
    kind_of, text = tokens.take()
    if kind_of == "word":
        head, dot, rest = text.partition(".")
        if dot and head.lower() in _KINDS:
            if not rest:
                kind_of, rest = tokens.take()
                rest = rest[1:-1] if kind_of == "quoted" else rest
            return _known(_KINDS[head.lower()], rest)
        if head.lower() in _KINDS and tokens.skip_op("."):
            kind_of, rest = tokens.take()
            return _known(_KINDS[head.lower()], rest[1:-1] if kind_of == "quoted" else rest)
        return _known("attribute", text)
    if kind_of == "quoted":
        return _known("attribute", text[1:-1])
    raise _invalid(f"'{text:.40}' stands where a key belongs", "Write it as `metrics.acc > 0.9`.")


def _known(kind: Kind, key: str) -> tuple[Kind, str]:
    if kind != "attribute":
        return kind, key
    if key not in ATTRIBUTES:
        guess = nearest(
            key, [*ATTRIBUTES, *(f"{one}.{key}" for one in ("metrics", "params", "tags"))]
        )
        raise _invalid(
            f"There is no attribute '{key:.80}'",
            f"Did you mean '{guess}'?" if guess else f"There are {', '.join(sorted(ATTRIBUTES))}.",
        )
    return kind, ATTRIBUTES[key]


def _operator(tokens: _Tokens) -> str:
    kind, text = tokens.take()
    word = text.upper()
    if kind == "op" and text in {"=", "==", "!=", "<>", "<", "<=", ">", ">="}:
        return {"==": "=", "<>": "!="}.get(text, text)
    if word in {"LIKE", "ILIKE", "IN"}:
        return word
    if word == "NOT":
        tokens.take_word("IN")
        return "NOT IN"
    if word == "IS":
        if tokens.take_one_of(("NOT", "NULL")) == "NULL":
            return "IS NULL"
        tokens.take_word("NULL")
        return "IS NOT NULL"
    raise _invalid(
        f"'{text:.40}' is no comparison", "There are =, !=, <, <=, >, >=, LIKE, ILIKE, IN."
    )


def _list(tokens: _Tokens, *, is_number: bool) -> list[Any]:
    if not tokens.skip_op("("):
        raise _invalid("IN takes a list in parentheses", "Write it as `tags.team IN ('a', 'b')`.")
    values = [_value(tokens, is_number=is_number)]
    while tokens.skip_op(","):
        values.append(_value(tokens, is_number=is_number))
    if not tokens.skip_op(")"):
        raise _invalid("The list after IN does not end with a parenthesis")
    return values


def _value(tokens: _Tokens, *, is_number: bool) -> Any:
    kind, text = tokens.take()
    if is_number:
        if kind == "text":
            text = text[1:-1]
        try:
            return float(text)
        except ValueError:
            raise _invalid(f"'{text:.40}' stands where a number belongs") from None
    if kind == "text":
        return re.sub(r"\\(.)", r"\1", text[1:-1].replace("''", "'"))
    if kind == "quoted" and text.startswith('"'):
        return text[1:-1]
    raise _invalid(f"{text:.40} stands where a text belongs", f"Write it in quotes: '{text:.40}'.")


class _Tokens:
    def __init__(self, text: str) -> None:
        if len(text) > _MAX_CHARACTERS:
            raise _invalid(f"The filter is longer than {_MAX_CHARACTERS} characters")
        self._found: list[tuple[str, str]] = []
        self._at = 0
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None or match.lastgroup is None:
                raise _invalid(f"The filter does not read on at '{text[position:][:40]}'")
            self._found.append((match.lastgroup, match[match.lastgroup]))
            position = match.end()

    @property
    def at_end(self) -> bool:
        return self._at == len(self._found)

    def take(self) -> tuple[str, str]:
        if self.at_end:
            raise _invalid("The filter breaks off", "Write it as `metrics.acc > 0.9`.")
        self._at += 1
        return self._found[self._at - 1]

    def take_word(self, word: str) -> None:
        self.take_one_of((word,))

    def take_one_of(self, words: tuple[str, ...]) -> str:
        _, text = self.take()
        if text.upper() not in words:
            raise _invalid(f"'{text:.40}' stands where {' or '.join(words)} belongs")
        return text.upper()

    def skip_op(self, op: str) -> bool:
        if not self.at_end and self._found[self._at] == ("op", op):
            self._at += 1
            return True
        return False


def _invalid(message: str, hint: str = "") -> MlqError:
    return MlqError(f"{message}.", code="invalid_filter", hint=hint)
