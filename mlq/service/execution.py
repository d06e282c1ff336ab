"""Use cases of a worker on an open transaction: begin an attempt, report, end it.

An attempt begins and ends with one commit each.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from mlq.db import limits, registry, reports, specs, transitions, usage
from mlq.db.lineage import find_cached, outputs_of
from mlq.db.projects import owner_of_job
from mlq.db.registry import Artifact
from mlq.db.reports import LogChunk, MetricValue
from mlq.db.transitions import DROPPED, RETURNED, AskGpus, Claim, Fate, Settled
from mlq.db.usage import Usage
from mlq.db.window import Delivery
from mlq.errors import NotFoundError, StepError
from mlq.lifecycle import Reason, Role
from mlq.service import assets
from mlq.service.capacity import Windows
from mlq.service.jobs import dispatch
from mlq.spec.plan import spec_digest


@dataclass(frozen=True, slots=True)
class Input:
    """A resolved input. value: of a literal; the rest: of an artifact.

    uri: where it came from, with versions resolved. address: where its bytes are still to be
    fetched from; they have no digest then.
    """

    type: str
    value: Any = None
    digest: str | None = None
    kind: str = "blob"
    name: str = ""
    uri: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Attempt:
    """A claimed leaf with what it needs to run.

    cache_key: digest of everything that its outputs depend on; None when it must run every time.
    error: why its inputs cannot be had. reusable: a job whose outputs it can take as they are.
    """

    claim: Claim
    spec: Mapping[str, Any]
    inputs: Mapping[str, Input]
    cache_key: str | None = None
    error: Mapping[str, Any] | None = None
    reusable: str | None = None

    @property
    def is_over(self) -> bool:
        """Whether there is nothing to run: `end_early` has the rest."""
        return self.error is not None or self.reusable is not None


@dataclass(frozen=True, slots=True)
class Report:
    """What an attempt has to say when it ends or on the way."""

    metrics: Sequence[MetricValue] = ()
    logs: Sequence[LogChunk] = ()
    artifacts: Sequence[Artifact] = ()
    usage: Usage | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The committed outcome. deliveries: to publish after the commit."""

    deliveries: list[Delivery]
    settled: Settled


class SpecCache:
    """Specs by digest, the latest used ones kept; their content never changes."""

    def __init__(self, *, size: int = 512) -> None:
        self._size = size
        self._specs: OrderedDict[str, dict[str, Any]] = OrderedDict()

    def load(self, conn: Connection, digest: str) -> dict[str, Any]:
        """The spec of `digest`, from memory where possible."""
        content = self._specs.get(digest)
        if content is None:
            content = self._specs[digest] = specs.load(conn, digest)
            if len(self._specs) > self._size:
                self._specs.popitem(last=False)
        else:
            self._specs.move_to_end(digest)
        return content


def begin(
    conn: Connection, job_id: str, *, worker: str, lease_s: float, spec_cache: SpecCache
) -> Attempt | None:
    """Claim a leaf and resolve its inputs. None when there is nothing to claim.

    Only the claim writes, and it is one statement: `conn` may commit each by itself.
    """
    claimed = transitions.claim(conn, job_id, worker=worker, lease_s=lease_s)
    return _prepared(conn, claimed, spec_cache) if claimed is not None else None


def begin_limited(
    conn: Connection,
    job_id: str,
    *,
    worker: str,
    lease_s: float,
    spec_cache: SpecCache,
    ask_gpus: AskGpus,
) -> Attempt | None:
    """As `begin`, for a leaf under limits: it needs a transaction that holds until its end.

    None also where a limit is used up: the leaf then waits for it in the database.
    """
    claimed = transitions.claim_limited(
        conn, job_id, worker=worker, lease_s=lease_s, ask_gpus=ask_gpus
    )
    return _prepared(conn, claimed, spec_cache) if claimed is not None else None


def _prepared(
    conn: Connection, claimed: tuple[Claim, dict[str, dict[str, Any]]], spec_cache: SpecCache
) -> Attempt:
    claim, produced = claimed
    spec = spec_cache.load(conn, claim.spec_digest)
    try:
        inputs = resolve_inputs(
            conn, claim.inputs, produced, find_project=lambda: owner_of_job(conn, claim.id)
        )
    except (NotFoundError, StepError) as error:
        return Attempt(claim, spec, {}, error=error.as_dict())
    # what lies at an address may have changed
    is_known = not any(given.address for given in inputs.values())
    cache_key = (
        cache_key_of(claim.spec_digest, spec, inputs)
        if spec.get("is_deterministic") and is_known
        else None
    )
    earlier = None
    if cache_key is not None and not claim.force_rerun:
        earlier = find_cached(conn, cache_key, root_id=claim.root_id)
    return Attempt(claim, spec, inputs, cache_key, reusable=earlier.id if earlier else None)


def end_early(conn: Connection, attempt: Attempt, *, windows: Windows) -> Finished | None:
    """Commit the outcome of an attempt that is over before it ran: reuse, or a bad input.

    None, or StaleAttempt, when it is not current any more, as with `fail` and `succeed`.
    """
    claim = attempt.claim
    if attempt.error is not None:
        settled = transitions.fail(conn, claim, reason=Reason.ERROR, error=attempt.error)
        return _finish(conn, claim, settled, Report(), windows=windows, refill=True)
    assert attempt.reusable is not None, "only an attempt that is over ends early"
    outputs = outputs_of(conn, attempt.reusable)
    # before the outcome, which may end a trial that looks for them
    reports.copy_metrics(conn, source=attempt.reusable, target=claim.id, attempt=claim.attempt)
    settled = transitions.succeed(conn, claim, outputs, cache_key=attempt.cache_key, cached=True)
    return _finished(conn, claim, settled, Report(), windows=windows, refill=True)


def report(conn: Connection, claim: Claim, said: Report) -> bool:
    """Write what a running attempt says; False when it is not current any more."""
    if not transitions.is_current(conn, claim.id, claim.attempt):
        return False
    _write(conn, claim, said)
    return True


def succeed(
    conn: Connection,
    attempt: Attempt,
    outputs: Mapping[str, Any],
    *,
    said: Report,
    windows: Windows,
    refill: bool,
    effect: Callable[[Connection], Mapping[str, Any]] | None = None,
) -> Finished:
    """Commit success: outputs, metrics, the effect and everything it sets free.

    effect: what the step changes in the registry; returns further outputs.
    refill: look for waiting leaves of the same compute too if the attempt's chain ends here.
    Raises StaleAttempt when the attempt is not current any more or a cancel was requested: the
    transaction must be rolled back, and `end_canceled` tells which it was.
    """
    claim = attempt.claim
    if effect is not None:
        if not transitions.may_succeed(conn, claim):
            raise transitions.StaleAttempt(claim.id)
        outputs = {**outputs, **effect(conn)}
    # before the outcome, which may end a trial that looks for them
    reports.write_metrics(conn, claim.id, claim.attempt, said.metrics)
    said = replace(said, metrics=())
    settled = transitions.succeed(conn, claim, outputs, cache_key=attempt.cache_key)
    _let_go(conn, claim, settled, RETURNED)
    return _finished(conn, claim, settled, said, windows=windows, refill=refill)


def fail(
    conn: Connection,
    attempt: Attempt,
    *,
    reason: Reason,
    error: Mapping[str, Any],
    said: Report,
    windows: Windows,
    retry: bool = True,
) -> Finished | None:
    """Commit a failure; by the step's policy the leaf is queued again after a delay.

    None when the attempt is not current any more: nothing changed.
    """
    claim = attempt.claim
    delay = retry_delay_s(attempt.spec.get("retries") or {}, claim.failure_count) if retry else None
    settled = transitions.fail(conn, claim, reason=reason, error=error, retry_delay_s=delay)
    _let_go(conn, claim, settled, RETURNED)
    return _finish(conn, claim, settled, said, windows=windows, refill=True)


def end_canceled(
    conn: Connection, attempt: Attempt, *, said: Report, windows: Windows
) -> Finished | None:
    """Commit that the attempt was stopped by a cancel; None when it is not current any more."""
    settled = transitions.end_canceled(conn, attempt.claim)
    _let_go(conn, attempt.claim, settled, DROPPED)
    return _finish(conn, attempt.claim, settled, said, windows=windows, refill=True)


def release(
    conn: Connection, attempt: Attempt, *, said: Report, windows: Windows, fate: Fate = RETURNED
) -> Finished | None:
    """Hand the attempt back without burning it; None when it is not current any more.

    fate: of the trials that a runner holds.
    """
    settled = transitions.release(conn, attempt.claim)
    _let_go(conn, attempt.claim, settled, fate)
    return _finish(conn, attempt.claim, settled, said, windows=windows, refill=True)


def yield_slot(
    conn: Connection, attempt: Attempt, *, said: Report, windows: Windows
) -> Finished | None:
    """Hand the slot on to whoever waits longest; None when the attempt is not current any more."""
    settled = transitions.yield_slot(conn, attempt.claim)
    _let_go(conn, attempt.claim, settled, RETURNED)
    return _finish(conn, attempt.claim, settled, said, windows=windows, refill=True)


def lose(
    conn: Connection,
    claim: Claim,
    *,
    error: Mapping[str, Any],
    max_lost: int,
    excused: bool,
    windows: Windows,
    only_expired: bool = False,
    fate: Fate | None = None,
) -> Finished | None:
    """Commit that the attempt was lost with its worker: queued again, or failed after too many.

    only_expired: True where the worker may still be alive, and only its silence speaks against it.
    fate: of the trials that a runner holds; None: nobody knows which of them was in progress.
    None when the attempt ended or was renewed meanwhile.
    """
    settled = transitions.lose(
        conn,
        claim,
        error=error,
        max_lost=max_lost,
        excused=excused,
        whatever_lease=not only_expired,
    )
    _let_go(conn, claim, settled, fate or Fate(in_progress=None, error=error))
    return _finish(conn, claim, settled, Report(), windows=windows, refill=False)


def adopt(conn: Connection, job_id: str, attempt: int) -> Attempt | None:
    """An attempt as its worker held it, for who speaks in its place; None when it has ended."""
    claim = transitions.find_claim(conn, job_id, attempt)
    if claim is None:
        return None
    return Attempt(claim, specs.load(conn, claim.spec_digest), {})


def succeeded(conn: Connection, job_id: str, attempt: int) -> bool:
    """Whether that attempt's success was committed, for who lost the answer to its COMMIT."""
    return transitions.find_success(conn, job_id, attempt)


def retry_delay_s(policy: Mapping[str, Any], failures: int) -> float:
    """Seconds until the next attempt, by exponential backoff; failures: those before this one."""
    delay = float(policy.get("delay_s") or 0.0)
    factor = float(policy.get("backoff") or 1.0)
    return min(delay * factor**failures, float(policy.get("max_delay_s") or 3600.0))


def _let_go(conn: Connection, claim: Claim, settled: Settled | None, fate: Fate) -> None:
    """What a runner held goes where its own attempt sends it."""
    if settled is not None and claim.role == Role.RUNNER:
        is_over = any(job.id == claim.parent_id for job in settled.ended)
        transitions.let_go(conn, claim, fate, is_over=is_over)


def _finish(
    conn: Connection,
    claim: Claim,
    settled: Settled | None,
    said: Report,
    *,
    windows: Windows,
    refill: bool,
) -> Finished | None:
    if settled is None:
        return None
    return _finished(conn, claim, settled, said, windows=windows, refill=refill)


def _finished(
    conn: Connection,
    claim: Claim,
    settled: Settled,
    said: Report,
    *,
    windows: Windows,
    refill: bool,
) -> Finished:
    _write(conn, claim, said)
    ready = settled.ready
    if refill and not settled.chain_goes_on:
        ready = ready | {claim.compute}
    if claim.held:
        ready = ready | limits.wake(conn, limits.freed(claim.held, claim.compute))
    return Finished(dispatch(conn, ready, windows), settled)


def _write(conn: Connection, claim: Claim, said: Report) -> None:
    registry.add_artifacts(conn, said.artifacts)
    reports.write_metrics(conn, claim.id, claim.attempt, said.metrics)
    reports.write_logs(conn, claim.id, claim.attempt, said.logs)
    if said.usage is not None:
        usage.write(conn, claim.id, claim.attempt, said.usage)


def resolve_inputs(
    conn: Connection,
    inputs: Mapping[str, Any],
    produced: Mapping[str, Mapping[str, Any]],
    *,
    find_project: Callable[[], str],
) -> dict[str, Input]:
    """What the stored `inputs` of a leaf stand for now; produced: outputs of jobs, by their id.
    find_project: whose assets they may be.

    Raises StepError for an output that is not there; NotFoundError for an asset.
    """
    resolved: dict[str, Input] = {}
    for name, spec in inputs.items():
        if "job" in spec:
            output = produced.get(spec["job"], {}).get(spec["output"])
            if output is None and spec.get("optional"):
                if spec["default"] is not None:
                    resolved[name] = Input(spec["type"], value=spec["default"])
                continue
            if output is None:
                raise StepError(
                    f"Input '{name}': the step before wrote no output '{spec['output']}'.",
                    code="missing_output",
                )
            resolved[name] = _from_output(output)
        elif "asset" in spec:
            resolved[name] = Input(spec["type"], **spec["asset"])
        elif "address" in spec:
            resolved[name] = Input(spec["type"], uri=spec["address"], address=spec["address"])
        elif "late" in spec:
            asset = assets.resolve_late(conn, spec["late"], project=find_project())
            if asset is not None:
                resolved[name] = Input(
                    asset.type,
                    digest=asset.digest,
                    kind=asset.kind,
                    name=asset.name,
                    uri=asset.uri,
                )
        else:
            resolved[name] = Input(spec["type"], value=spec["value"])
    return resolved


def _from_output(output: Mapping[str, Any]) -> Input:
    if "digest" in output:
        return Input(
            output["type"],
            digest=output["digest"],
            kind=output["kind"],
            name=output["name"],
            uri=f"artifact:sha256:{output['digest']}",
        )
    return Input(output["type"], value=output["value"])


def cache_key_of(digest: str, spec: Mapping[str, Any], inputs: Mapping[str, Input]) -> str:
    """The digest of everything that the outputs of a leaf depend on.

    digest: of `spec`, the leaf's own definition.
    """
    return spec_digest(
        {
            "spec": digest,
            "inputs": {
                # A model's name matters where a step reports it; its bytes decide the rest.
                name: [given.type, given.digest, given.name, given.uri]
                if given.digest
                else [given.type, given.value]
                for name, given in inputs.items()
            },
            "version": spec.get("component_version"),
        }
    )
