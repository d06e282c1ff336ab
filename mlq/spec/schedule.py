"""Schedule files: Azure ML v2's, with triggers on new data, files, drift and signed webhooks.

Pure: a file is read and checked here; when it is due is `mlq.spec.due`, what firing does
`mlq.service.schedules`. The job under `create_job` is checked by compiling it with `SAMPLE`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictInt

from mlq.errors import SpecError, SpecProblem
from mlq.spec.document import Document
from mlq.spec.problems import Problems

CATCH_UP = ("all", "latest", "none")
OVERLAP = ("allow", "skip", "queue", "cancel_previous")
FREQUENCIES = ("minute", "hour", "day", "week", "month")
WEEK_DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
#: Of the context of a firing, what each kind of trigger knows beside `trigger_time`.
CONTEXT = {
    "cron": (),
    "recurrence": (),
    "data": ("data", "version"),
    "files": ("data", "version"),
    "drift": ("endpoint", "deployment", "model"),
    "webhook": ("commit", "ref", "branch", "repository", "delivery"),
}

#: Before the name of an endpoint where a schedule says what it watches; no data is named so.
ENDPOINT = "endpoint:"

_EXPRESSION = re.compile(r"\$\{\{\s*creation_context\.([A-Za-z_]+)\s*\}\}")
_DATA = re.compile(r"(?:(?:mlq|azureml):)?([A-Za-z0-9][A-Za-z0-9._-]{0,254})(?:@latest)?")


def _listed(value: Any) -> Any:
    # as Azure has it, one value stands for a list of it
    return value if value is None or isinstance(value, list) else [value]


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", populate_by_name=True)


class Pattern(_Strict):
    """Wall-clock times of a recurrence; hours and minutes are combined."""

    hours: Annotated[list[Annotated[StrictInt, Field(ge=0, le=23)]], BeforeValidator(_listed)] = (
        Field(min_length=1)
    )
    minutes: Annotated[list[Annotated[StrictInt, Field(ge=0, le=59)]], BeforeValidator(_listed)] = (
        Field(min_length=1)
    )
    week_days: Annotated[
        list[
            Annotated[
                Literal[
                    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"
                ],
                BeforeValidator(_lower),
            ]
        ]
        | None,
        BeforeValidator(_listed),
    ] = Field(default=None, alias="weekdays")
    month_days: Annotated[
        list[Annotated[StrictInt, Field(ge=1, le=31)]] | None, BeforeValidator(_listed)
    ] = Field(default=None, alias="monthdays")


class _Timed(_Strict):
    start_time: str | None = None
    end_time: str | None = None
    time_zone: str = "UTC"


class CronTrigger(_Timed):
    """expression: five fields, as cron has them."""

    type: Literal["cron"]
    expression: str = Field(max_length=200)


class RecurrenceTrigger(_Timed):
    """Every `interval` minutes, hours, days, weeks or months; `schedule`: at these times."""

    type: Literal["recurrence"]
    frequency: Annotated[Literal["minute", "hour", "day", "week", "month"], BeforeValidator(_lower)]
    interval: Annotated[StrictInt, Field(ge=1, le=1000)]
    schedule: Pattern | None = None


class DataTrigger(_Strict):
    """A new version of a data asset."""

    type: Literal["data"]
    data: str


class FilesTrigger(_Strict):
    """Files that appear in a store become versions of a data asset, and each fires."""

    type: Literal["files"]
    path: str = Field(min_length=1, max_length=1000)
    data: str


class DriftTrigger(_Strict):
    """What an endpoint is asked or answers goes over a limit: the event `endpoint.drift`."""

    type: Literal["drift"]
    endpoint: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,239}$")


class WebhookTrigger(_Strict):
    """A signed request to `/v1/hooks/NAME`. branch: only pushes to it."""

    type: Literal["webhook"]
    branch: str | None = Field(default=None, max_length=255)


Trigger = (
    CronTrigger | RecurrenceTrigger | DataTrigger | FilesTrigger | DriftTrigger | WebhookTrigger
)
TRIGGERS: Mapping[str, type[Trigger]] = {
    "cron": CronTrigger,
    "recurrence": RecurrenceTrigger,
    "data": DataTrigger,
    "files": FilesTrigger,
    "drift": DriftTrigger,
    "webhook": WebhookTrigger,
}


class ScheduleFile(_Strict):
    """A schedule file. catch_up, overlap are mlq's."""

    LATER: ClassVar[Mapping[str, str]] = {
        "create_monitor": "monitoring is no schedule here: write limits under `drift` in the "
        "deployment's file; a trigger of the type drift then starts a job.",
        "import_data": "importing data is not supported; a `files` trigger watches a store.",
    }
    schema_: str | None = Field(default=None, alias="$schema")
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,254}$")
    version: str | None = None
    display_name: str | None = Field(default=None, max_length=255)
    description: str | None = Field(default=None, max_length=10_000)
    tags: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    trigger: dict[str, Any]
    create_job: dict[str, Any]
    catch_up: Literal["all", "latest", "none"] = "latest"
    overlap: Literal["allow", "skip", "queue", "cancel_previous"] = "allow"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A schedule file that was read. job: the document under `create_job`, with expressions."""

    name: str
    display_name: str
    description: str
    tags: Mapping[str, Any]
    trigger: Trigger
    job: Mapping[str, Any]
    catch_up: str
    overlap: str

    @property
    def watched(self) -> str | None:
        """The data asset whose new versions fire it, or `endpoint:NAME` whose drift does."""
        if isinstance(self.trigger, DriftTrigger):
            return f"{ENDPOINT}{self.trigger.endpoint}"
        if isinstance(self.trigger, DataTrigger | FilesTrigger):
            return data_name(self.trigger.data)
        return None


def read_schedule(document: Document) -> Schedule:
    """Check a schedule file, all but the job in it. Raises SpecError with all problems."""
    problems = Problems(document)
    for key, sentence in ScheduleFile.LATER.items():
        if key in document.data:
            problems.add((key,), f"'{key}': {sentence}")
    problems.raise_any()
    found = problems.validate(ScheduleFile, document.data, ())
    trigger = _read_trigger(problems, document.data.get("trigger"))
    if found is None or trigger is None:
        problems.raise_any()
        raise AssertionError("what cannot be read is a problem")
    known = frozenset({"trigger_time", *CONTEXT[trigger.type]})
    for path, word in _expressions(found.create_job, ("create_job",)):
        if word not in known:
            problems.add(
                path,
                f"A {trigger.type} trigger has no 'creation_context.{word}'.",
                word=word,
                known=sorted(known),
            )
    if isinstance(trigger, DataTrigger | FilesTrigger) and data_name(trigger.data) is None:
        problems.add(("trigger", "data"), "This names no data asset: write `mlq:NAME`.")
    job = found.create_job
    if set(job) >= {"job"} and not {"command", "jobs", "trial"} & set(job):
        problems.add(
            ("create_job", "job"),
            "A job file must be written out here; `mlq schedule create` does that for a path.",
        )
    problems.raise_any()
    return Schedule(
        name=found.name,
        display_name=found.display_name or found.name,
        description=found.description or "",
        tags=found.tags or {},
        trigger=trigger,
        job=job,
        catch_up=found.catch_up,
        overlap=found.overlap,
    )


def _read_trigger(problems: Problems, raw: Any) -> Trigger | None:
    if not isinstance(raw, dict):
        return None
    kind = raw.get("type")
    model = TRIGGERS.get(kind.lower()) if isinstance(kind, str) else None
    if model is None:
        problems.add(
            ("trigger", "type"),
            f"This must be one of {', '.join(TRIGGERS)}.",
            word=kind if isinstance(kind, str) else None,
            known=TRIGGERS,
        )
        return None
    return problems.validate(model, {**raw, "type": str(kind).lower()}, ("trigger",))


def data_name(reference: str) -> str | None:
    """`mlq:churn`, `azureml:churn@latest` or `churn` as the name; None for anything else."""
    match = _DATA.fullmatch(reference)
    return match[1] if match else None


#: What expressions stand for while a job is checked, before anything fired.
SAMPLE: Mapping[str, str] = {
    "endpoint": "sample",
    "deployment": "production",
    "model": "models:/sample/1",
    "trigger_time": "2026-01-01T00:00:00Z",
    "data": "mlq:sample:1",
    "version": "1",
    "commit": "0" * 40,
    "ref": "refs/heads/main",
    "branch": "main",
    "repository": "https://example.org/repository.git",
    "delivery": "0",
}


def fill_context(value: Any, context: Mapping[str, str]) -> Any:
    """A copy of a job's document with `${{creation_context.NAME}}` replaced.

    Only in values, never in keys, and the result is not looked at again: what a webhook brought
    cannot bring further expressions. Names that the context lacks are left as they are.
    """
    if isinstance(value, str):
        return _EXPRESSION.sub(lambda found: str(context.get(found[1], found[0])), value)
    if isinstance(value, dict):
        return {key: fill_context(item, context) for key, item in value.items()}
    if isinstance(value, list):
        return [fill_context(item, context) for item in value]
    return value


def _expressions(
    value: Any, path: tuple[str | int, ...]
) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, str):
        return [(path, found[1]) for found in _EXPRESSION.finditer(value)]
    if isinstance(value, dict):
        items: Any = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    else:
        return []
    return [found for key, item in items for found in _expressions(item, (*path, key))]


def refuse(path: str, message: str) -> SpecError:
    """The error for one thing wrong in a schedule file."""
    return SpecError([SpecProblem(path, message)])
