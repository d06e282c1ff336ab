"""The job file's own shape: jobs and components of the Azure ML CLI v2 schema.

One level at a time: `jobs` holds plain mappings, which `mlq.spec.tree` validates step by step with
the model that JOB_TYPES names. Unknown keys are problems.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StrictBool,
    StrictInt,
    model_validator,
)
from pydantic_core import PydanticCustomError

from mlq.spec.builtin import ARTIFACT_TYPES, LITERAL_TYPES

PORT_TYPES = ARTIFACT_TYPES | LITERAL_TYPES
SAMPLING = ("grid", "random", "bayesian")
MAX_RETRIES = 100
MAX_ROUNDS = 20
MAX_ITERATIONS = 1_000
MAX_CONCURRENT_ITEMS = 1_000
SEEDS = 2**32
MAX_TRIALS = 1_000_000
MAX_CONCURRENT_TRIALS = 1_000
#: Ten years.
MAX_SECONDS = 10 * 365 * 86400
MAX_PROCESSES = 256


def _as_text(value: Any) -> Any:
    # Azure's own files write `tags: {version: 3}` and `OMP_NUM_THREADS: 4`.
    if isinstance(value, (bool, int, float)):
        return json.dumps(value)
    return "" if value is None else value


def _as_retries(value: Any) -> Any:
    if isinstance(value, int) and not isinstance(value, bool):
        return {"max_retries": value}
    return value


def _environment(value: Any) -> Any:
    if value is None or isinstance(value, (str, dict)):
        return value
    raise PydanticCustomError(
        "environment", "must be a reference such as mlq:NAME:VERSION, or a mapping"
    )


def _port_type(value: Any) -> Any:
    if isinstance(value, str) and value in PORT_TYPES:
        return value
    raise PydanticCustomError("port_type", "is not a type of input or output")


def _distribution(value: Any) -> Any:
    if value == "pytorch" or (isinstance(value, str) and value.lower() == "pytorch"):
        return "pytorch"
    raise PydanticCustomError(
        "distribution",
        "A step runs on one machine, where several processes are started by 'pytorch' only",
    )


def _log_base(value: Any) -> Any:
    if value is None or value == "e":
        return value
    if isinstance(value, (int, float)) and not isinstance(value, bool) and value > 1:
        return value
    raise PydanticCustomError("log_base", "This must be 'e' or a number greater than 1")


def _word(value: Any, words: tuple[str, ...]) -> str:
    """The one of `words` that is meant: `MedianStopping` is `median_stopping`, as for Azure."""
    if isinstance(value, str):
        written = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", value).lower()
        if written in words:
            return written
    raise PydanticCustomError("word", "must be one of {words}", {"words": ", ".join(words)})


def _one_of(*words: str) -> BeforeValidator:
    return BeforeValidator(lambda value: _word(value, words))


def _as_sampling(value: Any) -> Any:
    return {"type": _word(value, SAMPLING)} if isinstance(value, str) else value


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _as_bytes(value: Any) -> Any:
    found = _SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    if value is None:
        return None
    if found is None or float(found[1]) <= 0:
        raise PydanticCustomError("size", "must be a size such as 8GiB or 500MiB")
    return int(float(found[1]) * _UNITS[found[2][0]])


def _mini_batch_size(value: Any) -> Any:
    """{count} of files or rows, or {size_bytes}."""
    found = _BATCH.fullmatch(str(value).strip().lower()) if not isinstance(value, bool) else None
    if value is None:
        return None
    if found is None or int(found[1]) == 0:
        raise PydanticCustomError(
            "mini_batch_size", "must be a number of files or rows, or a size such as 500kb or 1mb"
        )
    if not found[2]:
        return {"count": int(found[1]), "size_bytes": None}
    return {"count": None, "size_bytes": int(found[1]) << 10 * (" kmg".index(found[2][0]))}


def _in_a_line(value: Any) -> Any:
    """Terminals and tables show it: line breaks and escapes would change what stands around it."""
    if isinstance(value, str) and not value.isprintable():
        raise PydanticCustomError("printable", "This must be one line of printable characters")
    return value


def _job_name(value: Any) -> Any:
    if isinstance(value, str) and (value.startswith("@") or "/" in value):
        raise PydanticCustomError(
            "job_name", "A job's name has no '/' and begins with no '@', as in @last"
        )
    return _in_a_line(value)


_SIZE = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*([GM]i)B?")
_MOST_CPUS = 4096
_UNITS = {"G": 1 << 30, "M": 1 << 20}
_BATCH = re.compile(r"(\d{1,9})([kmg]b)?")


Text = Annotated[str, BeforeValidator(_as_text)]
Line = Annotated[str, AfterValidator(_in_a_line), BeforeValidator(_as_text)]
PortType = Annotated[str, BeforeValidator(_port_type)]
Environment = Annotated[Any, BeforeValidator(_environment)]
LogBase = Annotated[Any, BeforeValidator(_log_base)]
SecretName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")]
LimitName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Seconds = Annotated[float, Field(strict=True, gt=0, le=MAX_SECONDS, allow_inf_nan=False)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Retries(_Strict):
    """How often a failed attempt is followed by another, and when.

    delay, max_delay: seconds; the n-th retry waits min(max_delay, delay * backoff ** (n - 1)).
    """

    max_retries: Annotated[int, Field(strict=True, ge=0, le=MAX_RETRIES)] = 0
    delay: Annotated[float, Field(strict=True, ge=0, le=86400)] = 1.0
    backoff: Annotated[float, Field(strict=True, ge=1, le=100)] = 2.0
    max_delay: Annotated[float, Field(strict=True, ge=0, le=86400)] = 300.0


class Limits(_Strict):
    """timeout: seconds. concurrency: names of limits that all machines keep (mlq's own)."""

    timeout: Seconds | None = None
    concurrency: Annotated[list[LimitName] | None, BeforeValidator(_as_list)] = None


class Distribution(_Strict):
    """Several processes of one command on one machine, which find each other."""

    type: Annotated[str, BeforeValidator(_distribution)]
    process_count_per_instance: Annotated[StrictInt, Field(ge=1, le=MAX_PROCESSES)] = 1


def _docker_limits(value: Any) -> Any:
    """`--cpus` and `--memory` of Docker's arguments, where nothing else says them."""
    if not isinstance(value, dict):
        return value
    said = value.get("docker_args")
    text = " ".join(map(str, said)) if isinstance(said, list) else said
    if not isinstance(text, str):
        return value
    found = dict(value)
    for key, option in (("cpu", r"--cpus"), ("memory", r"(?:--memory|-m)")):
        given = re.search(rf"(?:^|\s){option}[\s=]+(\S+)", text)
        if given and value.get(key) is None:
            found[key] = _docker_size(given[1]) if key == "memory" else given[1]
            text = text.replace(given[0], " ", 1)
    if text.strip():
        return found
    return {key: value for key, value in found.items() if key != "docker_args"}


def _docker_size(text: str) -> str:
    """Docker's `2g` as `2GiB`; its units are powers of 1024."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([mg])b?", text.lower())
    return text if found is None else f"{found[1]}{found[2].upper()}iB"


def _as_cpus(value: Any) -> Any:
    if value is None:
        return None
    try:
        cpus = float(value) if isinstance(value, (int, float, str)) else math.nan
    except ValueError:
        cpus = math.nan
    if isinstance(value, bool) or not 0 < cpus <= _MOST_CPUS:
        raise PydanticCustomError("cpus", "must be a number of CPUs such as 4 or 0.5")
    return cpus


class Resources(BaseModel):
    """What a step asks of its machine. Azure's other keys are kept and ignored.

    gpu_memory: that much of each GPU that the step sees must be free. cpu: for how many CPUs'
    worth of threads it computes. memory: what all its processes may hold together, in bytes. These
    three are mlq's own; Azure has Docker's arguments for the last two.
    """

    model_config = ConfigDict(extra="allow")

    instance_count: StrictInt | None = None
    gpu_memory: Annotated[int | None, BeforeValidator(_as_bytes)] = None
    cpu: Annotated[float | None, BeforeValidator(_as_cpus)] = None
    memory: Annotated[int | None, BeforeValidator(_as_bytes)] = None

    _read_docker = model_validator(mode="before")(_docker_limits)


class Settings(_Strict):
    """Of a pipeline. `default_datastore` is Azure's and ignored."""

    default_compute: str | None = None
    default_datastore: str | None = None
    continue_on_step_failure: StrictBool | None = None
    force_rerun: StrictBool | None = None


class TypedInput(_Strict):
    """An input written out, or a component's input port; `path` for artifacts, else `value`."""

    type: PortType | None = None
    path: str | None = None
    value: Any = None
    default: Any = None
    optional: StrictBool | None = None
    min: Annotated[float, Field(strict=True)] | None = None
    max: Annotated[float, Field(strict=True)] | None = None
    enum: list[Any] | None = None
    description: Text | None = None
    mode: str | None = None
    datastore: str | None = None


class TypedOutput(_Strict):
    """An output written out, or a component's output port."""

    type: PortType | None = None
    description: Text | None = None
    mode: str | None = None
    path: str | None = None
    name: str | None = None
    version: Text | None = None
    is_control: StrictBool | None = None


class _Described(_Strict):
    schema_: str | None = Field(default=None, alias="$schema")
    type: str | None = None
    name: Annotated[str, AfterValidator(_job_name), Field(max_length=255)] | None = None
    display_name: Annotated[Line, Field(max_length=1024)] | None = None
    description: Annotated[Text, Field(max_length=65536)] | None = None
    tags: dict[str, Text] | None = None
    properties: dict[str, Text] | None = None
    inputs: dict[str, Any] | None = None
    outputs: dict[str, Any] | None = None


class _Runs(_Strict):
    """What a command and a component that is one share.

    secrets: names of those that it gets as environment variables (mlq's own).
    """

    command: Annotated[str, Field(min_length=1)]
    code: str | None = None
    environment: Environment = None
    environment_variables: dict[str, Text] | None = None
    secrets: list[SecretName] | None = None
    resources: Resources | None = None
    distribution: Distribution | None = None
    warm_start: StrictBool | None = None


class Repeat(_Strict):
    """A sweep or pipeline that is run again until it is good enough (mlq's own).

    widen: path of a number in the job -> the factor by which it grows from round to round.
    """

    rounds: Annotated[StrictInt, Field(ge=1, le=MAX_ROUNDS)]
    widen: dict[str, Annotated[Number, Field(gt=0, le=100)]] | None = None


class Job(_Described):
    """What every job and step may carry; experiment and priority of the root hold for all."""

    experiment_name: Annotated[Line, Field(max_length=255)] | None = None
    compute: str | None = None
    timeout: Seconds | None = None
    limits: Limits | None = None
    retries: Annotated[Retries | None, BeforeValidator(_as_retries)] = None
    is_deterministic: StrictBool | None = None
    repeat: Repeat | None = None
    priority: Annotated[StrictInt, Field(ge=-100, le=100)] | None = None
    identity: Any = None
    services: Any = None
    queue_settings: Any = None


class CommandJob(Job, _Runs):
    """`type: command`: a command line that a worker runs as a process."""


class ComponentJob(Job):
    """A step that runs a component: built in, registered or inline."""

    component: Any
    environment: Environment = None
    environment_variables: dict[str, Text] | None = None
    resources: Resources | None = None
    distribution: Distribution | None = None
    warm_start: StrictBool | None = None


class PipelineJob(Job):
    """`type: pipeline`: named steps and what flows between them.

    finally: steps that run once all others have ended, however they did (mlq's own).
    """

    jobs: dict[str, Any]
    finally_: dict[str, Any] | None = Field(default=None, alias="finally")
    settings: Settings | None = None


class IfElseJob(Job):
    """`type: if_else`: which of its sibling steps run.

    condition: boolean, or a binding to one. true_block, false_block: `${{parent.jobs.STEP}}`, or a
    list of such.
    """

    condition: Any
    true_block: str | list[str] | None = None
    false_block: str | list[str] | None = None


class DoWhileLimits(_Strict):
    """max_iteration_count: the body runs at most that often, whatever its condition says."""

    max_iteration_count: Annotated[StrictInt, Field(ge=1, le=MAX_ITERATIONS)] | None = None


class DoWhileJob(Job):
    """`type: do_while`: a sibling step again and again, as long as its output says so.

    body: `${{parent.jobs.STEP}}`. condition: a boolean output of it, by name or as a binding.
    mapping: output of the body -> input of the next iteration, or several.
    """

    body: str
    condition: str
    mapping: dict[str, str | list[str]] | None = None
    limits: DoWhileLimits | None = None  # type: ignore[assignment]


class ParallelForJob(Job):
    """`type: parallel_for`: a sibling step once for each item, beside each other.

    body: `${{parent.jobs.STEP}}`. items: a list of mappings from input to value, a mapping of such,
    either as JSON text, or a binding to one. max_concurrency: so many run at once at most.
    """

    body: str
    items: Any
    max_concurrency: Annotated[StrictInt, Field(ge=1, le=MAX_CONCURRENT_ITEMS)] | None = None


class RetrySettings(_Strict):
    """What a mini-batch is given. timeout: seconds for one call of `run`, 60 when left out."""

    timeout: Seconds | None = None
    max_retries: Annotated[StrictInt, Field(ge=0, le=MAX_RETRIES)] | None = None


class ParallelTask(_Strict):
    """The script of a parallel job, which has a function `run(mini_batch)`."""

    type: Annotated[str, _one_of("run_function")]
    entry_script: Annotated[str, Field(min_length=1)]
    code: str | None = None
    program_arguments: str | None = None
    append_row_to: str | None = None
    environment: Environment = None


class _MiniBatches(_Strict):
    """How a parallel job cuts its input, and what may fail; -1: whatever fails."""

    mini_batch_size: Annotated[Any, BeforeValidator(_mini_batch_size)] = None
    mini_batch_error_threshold: Annotated[StrictInt, Field(ge=-1)] | None = None
    error_threshold: Annotated[StrictInt, Field(ge=-1)] | None = None
    max_concurrency_per_instance: Annotated[StrictInt, Field(ge=1, le=MAX_PROCESSES)] | None = None
    retry_settings: RetrySettings | None = None
    logging_level: Annotated[str, _one_of("debug", "info", "warning", "warn")] | None = None
    input_data: str | None = None
    resources: Resources | None = None


class ParallelJob(Job, _MiniBatches):
    """`type: parallel`: a script over mini-batches of one input, spread over workers."""

    task: ParallelTask
    environment_variables: dict[str, Text] | None = None


class ParallelComponentJob(ComponentJob, _MiniBatches):
    """`type: parallel` with `component:`; what it says itself goes before the component's own."""


class SweepLimits(Limits):
    """Of a sweep. timeout: seconds for the whole search; trial_timeout: seconds for one trial."""

    max_total_trials: Annotated[StrictInt, Field(ge=1, le=MAX_TRIALS)] | None = None
    max_concurrent_trials: Annotated[StrictInt, Field(ge=1, le=MAX_CONCURRENT_TRIALS)] | None = None
    trial_timeout: Seconds | None = None


class SamplingAlgorithm(_Strict):
    """How a sweep chooses parameters; the name alone may stand for it.

    logbase: of `random`: the base that the bounds of log types are exponents of; e when left out.
    """

    type: Annotated[str, _one_of(*SAMPLING)]
    seed: Annotated[StrictInt, Field(ge=0, lt=SEEDS)] | None = None
    rule: Annotated[str, _one_of("random", "sobol")] | None = None
    logbase: LogBase = None


class SweepObjective(_Strict):
    """What a sweep is after. target: the sweep ends when a trial reaches it (mlq's own)."""

    primary_metric: Annotated[str, Field(min_length=1, max_length=250)]
    goal: Annotated[str, _one_of("maximize", "minimize")]
    target: Number | None = None


class EarlyTermination(_Strict):
    """When a trial that does badly is stopped.

    evaluation_interval, delay_evaluation: in intermediate values of the primary metric.
    """

    type: Annotated[str, _one_of("bandit", "median_stopping", "truncation_selection", "hyperband")]
    evaluation_interval: Annotated[StrictInt, Field(ge=0)] | None = None
    delay_evaluation: Annotated[StrictInt, Field(ge=0)] | None = None
    slack_factor: Annotated[Number, Field(ge=0)] | None = None
    slack_amount: Annotated[Number, Field(ge=0)] | None = None
    truncation_percentage: Annotated[StrictInt, Field(ge=1, le=99)] | None = None
    min_resource: Annotated[StrictInt, Field(ge=1)] | None = None
    reduction_factor: Annotated[StrictInt, Field(ge=2, le=1000)] | None = None


class SweepJob(Job):
    """`type: sweep`: trials of one component, and the search for its best parameters.

    The keys that a sweep cannot do without are required by `mlq.spec.sweep`, which can then look at
    what stands beside a missing one.
    """

    trial: Any = None
    sampling_algorithm: Annotated[SamplingAlgorithm | None, BeforeValidator(_as_sampling)] = None
    search_space: dict[str, Any] | None = None
    objective: SweepObjective | None = None
    early_termination: EarlyTermination | None = None
    limits: SweepLimits | None = None
    environment: Environment = None
    environment_variables: dict[str, Text] | None = None
    resources: Resources | None = None
    warm_start: StrictBool | None = None


class CommandComponent(_Described, _Runs):
    """An inline or registered component of type `command`."""

    version: Text | None = None
    is_deterministic: StrictBool | None = None


class ParallelComponent(_Described, _MiniBatches):
    """An inline or registered component of type `parallel`."""

    version: Text | None = None
    task: ParallelTask
    is_deterministic: StrictBool | None = None


class PipelineComponent(_Described):
    """An inline or registered component of type `pipeline`."""

    version: Text | None = None
    jobs: dict[str, Any]
    finally_: dict[str, Any] | None = Field(default=None, alias="finally")
    settings: Settings | None = None
    is_deterministic: StrictBool | None = None


#: `type:` -> its model. A new job type is one more line, here and in COMPONENT_TYPES.
JOB_TYPES: Mapping[str, type[Job]] = {
    "command": CommandJob,
    "pipeline": PipelineJob,
    "sweep": SweepJob,
    "if_else": IfElseJob,
    "do_while": DoWhileJob,
    "parallel_for": ParallelForJob,
    "parallel": ParallelJob,
}
COMPONENT_TYPES: Mapping[
    str, type[CommandComponent] | type[PipelineComponent] | type[ParallelComponent]
] = {
    "command": CommandComponent,
    "pipeline": PipelineComponent,
    "parallel": ParallelComponent,
}
#: Azure's types that mlq does not have -> what to do instead.
REFUSED_TYPES: Mapping[str, str] = {
    "automl": "mlq has no automl jobs; name an estimator in an mlq:train step.",
    "spark": "mlq has no Spark; run the work as a command or a built-in step.",
    "import": "mlq has no import jobs; upload data with `mlq data create`.",
    "data_transfer": "mlq has no data transfer jobs; upload data with `mlq data create`.",
    "data_transfer_copy": "mlq has no data transfer jobs; upload data with `mlq data create`.",
    "data_transfer_import": "mlq has no data transfer jobs; upload data with `mlq data create`.",
    "data_transfer_export": "mlq has no data transfer jobs; download with `mlq job download`.",
    "finetuning": "mlq has no finetuning jobs; run the training as a command.",
    "distillation": "mlq has no distillation jobs; run the training as a command.",
    "base": "mlq has no base jobs; use `command` or `pipeline`.",
}
#: Keys of Azure's schema that a job file may not have here -> why.
REFUSED_KEYS: Mapping[str, str] = {
    "on_init": "steps that always run first are not supported by this version yet.",
    "on_finalize": "write the step under `finally` of the pipeline; it always runs last.",
    "trigger": "a schedule is a file of its own.",
    "partition_keys": "mini-batches are cut by number or size; let the script group its rows.",
    "depends_on": "steps follow from their bindings; bind an input to the other step's output.",
}
