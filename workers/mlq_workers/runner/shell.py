"""Reads a shell command that is nothing but one program and its arguments."""

from __future__ import annotations

#: What the shell takes as it stands, besides letters and digits.
_PLAIN = frozenset("_-./:,@+%^=")
_ESCAPED_IN_QUOTES = frozenset('$`"\\')


def read_words(command: str) -> list[str] | None:
    """The words of a simple command as the shell would pass them on; None for anything else.

    Understands quotes, escapes and lines that go on after a backslash. Expansions, redirections,
    several commands and assignments before the program are for a real shell to read.
    """
    text = command.replace("\\\n", "\0").strip()
    words: list[str] = []
    word: list[str] | None = None
    position = 0
    while position < len(text):
        char = text[position]
        position += 1
        if char == "\0":
            continue  # a joint between two lines
        if char in " \t":
            if word is not None:
                words.append("".join(word))
                word = None
            continue
        word = [] if word is None else word
        if char == "'":
            end = text.find("'", position)
            if end < 0:
                return None
            word.append(text[position:end].replace("\0", "\\\n"))
            position = end + 1
        elif char == '"':
            read = _read_quoted(text, position)
            if read is None:
                return None
            content, position = read
            word.append(content)
        elif char == "\\":
            if position == len(text) or text[position] in "\n\0":
                return None
            word.append(text[position])
            position += 1
        elif char.isalnum() or char in _PLAIN:
            word.append(char)
        else:
            return None
    if word is not None:
        words.append("".join(word))
    return words if words and "=" not in words[0] else None


def _read_quoted(text: str, position: int) -> tuple[str, int] | None:
    """What stands between double quotes from `position` on, and the position after them."""
    content: list[str] = []
    while position < len(text):
        char = text[position]
        position += 1
        if char == '"':
            return "".join(content), position
        if char in "$`":
            return None
        if char == "\\" and position < len(text) and text[position] in _ESCAPED_IN_QUOTES:
            char = text[position]
            position += 1
        if char != "\0":
            content.append(char)
    return None
