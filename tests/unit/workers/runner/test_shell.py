"""What is read as one program and its arguments, and what is left to a shell."""

from __future__ import annotations

import shutil
import subprocess
import sys

import pytest

from mlq_workers.runner.shell import read_words

SHELL = shutil.which("bash") or shutil.which("sh")
SHOW = [sys.executable, "-S", "-c", "import sys; print(sys.argv[1:])"]


@pytest.mark.parametrize(
    "text",
    [
        "a b  c",
        "train.py --x=1 --y '${{x}}' --z=a,b:c@d+e%f^g",
        '\'two words\' "it\'s" it\\\'s "a \\"quoted\\" word"',
        "one \\\n  two \\\n  three\n",
        "'a\\\nb' \"c\\\nd\" 'line\nbreak'",
        '"back\\slash \\n" \\$HOME',
        "'' \"\" x''y",
        "grün /päth",
    ],
)
def test_words_are_the_shells(text: str) -> None:
    assert SHELL is not None
    said = subprocess.run(
        [SHELL, "-c", 'exec "$@" ' + text, "sh", *SHOW], capture_output=True, text=True, check=True
    )
    assert str(read_words("x " + text)) == str(["x", *eval(said.stdout)])


@pytest.mark.parametrize(
    "text",
    [
        "a; b",
        "a & b",
        "a | b",
        "a > b",
        "a < b",
        "a $B",
        'a "$B"',
        "a `b`",
        "a *.py",
        "a b?",
        "a [b]",
        "a {b,c}",
        "a ~/b",
        "a # b",
        "a\nb",
        "A=1 b",
        "(a)",
        "! a",
        "a 'b",
        'a "b',
        "a \\",
        "",
    ],
)
def test_the_rest_is_for_a_shell(text: str) -> None:
    assert read_words(text) is None
