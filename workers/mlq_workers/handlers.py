"""How a leaf is run: a built-in component inside this process, a command as a supervised one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mlq.artifacts import Store
from mlq.db.registry import Artifact
from mlq.errors import StepError
from mlq.lifecycle import Reason
from mlq.service.execution import Attempt, Input
from mlq.spec.builtin import ARTIFACT_TYPES, BUILTIN
from mlq_workers import components, effects
from mlq_workers.board import Order, Seat
from mlq_workers.components.base import Metric, Step
from mlq_workers.ending import Ending
from mlq_workers.reporter import Reporter
from mlq_workers.runner import CommandSpec, render_command, run_command
from mlq_workers.runner.metrics import METRICS_VARIABLE, MetricsFile


class Handler(Protocol):
    """Runs one kind of leaf."""

    def handle(
        self, attempt: Attempt, *, scratch: Path, store: Store, seat: Seat, reporter: Reporter
    ) -> Ending:
        """Run `attempt`; what it raises is the step's failure.

        scratch: a folder of this attempt alone, which the handler makes if it needs one.
        """


class ComponentHandler:
    """Built-in components, warm in this process."""

    def handle(
        self, attempt: Attempt, *, scratch: Path, store: Store, seat: Seat, reporter: Reporter
    ) -> Ending:
        """Run the component of `attempt` and store its outputs."""
        name = attempt.claim.component
        assert name is not None, "a component leaf has a component"
        run = components.load(name)
        if any(port.type in ARTIFACT_TYPES for port in BUILTIN[name].outputs.values()):
            scratch.mkdir(parents=True, mode=0o700)
        step = Step(
            inputs={key: fetch(store, given) for key, given in attempt.inputs.items()},
            scratch=scratch,
            sources={key: given.uri for key, given in attempt.inputs.items() if given.uri},
            log_metric=lambda metric: _report_metric(reporter, metric),
            log=lambda line: reporter.log("stdout", line + "\n"),
        )
        result = run(step)
        outputs, stored = store_outputs(
            store, result.outputs, {key: port.type for key, port in BUILTIN[name].outputs.items()}
        )
        effect = effects.bind(result.effect) if result.effect is not None else None
        return Ending(outputs=outputs, artifacts=stored, effect=effect)


@dataclass(frozen=True, slots=True)
class CommandHandler:
    """Commands as supervised processes. gpu: devices of this slot; threads: per command."""

    gpu: tuple[str, ...] = ()
    threads: int = 1
    max_log_bytes: int = 16 * 2**20

    def handle(
        self,
        attempt: Attempt,
        *,
        scratch: Path,
        store: Store,
        seat: Seat,
        reporter: Reporter,
        should_prune: Callable[[], bool] | None = None,
    ) -> Ending:
        """Run the command of `attempt` and store what it wrote to its outputs.

        should_prune: asked several times a second; True stops it for good, with reason `pruned`.
        """
        spec = attempt.spec
        work, out = scratch / "work", scratch / "outputs"
        scratch.mkdir(parents=True, mode=0o700)
        work.mkdir()
        out.mkdir()
        inputs = {key: fetch(store, given) for key, given in attempt.inputs.items()}
        ports = {key: port["type"] for key, port in (spec.get("outputs") or {}).items()}
        outputs = {key: out / key for key in ports}
        for key, kind in ports.items():
            if kind != "uri_file":
                outputs[key].mkdir()
        told = MetricsFile(scratch / "metrics.jsonl")
        pruned = False

        def should_stop() -> Any:
            nonlocal pruned
            for metric in told.read():
                _report_metric(reporter, metric)
            reporter.flush_if_due()  # its last words want to be shown before it ends
            pruned = pruned or (should_prune is not None and should_prune())
            return "cancel" if pruned else _STOPS.get(seat.order())

        outcome = run_command(
            CommandSpec(
                command=render_command(spec["command"], inputs, outputs),
                cwd=work,
                env={
                    METRICS_VARIABLE: str(told.path),
                    **{k: str(v) for k, v in (spec.get("environment_variables") or {}).items()},
                },
                timeout_s=spec.get("timeout_s"),
                memory_limit_bytes=spec.get("memory_limit_bytes"),
                gpu=self.gpu,
                threads=self.threads,
                max_log_bytes=self.max_log_bytes,
            ),
            on_log=lambda stream, chunk: reporter.log(stream, chunk.decode(errors="replace")),
            on_start=seat.report_group,
            should_stop=should_stop,
        )
        for metric in told.read():
            _report_metric(reporter, metric)
        if pruned:
            return Ending(reason=Reason.PRUNED)
        if outcome.reason == "drained":
            return Ending(is_release=True)
        if outcome.reason == "canceled":
            return Ending()
        if outcome.reason is not None:
            return _failed(attempt, outcome)
        missing = [key for key, path in outputs.items() if not path.exists()]
        if missing:
            raise StepError(
                f"The command ended well but wrote no output '{missing[0]}'.",
                code="missing_output",
                hint=f"Write to the path that ${{{{outputs.{missing[0]}}}}} stands for.",
            )
        records, stored = store_outputs(store, outputs, ports)
        return Ending(outputs=records, artifacts=stored)


_STOPS: Mapping[Order, Any] = {Order.CANCEL: "cancel", Order.DRAIN: "drain"}
_REASONS = {"error": Reason.ERROR, "timeout": Reason.TIMEOUT, "oom": Reason.OOM}


def fetch(store: Store, given: Input) -> Any:
    """A literal's value, or the local path of an artifact."""
    if given.digest is None:
        return given.value
    return store.fetch(
        given.digest, kind="tree" if given.kind == "tree" else "blob", name=given.name or None
    )


def store_outputs(
    store: Store, outputs: Mapping[str, Any], types: Mapping[str, str]
) -> tuple[dict[str, Any], list[Artifact]]:
    """Put files and folders into the store; return the outputs' records and what was stored."""
    records: dict[str, Any] = {}
    stored: list[Artifact] = []
    for name, value in outputs.items():
        kind = types.get(name, "object")
        if not isinstance(value, Path):
            records[name] = {"type": kind, "value": value}
            continue
        if value.is_dir():
            tree = store.put_tree(value)
            item = Artifact(tree.digest, "tree", tree.size_bytes)
        else:
            blob = store.put_file(value)
            item = Artifact(blob.digest, "blob", blob.size_bytes)
        stored.append(item)
        records[name] = {
            "type": kind,
            "digest": item.digest,
            "kind": item.kind,
            "name": value.name,
            "size_bytes": item.size_bytes,
        }
    return records, stored


def _report_metric(reporter: Reporter, metric: Metric) -> None:
    reporter.metric(metric.key, metric.value, step=metric.step)


def _failed(attempt: Attempt, outcome: Any) -> Ending:
    if outcome.reason == "timeout":
        message = f"The command ran longer than its timeout of {attempt.spec['timeout_s']:g} s."
    elif outcome.reason == "oom":
        message = "The command ran out of memory."
    elif outcome.signal is not None:
        message = f"The command was ended by signal {outcome.signal}."
    else:
        message = f"The command ended with exit code {outcome.exit_code}."
    return Ending(
        reason=_REASONS[outcome.reason],
        error={
            "code": outcome.reason,
            "message": message,
            "exit_code": outcome.exit_code,
            "last_lines": outcome.last_lines[-20:],
        },
    )
