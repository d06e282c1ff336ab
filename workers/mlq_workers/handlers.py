"""How a leaf is run: a built-in component inside this process, a command as a supervised one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from mlq.artifacts import Store
from mlq.db.registry import Artifact
from mlq.db.usage import Usage
from mlq.errors import StepError
from mlq.lifecycle import Reason
from mlq.service.attempt_tokens import Signer
from mlq.service.execution import Attempt, Input
from mlq.spec.builtin import ARTIFACT_TYPES, BUILTIN, Port
from mlq.spec.parallel import PROGRAM_VARIABLE, SUMMARY
from mlq.spec.values import BadValueError, cast_literal
from mlq_workers import components, effects
from mlq_workers.board import Order, Seat
from mlq_workers.code import copy_code
from mlq_workers.components.base import Metric, Step
from mlq_workers.ending import Ending
from mlq_workers.environments import Environments, Interrupted, activate
from mlq_workers.gpus import ask_use
from mlq_workers.reporter import Reporter
from mlq_workers.runner import (
    CommandOutcome,
    CommandSpec,
    WarmStarts,
    mini_batches,
    render_command,
    run_command,
)
from mlq_workers.runner.command import Stop
from mlq_workers.runner.mask import Mask
from mlq_workers.runner.metrics import METRICS_VARIABLE, MetricsFile

if TYPE_CHECKING:
    from mlq.client import Client


class Handler(Protocol):
    """Runs one kind of leaf."""

    def handle(
        self, attempt: Attempt, *, scratch: Path, store: Store, seat: Seat, reporter: Reporter
    ) -> Ending:
        """Run `attempt`; what it raises is the step's failure.

        scratch: a folder of this attempt alone, which the handler makes if it needs one.
        """


@dataclass(frozen=True, slots=True)
class OwnAccess:
    """How what runs in an attempt reaches the API: its address, and a token for it alone."""

    signer: Signer
    api_url: str

    def token_for(self, attempt: Attempt) -> str:
        """The token of an attempt, worth nothing once that has ended."""
        return self.signer.token_for(attempt.claim.id, attempt.claim.attempt)


@dataclass(frozen=True, slots=True)
class ComponentHandler:
    """Built-in components, warm in this process. access: None where there is none."""

    access: OwnAccess | None = None

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
            open_api=self._opener(attempt),
        )
        result = run(step)
        outputs, stored = store_outputs(
            store, result.outputs, {key: port.type for key, port in BUILTIN[name].outputs.items()}
        )
        effect = effects.bind(result.effect) if result.effect is not None else None
        return Ending(outputs=outputs, artifacts=stored, effect=effect)

    def _opener(self, attempt: Attempt) -> Callable[[], Client] | None:
        access = self.access
        if access is None:
            return None

        def open_client() -> Client:
            from mlq.client import Client

            return Client(access.api_url, access.token_for(attempt))

        return open_client


@dataclass(frozen=True, slots=True)
class CommandHandler:
    """Commands as supervised processes.

    gpu: devices of this slot. threads: per command. access: with which a command may call the API
    for itself. warm: where plain scripts may start. hidden: a folder of which a command reaches its
    own files only. environments: of steps that have requirements of their own.
    reveal: (root of the job's tree, names) -> secrets by name.
    """

    gpu: tuple[str, ...] = ()
    threads: int = 1
    max_log_bytes: int = 16 * 2**20
    access: OwnAccess | None = None
    warm: WarmStarts | None = None
    hidden: Path | None = None
    environments: Environments | None = None
    reveal: Callable[[str, Sequence[str]], Mapping[str, str]] | None = None

    def handle(
        self,
        attempt: Attempt,
        *,
        scratch: Path,
        store: Store,
        seat: Seat,
        reporter: Reporter,
        should_prune: Callable[[], bool] | None = None,
        hear: Callable[[bool], None] | None = None,
    ) -> Ending:
        """Run the command of `attempt` and store what it wrote to its outputs.

        should_prune: asked several times a second; True stops it for good, with reason `pruned`.
        hear: called as often, and with True once it has ended, to look for what the command said
            without this process.
        """
        spec = attempt.spec
        work, out = scratch / "work", scratch / "outputs"
        scratch.mkdir(parents=True, mode=0o700)
        work.mkdir()
        out.mkdir()
        if spec.get("code"):
            copy_code(store, spec["code"], work)
        inputs = {key: fetch(store, given) for key, given in attempt.inputs.items()}
        ports = {key: port["type"] for key, port in (spec.get("outputs") or {}).items()}
        outputs = {key: out / key for key in ports}
        for key, kind in ports.items():
            if kind in ARTIFACT_TYPES and kind != "uri_file":
                outputs[key].mkdir()
        given_secrets = self._secrets(attempt)
        mask = Mask(given_secrets.values())
        cpus = spec.get("cpus")
        threads = self.threads if cpus is None else math.ceil(cpus)
        told = MetricsFile(scratch / "metrics.jsonl")
        pruned = False

        def should_stop() -> Any:
            nonlocal pruned
            for metric in told.read():
                _report_metric(reporter, metric)
            reporter.flush_if_due()  # its last words want to be shown before it ends
            if hear is not None:
                hear(False)
            pruned = pruned or (should_prune is not None and should_prune())
            return "cancel" if pruned else _STOPS.get(seat.order())

        def run(
            command: str,
            variables: Mapping[str, str],
            *,
            reads: Sequence[Path] = (),
            writes: Sequence[Path] = (),
            processes: int | None = None,
            on_usage: Callable[[Usage], None] = lambda usage: None,
        ) -> CommandOutcome:
            return run_command(
                CommandSpec(
                    command=command,
                    cwd=work,
                    env=variables,
                    timeout_s=spec.get("timeout_s"),
                    memory_limit_bytes=spec.get("memory_limit_bytes"),
                    gpu=self.gpu,
                    threads=threads,
                    processes=processes,
                    max_log_bytes=self.max_log_bytes,
                    hidden=self.hidden,
                    readable=[*readable, *reads],
                    writable=[scratch, *writes],
                    mask=mask,
                ),
                on_log=lambda stream, chunk: reporter.log(stream, chunk.decode(errors="replace")),
                on_start=seat.report_group,
                should_stop=should_stop,
                warm=self.warm if spec.get("warm_start", True) else None,
                on_usage=on_usage,
                ask_gpus=partial(ask_use, self.gpu) if self.gpu else None,
            )

        readable = [given for given in inputs.values() if isinstance(given, Path)]
        command = render_command(spec["command"], inputs, outputs)
        variables = {
            METRICS_VARIABLE: str(told.path),
            **({PROGRAM_VARIABLE: mini_batches.__file__} if _has_lot(spec) else {}),
            **self._attempt_variables(attempt),
            **{k: str(v) for k, v in (spec.get("environment_variables") or {}).items()},
            **given_secrets,
        }
        requirements = _requirements(spec)
        if requirements and self.environments is not None:
            try:
                with self.environments.use(
                    requirements,
                    build=lambda text, given, home: run(text, given, writes=[home]),
                    say=lambda line: reporter.log("mlq", line + "\n"),
                    should_stop=should_stop,
                ) as home:
                    outcome = run(
                        command,
                        {**activate(home), **variables},
                        reads=[home],
                        processes=spec.get("processes"),
                        on_usage=reporter.usage,
                    )
            except Interrupted as stopped:
                if stopped.outcome is None:
                    return _stopped(stopped.stop, pruned=pruned)
                outcome = stopped.outcome
        else:
            outcome = run(
                command, variables, processes=spec.get("processes"), on_usage=reporter.usage
            )
        for metric in told.read():
            _report_metric(reporter, metric)
        if hear is not None:
            hear(True)
        if pruned or outcome.reason in ("drained", "canceled"):
            return _stopped("drain" if outcome.reason == "drained" else "cancel", pruned=pruned)
        if outcome.reason is not None:
            return _failed(attempt, outcome)
        missing = [key for key, path in outputs.items() if not path.exists()]
        if missing:
            raise StepError(
                f"The command ended well but wrote no output '{missing[0]}'.",
                code="missing_output",
                hint=f"Write to the path that ${{{{outputs.{missing[0]}}}}} stands for.",
            )
        found = {key: _read_output(key, path, ports[key], mask) for key, path in outputs.items()}
        records, stored = store_outputs(store, found, ports)
        return Ending(outputs=records, artifacts=stored)

    def _secrets(self, attempt: Attempt) -> Mapping[str, str]:
        names = attempt.spec.get("secrets")
        if not names:
            return {}
        assert self.reveal is not None, "a worker can ask for secrets"
        return self.reveal(attempt.claim.root_id, names)

    def _attempt_variables(self, attempt: Attempt) -> dict[str, str]:
        """Address of the API and a token for this attempt alone, where the worker knows both.

        MLflow's names too: its client then logs to this job's run without a change to the code.
        """
        if self.access is None:
            return {}
        token = self.access.token_for(attempt)
        return {
            "MLQ_API_URL": self.access.api_url,
            "MLQ_TOKEN": token,
            "MLFLOW_TRACKING_URI": f"{self.access.api_url}/mlflow",
            "MLFLOW_TRACKING_TOKEN": token,
            "MLFLOW_RUN_ID": attempt.claim.id,
        }


#: Of an output that is a value: it is kept in the database.
_MAX_VALUE_BYTES = 64 * 1024
_STOPS: Mapping[Order, Any] = {Order.CANCEL: "cancel", Order.DRAIN: "drain"}
_REASONS = {"error": Reason.ERROR, "timeout": Reason.TIMEOUT, "oom": Reason.OOM}


def _stopped(stop: Stop | None, *, pruned: bool) -> Ending:
    if pruned:
        return Ending(reason=Reason.PRUNED)
    return Ending(is_release=stop == "drain")


def _has_lot(spec: Mapping[str, Any]) -> bool:
    """Whether a command does a lot of a parallel job."""
    return SUMMARY in (spec.get("outputs") or {})


def _requirements(spec: Mapping[str, Any]) -> list[str]:
    """Python requirements of a leaf; none: it runs in the worker's own environment."""
    environment = spec.get("environment")
    return list(environment.get("requirements") or []) if isinstance(environment, dict) else []


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


def _read_output(name: str, path: Path, kind: str, mask: Mask) -> Any:
    """What a command wrote to an output: the file or folder itself, or the value that it holds."""
    if kind in ARTIFACT_TYPES:
        return path
    try:
        if path.is_dir():
            raise BadValueError("is a folder and not the file of a value")
        if path.stat().st_size > _MAX_VALUE_BYTES:
            raise BadValueError(f"takes at most {_MAX_VALUE_BYTES:,} bytes of text")
        return cast_literal(path.read_text().strip(), Port(kind))
    except (BadValueError, OSError, UnicodeDecodeError) as error:
        raise StepError(
            mask.hide(f"The output '{name}' {error}."),
            code="invalid_output",
            hint=f"Write one value, as text, to the file that ${{{{outputs.{name}}}}} stands for.",
        ) from None


def _report_metric(reporter: Reporter, metric: Metric) -> None:
    reporter.metric(metric.key, metric.value, step=metric.step)


def _failed(attempt: Attempt, outcome: Any) -> Ending:
    if outcome.reason == "timeout":
        message = f"The command ran longer than its timeout of {attempt.spec['timeout_s']:g} s."
    elif outcome.reason == "oom":
        message = "The command ran out of memory."
        if limit := attempt.spec.get("memory_limit_bytes"):
            message = f"{message[:-1]}: resources.memory allows it {limit / 2**20:g} MiB."
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
