"""mlq's server beside others, and how fast a change goes live: `python -m benchmarks.serving`.

The same model in the same run: a scaled logistic regression, then a forest of 100 trees; 1 and
100 rows a request; 1, 16 and 64 connections. All servers are up, one is asked at a time, rounds are
interleaved, medians of the rounds are printed. Each other server is installed into an environment
of its own below `--environments`; one that does not install, does not start or stops answering is
said and left out. Then an alias and traffic flip 50 times each under load. `--quick` asks for one
row at 16 and 64 connections, in a few minutes. Ends with exit code 1 where a promise is not kept.

CPU time for each answer is measured beside the rate: on a machine that others use too it is what
can be compared.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks.serving import flips
from benchmarks.serving.peers import PEERS
from benchmarks.serving.problem import Problem, make_problem
from benchmarks.serving.process import Server, load
from benchmarks.serving.subject import Subject

MLQ = "mlq"
WITHOUT_ONNX = "mlq, no ONNX"
PLAIN = "plain FastAPI"
#: What one writes by hand for one model. It is no server of models: mlq has to be ahead, no more.
BY_HAND = "FastAPI + ONNX"
#: With ONNX mlq answers so many times as many one-row requests as the best peer, at ONNX_AT.
PROMISE = 3.0
ONNX_AT = (16, 64)
CONNECTIONS = (1, 16, 64)
ROWS = (1, 100)
_WARM_S = 0.5


def main() -> int:
    """Run, print tables, write all figures as JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving")
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/serving.json"))
    parser.add_argument(
        "--environments", type=Path, default=Path("benchmarks/results/environments")
    )
    parser.add_argument("--quick", action="store_true", help="one row, 16 and 64 connections")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="of each measurement; 3, or 1 if quick")
    parser.add_argument("--models", nargs="*", default=["logistic", "forest"])
    parser.add_argument("--connections", nargs="*", type=int)
    parser.add_argument("--rows", nargs="*", type=int)
    parser.add_argument("--peers", nargs="*", help="names, all by default", default=None)
    parser.add_argument("--no-flips", action="store_true")
    options = parser.parse_args()
    options.seconds = options.seconds or (1.0 if options.quick else 3.0)
    options.connections = options.connections or (ONNX_AT if options.quick else CONNECTIONS)
    options.rows = options.rows or (ROWS[:1] if options.quick else ROWS)
    options.environments.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {
        "python": platform.python_version(),
        "cores": os.cpu_count(),
        "missing": {},
        "cells": [],
    }
    for name in options.models:
        with tempfile.TemporaryDirectory(prefix="mlq-bench-") as folder, ExitStack() as stack:
            problem = make_problem(name)
            asked = dict(_start(problem, Path(folder), options, stack, results["missing"]))
            results["cells"] += list(_measure(problem, asked, options, results["missing"]))
            subject = asked[MLQ][0]
            if isinstance(subject, Subject) and name == options.models[0] and not options.no_flips:
                results["flips"] = flips.measure(subject, problem.rows(1), Path(folder))
    _print(results)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(results, indent=2))
    print(f"\nAll figures: {options.json}")
    broken = _broken(results)
    for line in broken:
        print(f"not kept: {line}")
    return 1 if broken else 0


def _start(
    problem: Problem,
    folder: Path,
    options: argparse.Namespace,
    stack: ExitStack,
    missing: dict[str, str],
) -> Iterator[tuple[str, tuple[Any, Server]]]:
    """(name, (what makes requests, server)), each of which has given the right answer."""
    for name, environment in ((MLQ, {}), (WITHOUT_ONNX, {"MLQ_SERVE_ONNX": "off"})):
        subject = Subject(
            problem, folder / name.replace(", ", "-").replace(" ", "-"), environment=environment
        )
        stack.callback(subject.close)
        answer = subject.server.wait(subject.ask(problem.rows(100)))
        _check(name, answer["predictions"], problem)
        yield name, (subject, subject.server)
    for peer in PEERS:
        if options.peers is not None and peer.name not in options.peers:
            continue
        try:
            home = peer.install(options.environments.absolute())
            server = peer.serve(home, problem, folder / peer.name.replace(" ", "-"))
            stack.callback(server.stop)
            answer = server.wait(peer.ask(problem.rows(100)))
        except RuntimeError as error:
            print(f"{peer.name} is left out: {error}", file=sys.stderr)
            missing[peer.name] = str(error)
            continue
        _check(peer.name, peer.answer(answer), problem)
        yield peer.name, (peer, server)


def _check(name: str, said: list[Any], problem: Problem) -> None:
    if [int(label) for label in said] != problem.answers(100):
        sys.exit(f"{name} gives other answers than the model")


def _measure(
    problem: Problem,
    asked: dict[str, tuple[Any, Server]],
    options: argparse.Namespace,
    missing: dict[str, str],
) -> Iterator[dict[str, Any]]:
    for rows in options.rows:
        for connections in options.connections:
            found: dict[str, list[dict[str, Any]]] = {name: [] for name in asked}
            for _ in range(options.rounds):
                for name, (asking, server) in list(asked.items()):
                    request = asking.ask(problem.rows(rows))
                    try:
                        load(server.port, request, connections=connections, seconds=_WARM_S)
                        found[name].append(_round(server, request, connections, options.seconds))
                    except RuntimeError as error:
                        if name.startswith(MLQ):
                            raise
                        print(f"{name} is left out from here: {error}", file=sys.stderr)
                        missing[name] = f"{problem.name}, from {connections} connections: {error}"
                        del asked[name], found[name]
            cell = {"model": problem.name, "rows": rows, "connections": connections}
            for name, rounds in found.items():
                yield {
                    **cell,
                    "server": name,
                    "per_s": statistics.median(one["requests"] / one["seconds"] for one in rounds),
                    "p50_ms": statistics.median(one.get("p50_ms", 0.0) for one in rounds),
                    "p99_ms": statistics.median(one.get("p99_ms", 0.0) for one in rounds),
                    "cpu_us": statistics.median(one["cpu_us"] for one in rounds),
                    "errors": sum(one["errors"] for one in rounds),
                    "rounds": rounds,
                }
            print(f"{problem.name}, {rows} rows, {connections} connections: done", file=sys.stderr)


def _round(server: Server, request: bytes, connections: int, seconds: float) -> dict[str, Any]:
    before = server.cpu_s()
    found = load(server.port, request, connections=connections, seconds=seconds)
    spent = server.cpu_s() - before
    return {**found, "cpu_us": 1e6 * spent / max(1, found["requests"])}


def _print(results: dict[str, Any]) -> None:
    for (model, rows), cells in _tables(results).items():
        asked = f"{model}, {rows} row{'s' if rows > 1 else ''} a request"
        print(f"\n{asked}: requests/s (p99 in ms; CPU an answer)\n")
        counts = sorted({cell["connections"] for cell in cells})
        print(f"{'connections':16}" + "".join(f"{count:>28}" for count in counts))
        for name in dict.fromkeys(cell["server"] for cell in cells):
            line = f"{name:16}"
            for count in counts:
                cell = _find(cells, name, count)
                if cell is None:
                    line += "left out".rjust(28)
                    continue
                errors = f" {cell['errors']} ERRORS" if cell["errors"] else ""
                spent = f"{cell['cpu_us']:.0f} us"
                line += f"{cell['per_s']:.0f} ({cell['p99_ms']:.1f}; {spent}){errors}".rjust(28)
            print(line)
    for name, why in results["missing"].items():
        print(f"\n{name} is left out: {why.splitlines()[0]}")
    if "flips" in results:
        print("\nChanges, from their commit to the first answer that shows them:\n")
        print(flips.describe(results["flips"]))


def _tables(results: dict[str, Any]) -> dict[tuple[str, int], list[dict[str, Any]]]:
    tables: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for cell in results["cells"]:
        tables.setdefault((cell["model"], cell["rows"]), []).append(cell)
    return tables


def _find(cells: list[dict[str, Any]], name: str, connections: int) -> dict[str, Any] | None:
    wanted = (name, connections)
    return next((cell for cell in cells if (cell["server"], cell["connections"]) == wanted), None)


def _broken(results: dict[str, Any]) -> list[str]:
    """The promises that these figures do not keep."""
    found = [
        f"{cell['server']} answered {cell['errors']} requests with an error"
        for cell in results["cells"]
        if cell["errors"] and cell["server"].startswith("mlq")
    ]
    for (model, rows), cells in _tables(results).items():
        for connections in sorted({cell["connections"] for cell in cells}):
            found += [
                f"{model}, {rows} rows, {connections} connections: {line}"
                for line in _compare(cells, connections, rows=rows)
            ]
    if "flips" in results and results["flips"]["load"]["errors"]:
        found.append(f"requests failed during flips: {results['flips']['load']['first_error']}")
    return found


def _compare(cells: list[dict[str, Any]], connections: int, *, rows: int) -> Iterator[str]:
    found = {cell["server"]: cell for cell in cells if cell["connections"] == connections}
    own, peers = found[MLQ], [cell for name, cell in found.items() if not name.startswith(MLQ)]
    servers = [cell["per_s"] for cell in peers if cell["server"] != BY_HAND]
    if rows == 1 and connections in ONNX_AT and peers:
        if servers and own["per_s"] < PROMISE * max(servers):
            share = own["per_s"] / max(servers)
            yield f"{share:.2f} of the best peer's throughput, not {PROMISE:g}"
        if BY_HAND in found and own["per_s"] < found[BY_HAND]["per_s"]:
            yield f"{own['per_s'] / found[BY_HAND]['per_s']:.2f} of the throughput of {BY_HAND}"
        least = min(cell["p99_ms"] for cell in peers)
        if own["p99_ms"] > least:
            yield f"p99 of {own['p99_ms']:.1f} ms, a peer has {least:.1f}"
    if PLAIN in found:
        share = found[WITHOUT_ONNX]["per_s"] / found[PLAIN]["per_s"]
        if share < 1:
            yield f"without ONNX {share:.2f} of the plain app's throughput"


if __name__ == "__main__":
    sys.exit(main())
