"""What a command sees: its environment variables, and its text with inputs filled in."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mlq.errors import StepError, nearest
from mlq_workers.resources import thread_limits

#: Variables of the worker that a command gets. Everything else, tokens and addresses of the
#: database and broker above all, stays with the worker.
PASSED_ON = frozenset(
    {
        "HOME",
        "LANG",
        "LANGUAGE",
        "LD_LIBRARY_PATH",
        "LOGNAME",
        "PATH",
        "SSL_CERT_DIR",
        "SSL_CERT_FILE",
        "TZ",
        "USER",
    }
)

_REFERENCE = re.compile(r"\$\{\{\s*(.*?)\s*\}\}", re.DOTALL)
_OPTIONAL = re.compile(r"\$\[\[(.*?)\]\]", re.DOTALL)
_NAME = re.compile(r"(inputs|outputs)\.([A-Za-z_][A-Za-z0-9_-]*)")


def command_environment(
    given: Mapping[str, str],
    *,
    tmp: Path,
    gpu: tuple[str, ...] = (),
    threads: int = 1,
    host: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """The variables of a command: a few of the host's, mlq's own, then what the job gives.

    gpu: devices of the slot; a command without any sees no GPU. The job cannot change that, nor
    TMPDIR. threads: limit of BLAS and OpenMP, which a job may set otherwise.
    Raises StepError for names and values that no process can have.
    """
    for name, value in given.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise StepError(
                f"{name!r:.100} cannot be an environment variable.",
                hint="Names hold no '=', and neither names nor values a NUL character.",
            )
    made = {
        name: value for name, value in host.items() if name in PASSED_ON or name.startswith("LC_")
    }
    # `python` in a command means the worker's own, with the packages that are installed there.
    folders = [str(Path(sys.executable).parent), made.get("PATH", os.defpath)]
    made["PATH"] = os.pathsep.join(folders)
    made["PYTHONUNBUFFERED"] = "1"
    made |= thread_limits(threads)
    made |= given
    made["CUDA_VISIBLE_DEVICES"] = ",".join(gpu)
    made["TMPDIR"] = str(tmp)
    return made


def render_command(template: str, inputs: Mapping[str, Any], outputs: Mapping[str, Path]) -> str:
    """Fill `${{inputs.x}}` and `${{outputs.y}}` into a command.

    Literals stand as they are written (booleans as True and False, numbers as Python prints them);
    paths, mappings and lists (as JSON) are quoted for the shell where they need it, also inside
    quotes of the command. `$[[ --opt ${{inputs.x}} ]]` is left out when an input in it is absent.
    Raises StepError for names that there are not.
    """
    kept = _OPTIONAL.sub(lambda found: _keep(found[1], inputs), template)
    parts: list[str] = []
    position = 0
    quote = ""
    for found in _REFERENCE.finditer(kept):
        before = kept[position : found.start()]
        quote = _quote_after(before, quote)
        parts += [before, _text(found[1], inputs, outputs, quote)]
        position = found.end()
    return "".join([*parts, kept[position:]])


def _keep(text: str, inputs: Mapping[str, Any]) -> str:
    for found in _REFERENCE.finditer(text):
        kind, _, name = found[1].partition(".")
        if kind == "inputs" and inputs.get(name) is None:
            return ""
    return text.strip()


def _text(
    reference: str, inputs: Mapping[str, Any], outputs: Mapping[str, Path], quote: str
) -> str:
    parsed = _NAME.fullmatch(reference)
    if parsed is None:
        raise StepError(
            f"The command refers to '${{{{{reference}}}}}', which means nothing in a command.",
            code="unknown_reference",
            hint="Use ${{inputs.NAME}} or ${{outputs.NAME}}.",
        )
    kind, name = parsed.groups()
    known: Mapping[str, Any] = inputs if kind == "inputs" else outputs
    value = known.get(name)
    if value is None:
        close = nearest(name, known)
        raise StepError(
            f"The command refers to ${{{{{reference}}}}}, but the job has no such {kind[:-1]}.",
            code="unknown_reference",
            hint=f"Did you mean '{close}'?"
            if close
            else "Write $[[ --option ${{inputs.NAME}} ]] around an optional input.",
        )
    if isinstance(value, Path):
        return _quoted(str(value), quote)
    if isinstance(value, Mapping | list | tuple):
        return _quoted(json.dumps(value, ensure_ascii=False), quote)
    return str(value)


def _quoted(text: str, quote: str) -> str:
    if quote == "'":
        return text.replace("'", "'\\''")
    if quote == '"':
        return re.sub(r'([\\"$`])', r"\\\1", text)
    return shlex.quote(text)


def _quote_after(text: str, quote: str) -> str:
    """Which quote is open after `text`, when `quote` was before it: '', ' or \"."""
    escaped = False
    for char in text:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
    return quote
