"""Runs the mini-batches of one lot, in the environment of the step.

Run as `python mini_batches.py --lot FILE --data PATH --summary FILE [--append FILE] -- SCRIPT
ARGUMENT…` in place of a command. Only the standard library is used, and pandas where mini-batches
are tables. The script has `run(mini_batch)`, and may have `init()` and `shutdown()`.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import io
import json
import logging
import multiprocessing
import sys
import time
import traceback
from collections import Counter, deque
from multiprocessing.connection import Connection, wait
from pathlib import Path
from types import ModuleType
from typing import Any, TextIO

_FORK = multiprocessing.get_context("fork")


class Context:
    """What `run(mini_batch, context)` is told beside its data."""

    def __init__(self, index: int) -> None:
        self.minibatch_index = index


class Failed(Exception):
    """More has failed than may."""


class Child:
    """A process that runs mini-batches, one after the other."""

    def __init__(self, order: argparse.Namespace, settings: dict[str, Any]) -> None:
        self.channel, theirs = _FORK.Pipe()
        self.process = _FORK.Process(
            target=_serve, args=(theirs, self.channel, order, settings), daemon=True
        )
        self.process.start()
        theirs.close()
        self.index: int | None = None  # of the mini-batch in progress
        self.kill_at: float | None = None
        self.is_ready = False

    def give(self, index: int, batch: dict[str, Any], timeout_s: float) -> None:
        self.index, self.kill_at = index, time.monotonic() + timeout_s
        self.channel.send((index, batch))

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.channel.close()


class Lot:
    """The mini-batches that are to be done, and what has become of them."""

    def __init__(self, order: argparse.Namespace, lot: dict[str, Any], append: TextIO | None):
        self.order = order
        self.settings = lot["settings"]
        self.batches: list[dict[str, Any]] = lot["batches"]
        self.first: int = lot["first"]
        self.append = append
        self.waiting = deque(range(len(self.batches)))
        self.failures: Counter[int] = Counter()
        self.rows: dict[int, str] = {}  # of those that are done, until it is their turn
        self.written = 0
        self.failed_batches = self.failed_items = 0
        self.children: list[Child] = []

    def run(self) -> dict[str, int]:
        """Run all of them; raises Failed when more of them have failed than may."""
        count = min(self.settings["processes"], len(self.batches))
        try:
            for _ in range(count):
                self._start()
            while self.written < len(self.batches):
                self._step()
            for child in self.children:
                child.channel.send(None)
            for child in self.children:
                child.process.join()
        finally:
            for child in self.children:
                child.end()
        return {
            "mini_batches": len(self.batches),
            "failed_mini_batches": self.failed_batches,
            "items": sum(batch["size"] for batch in self.batches),
            "failed_items": self.failed_items,
        }

    def _start(self) -> None:
        self.children.append(Child(self.order, self.settings))

    def _step(self) -> None:
        for child in self.children:
            if child.is_ready and child.index is None and self.waiting:
                index = self.waiting.popleft()
                batch = self.batches[index]
                child.give(self.first + index, batch, self.settings["timeout_s"])
        ends = [child.kill_at for child in self.children if child.kill_at is not None]
        left = max(0.0, min(ends) - time.monotonic()) if ends else None
        heard = set(wait([child.channel for child in self.children], left))
        for child in list(self.children):
            if child.channel in heard:
                self._hear(child)
            elif child.kill_at is not None and time.monotonic() >= child.kill_at:
                limit = self.settings["timeout_s"]
                self._lose(child, f"it took longer than its timeout of {limit:g} s.")

    def _hear(self, child: Child) -> None:
        try:
            kind, *said = child.channel.recv()
        except (EOFError, OSError):
            child.process.join()
            if not child.is_ready:
                raise Failed("A process ended before init() had returned.") from None
            self._lose(child, f"its process ended with code {child.process.exitcode}.")
            return
        if kind == "ready":
            child.is_ready = True
        elif kind == "broken":
            raise Failed(f"The script cannot be used:\n{said[0]}")
        else:
            index = self._finish(child)
            if kind == "done":
                rows, returned = said
                lacking = max(0, self.batches[index]["size"] - returned)
                self._settle(index, rows, lacking)
            else:
                self._retry(index, said[0])

    def _finish(self, child: Child) -> int:
        assert child.index is not None
        index = child.index - self.first
        child.index = child.kill_at = None
        return index

    def _lose(self, child: Child, why: str) -> None:
        """The process of a mini-batch is gone, or must go: another one takes its place."""
        index = self._finish(child) if child.index is not None else None
        child.end()
        self.children.remove(child)
        if index is not None:
            self._retry(index, why)
        if self.waiting or self.written < len(self.batches):
            self._start()

    def _retry(self, index: int, why: str) -> None:
        self.failures[index] += 1
        print(f"Mini-batch {self.first + index} failed: {why}", file=sys.stderr, flush=True)
        if self.failures[index] <= self.settings["max_retries"]:
            self.waiting.appendleft(index)
            return
        self.failed_batches += 1
        self._settle(index, "", self.batches[index]["size"])

    def _settle(self, index: int, rows: str, failed: int) -> None:
        """Write what is done in the order of the mini-batches."""
        self.failed_items += failed
        self.rows[index] = rows
        while self.written in self.rows:
            text = self.rows.pop(self.written)
            if self.append is not None:
                self.append.write(text)
            self.written += 1
        for what, count in (
            ("mini_batch_error_threshold", self.failed_batches),
            ("error_threshold", self.failed_items),
        ):
            most = self.settings[what]
            if 0 <= most < count:
                noun = "mini-batches" if what.startswith("mini") else "items"
                raise Failed(f"{count} {noun} have failed, and {what} is {most}.")


# in a process of its own ------------------------------------------------------------------------


def _serve(
    channel: Connection, other: Connection, order: argparse.Namespace, settings: dict[str, Any]
) -> None:
    other.close()
    try:
        script = _load(order, settings)
        if hasattr(script, "init"):
            script.init()
        takes_context = len(inspect.signature(script.run).parameters) > 1
    except BaseException:
        channel.send(("broken", traceback.format_exc()))
        return
    channel.send(("ready",))
    while (given := channel.recv()) is not None:
        index, batch = given
        try:
            data = _read(Path(order.data), batch)
            returned = script.run(data, Context(index)) if takes_context else script.run(data)
            rows, count = _rows(returned, batch["size"], must_return=order.append is not None)
        except Exception:
            sys.stdout.flush()
            channel.send(("failed", traceback.format_exc()))
        else:
            sys.stdout.flush()
            channel.send(("done", rows, count))
    if hasattr(script, "shutdown"):
        script.shutdown()


def _load(order: argparse.Namespace, settings: dict[str, Any]) -> ModuleType:
    """The script as a module, as if it had been started with its arguments."""
    logging.basicConfig(level=settings["logging_level"])
    path = Path(order.script).resolve()
    sys.argv = [order.script, *order.arguments]
    sys.path[0] = str(path.parent)
    sys.path.insert(1, str(Path.cwd()))
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None or not path.is_file():
        raise FileNotFoundError(f"There is no script {order.script} in the code of this step.")
    script = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = script
    spec.loader.exec_module(script)
    if not callable(getattr(script, "run", None)):
        raise AttributeError(f"{order.script} has no function run(mini_batch).")
    return script


def _read(data: Path, batch: dict[str, Any]) -> Any:
    """A list of paths, or a DataFrame."""
    if "files" in batch:
        return [str(data / name) if name else str(data) for name in batch["files"]]
    import pandas as pd

    frames = [_read_table(data / part["file"], part) for part in batch["table"]]
    return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)


def _read_table(file: Path, part: dict[str, Any]) -> Any:
    import pandas as pd

    if part["format"] == "parquet":
        frame = pd.read_parquet(file)
        return frame.iloc[part["start"] : part["end"]].reset_index(drop=True)
    with file.open("rb") as source:
        source.seek(part["start"])
        content = source.read(part["end"] - part["start"])
    text = part["header"] + content.decode(part["encoding"])
    header = 0 if part["header"] else None
    return pd.read_csv(io.StringIO(text), sep=part["delimiter"], header=header)


def _rows(returned: Any, size: int, *, must_return: bool) -> tuple[str, int]:
    """What `run` has returned as lines of text, and how many there are."""
    if returned is None and not must_return:
        return "", size
    if hasattr(returned, "to_csv"):
        text = returned.to_csv(header=False, index=False, sep=" ", lineterminator="\n")
        return text, len(returned)
    if returned is None or isinstance(returned, (str, bytes)) or not hasattr(returned, "__iter__"):
        raise TypeError(
            f"run() returned {type(returned).__name__}; it returns a list or a DataFrame, with a "
            "row for each item that it has processed."
        )
    lines = [str(item) for item in returned]
    return "".join(f"{line}\n" for line in lines), len(lines)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--lot", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--summary", required=True)
    parser.add_argument("--append")
    parser.add_argument("script")
    parser.add_argument("arguments", nargs=argparse.REMAINDER)
    return parser.parse_args()


def main() -> int:
    """Run the lot; the exit code."""
    order = _arguments()
    lot = json.loads(Path(order.lot).read_text())
    append = Path(order.append).open("w") if order.append else None  # noqa: SIM115
    try:
        summary = Lot(order, lot, append).run()
    except Failed as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if append is not None:
            append.close()
    Path(order.summary).write_text(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
