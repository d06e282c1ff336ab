"""Bringing what an MLflow server holds into mlq: again and again, and only what is new.

Runs, logged models and versions keep their ids and numbers, so that whatever names them goes on to
work. A run remembers a digest of what the source said of it; one whose digest is the same is left
alone. A run is marked last, so that one whose import broke off is taken up again.
"""

from __future__ import annotations

import hashlib
import json
import math
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import IO, Any

from mlq.client.mlflow_source import MlflowSource
from mlq.client.problems import UnreachableError
from mlq.client.tracking import Tracking, values
from mlq.errors import MlqError, NotFoundError, UnauthorizedError

#: Tags of runs that were imported: from where, and a digest of what was said of them there.
FROM_TAG = "mlq.imported.from"
DIGEST_TAG = "mlq.imported.digest"
_OWN_TAGS = frozenset({FROM_TAG, DIGEST_TAG})
_IN_MEMORY = 4 * 2**20
_CHUNK = 2**20
_SAID_AT_MOST = 100


@dataclass(slots=True)
class Summary:
    """What an import did; `same` counts what was there already, as it was."""

    experiments: int = 0
    runs_new: int = 0
    runs_changed: int = 0
    runs_same: int = 0
    logged_models: int = 0
    models: int = 0
    versions: int = 0
    aliases: int = 0
    files: int = 0
    bytes: int = 0
    problems: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """As JSON values."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class _Link:
    model_id: str
    dataset_name: str
    dataset_digest: str


class MlflowImport:
    """One import. say: told of progress, a line at a time."""

    def __init__(
        self, source: MlflowSource, target: Tracking, *, say: Callable[[str], None]
    ) -> None:
        self._source = source
        self._target = target
        self._say = say
        self._addresses: dict[str, str] = {}  # run id -> where its files are at the source
        self._models: set[str] = set()  # logged models that are here
        self.summary = Summary()

    def run(self, experiments: Collection[str] = ()) -> Summary:
        """Bring everything, or the named experiments and the registry.

        What cannot be brought is noted as a problem, and the rest goes on. Raises MlqError where
        the source cannot be read at all, or has no experiment of a name.
        """
        self._source.check()
        found = list(self._source.experiments())
        missing = set(experiments) - {str(one["name"]) for one in found}
        if missing:
            raise NotFoundError(
                f"{self._source.uri} has no experiment '{min(missing)}'.",
                hint=f"It has {', '.join(sorted(str(one['name']) for one in found)[:20])}.",
            )
        for experiment in found:
            if not experiments or experiment["name"] in experiments:
                self._experiment(experiment)
        for model in self._source.registered_models():
            self._registered(model)
        return self.summary

    # experiments and runs

    def _experiment(self, experiment: Mapping[str, Any]) -> None:
        name = str(experiment["name"])
        number = self._target.experiment(name, tags=values(experiment.get("tags")))
        self.summary.experiments += 1
        known = {
            run["info"]["run_id"]: values(run["data"]["tags"]) for run in self._target.runs(number)
        }
        changed, total = [], 0
        for run in self._source.runs(str(experiment["experiment_id"])):
            total += 1
            run_id = str(run["info"]["run_id"])
            self._addresses[run_id] = str(run["info"].get("artifact_uri") or "")
            digest = _digest(run)
            tags = known.get(run_id)
            if tags is not None and tags.get(DIGEST_TAG) == digest:
                self.summary.runs_same += 1
            elif tags is not None and FROM_TAG not in tags:
                self._note(f"run {run_id}", "there is a run of this id that was not imported")
            elif tags is not None or self._tried(f"run {run_id}", self._create, number, run):
                changed.append((run, digest, tags is None))
        self._say(f"experiment {name}: {total} runs, {len(changed)} to bring")
        links = self._logged_models(number, str(experiment["experiment_id"]))
        for done, (run, digest, is_new) in enumerate(changed, start=1):
            label = f"run {run['info']['run_id']}"
            if self._tried(label, self._fill, number, run, digest, is_new, links):
                self.summary.runs_new += is_new
                self.summary.runs_changed += not is_new
            if done % 50 == 0:
                self._say(f"experiment {name}: {done} of {len(changed)} runs")

    def _create(self, number: str, run: Mapping[str, Any]) -> None:
        info = run["info"]
        self._target.create_run(
            str(info["run_id"]),
            experiment_id=number,
            run_name=str(info.get("run_name") or ""),
            user_id=str(info.get("user_id") or ""),
            start_time=info.get("start_time"),
            tags={FROM_TAG: self._source.uri},
        )

    def _fill(
        self,
        number: str,
        run: Mapping[str, Any],
        digest: str,
        is_new: bool,
        links: Mapping[tuple[Any, ...], _Link],
    ) -> None:
        info, data = run["info"], run.get("data") or {}
        run_id = str(info["run_id"])
        tags = {k: v for k, v in values(data.get("tags")).items() if k not in _OWN_TAGS}
        self._target.log(
            run_id,
            params=values(data.get("params")),
            tags=tags,
            metrics=[
                record
                for latest in data.get("metrics") or []
                for record in self._new_values(run_id, str(latest["key"]), is_new, links)
            ],
        )
        self._target.link(run_id, inputs=run.get("inputs") or {}, outputs=run.get("outputs") or {})
        address = f"{number}/{run_id}/artifacts"
        self._files(self._addresses[run_id], address, run_id=run_id, is_new=is_new)
        self._target.end_run(run_id, status=str(info["status"]), end_time=info.get("end_time"))
        self._target.log(run_id, params={}, tags={DIGEST_TAG: digest}, metrics=[])

    def _new_values(
        self, run_id: str, key: str, is_new: bool, links: Mapping[tuple[Any, ...], _Link]
    ) -> Iterator[dict[str, Any]]:
        """Values of a metric that are not here yet."""
        known = Counter() if is_new else Counter(map(_value, self._target.history(run_id, key)))
        for one in self._source.history(run_id, key):
            value = _value(one)
            if known[value]:
                known[value] -= 1
                continue
            step, at, number = value
            record = {"key": key, "value": number, "step": step, "timestamp": at}
            if link := links.get((run_id, key, step, at)):
                record |= asdict(link)
            yield record

    # files

    def _files(self, origin: str, address: str, *, run_id: str = "", is_new: bool) -> None:
        """Bring the files below `origin` that are not below `address`."""
        known = set() if is_new else set(self._target.files(address))
        for file in self._source.files(origin, run_id=run_id):
            if file.path not in known:
                self._file(origin, address, file.path, run_id=run_id)

    def _file(self, origin: str, address: str, path: str, *, run_id: str) -> None:
        with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            for chunk in self._source.read(origin, path, run_id=run_id):
                file.write(chunk)
            size = file.tell()
            self._target.put_file(address, path, lambda: _chunks(file))
        self.summary.files += 1
        self.summary.bytes += size

    # models

    def _logged_models(self, number: str, experiment_id: str) -> dict[tuple[Any, ...], _Link]:
        """Bring logged models; what was measured of them: (run, key, step, time) -> of which."""
        known = {
            one["info"]["model_id"]: one["info"]["status"]
            for one in self._target.logged_models(number)
        }
        links: dict[tuple[Any, ...], _Link] = {}
        for model in self._source.logged_models(experiment_id):
            info, data = model["info"], model.get("data") or {}
            model_id = str(info["model_id"])
            for one in data.get("metrics") or []:
                step, at, _ = _value(one)
                links[str(one.get("run_id") or ""), str(one["key"]), step, at] = _Link(
                    model_id, one.get("dataset_name") or "", one.get("dataset_digest") or ""
                )
            status = _status(info)
            if known.get(model_id) == status:
                self._models.add(model_id)
            elif self._tried(f"logged model {model_id}", self._logged, number, model, status):
                self._models.add(model_id)
                self.summary.logged_models += 1
        return links

    def _logged(self, number: str, model: Mapping[str, Any], status: str) -> None:
        info, data = model["info"], model.get("data") or {}
        model_id, run_id = str(info["model_id"]), str(info.get("source_run_id") or "")
        self._target.create_logged_model(
            model_id,
            experiment_id=number,
            source_run_id=run_id if run_id in self._addresses else "",
            name=str(info.get("name") or ""),
            model_type=str(info.get("model_type") or ""),
            params=values(data.get("params")),
            tags=values(info.get("tags")),
        )
        address = f"{number}/models/{model_id}/artifacts"
        self._files(str(info.get("artifact_uri") or ""), address, is_new=False)
        self._target.finish_logged_model(model_id, status=status)

    def _registered(self, model: Mapping[str, Any]) -> None:
        name = str(model["name"])
        here = self._target.model(name)
        if here is None:
            tags = values(model.get("tags"))
            description = str(model.get("description") or "")
            make = self._target.create_model
            if not self._tried(f"model {name}", make, name, description=description, tags=tags):
                return
            self.summary.models += 1
        known = self._target.versions(name)
        new = [one for one in self._source.versions(name) if int(one["version"]) not in known]
        self._say(f"model {name}: {len(known) + len(new)} versions, {len(new)} to bring")
        for version in new:
            if self._tried(f"models:/{name}/{version['version']}", self._version, name, version):
                self.summary.versions += 1
                known.add(int(version["version"]))
        taken = {one["alias"] for one in (here or {}).get("aliases") or []}
        for one in model.get("aliases") or []:
            label = f"models:/{name}@{one['alias']}"
            if one["alias"] in taken or int(one["version"]) not in known:
                continue  # moved here meanwhile, or its version could not be brought
            put = self._target.set_alias
            if self._tried(label, put, name, str(one["alias"]), str(one["version"])):
                self.summary.aliases += 1

    def _version(self, name: str, version: Mapping[str, Any]) -> None:
        if version.get("status") not in {None, "READY"}:
            raise MlqError(f"the source says that it is {version['status']}")
        number, run_id = int(version["version"]), str(version.get("run_id") or "")
        origin = self._source.address_of_version(name, str(number))
        said = {
            "description": str(version.get("description") or ""),
            "tags": values(version.get("tags")),
            "run_id": run_id if run_id in self._addresses else "",
        }
        place = self._place(origin, version)
        if place:
            try:
                self._target.create_version(name, number, source=place, **said)
                return
            except NotFoundError:
                pass  # its run was deleted at the source: the files are brought by themselves
        self._target.create_version(name, number, source=self._copy(name, number, origin), **said)

    def _place(self, origin: str, version: Mapping[str, Any]) -> str:
        """What was imported and holds a version's files; "" where nothing does."""
        model_id = str(version.get("model_id") or "")
        source = str(version.get("source") or "")
        if not model_id and source.startswith("models:/m-"):
            model_id = source.removeprefix("models:/")
        if model_id in self._models:
            return f"models:/{model_id}"
        if source.startswith("runs:/"):
            run_id = source.removeprefix("runs:/").partition("/")[0]
            return source if run_id in self._addresses else ""
        run_id = str(version.get("run_id") or "")
        root = self._addresses.get(run_id, "")
        for address in (origin, source):
            if root and address.startswith(f"{root}/"):
                return f"runs:/{run_id}/{address.removeprefix(root).strip('/')}"
        return ""

    def _copy(self, name: str, number: int, origin: str) -> str:
        """Bring a version's files as a logged model of their own; its id is always the same."""
        text = f"{self._source.uri}\n{name}\n{number}"
        model_id = f"m-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
        made = self._target.create_logged_model(
            model_id,
            experiment_id="0",
            name=name[:255],
            model_type="",
            params={},
            tags={FROM_TAG: self._source.uri},
        )
        address = str(made["artifact_uri"]).partition(":/")[2]
        self._files(origin, address, is_new=False)
        self._target.finish_logged_model(model_id, status="LOGGED_MODEL_READY")
        return f"models:/{model_id}"

    # problems

    def _tried(self, label: str, act: Callable[..., None], *given: Any, **named: Any) -> bool:
        """Do something; note why it could not be done, and go on unless a server is away."""
        try:
            act(*given, **named)
        except (UnreachableError, UnauthorizedError):
            raise
        except MlqError as error:
            self._note(label, f"{error.message} {error.hint}".strip())
            return False
        return True

    def _note(self, label: str, words: str) -> None:
        self.summary.problems.append(f"{label}: {words}")
        if len(self.summary.problems) <= _SAID_AT_MOST:
            self._say(f"left out: {label}: {words}")


def _digest(run: Mapping[str, Any]) -> str:
    """Of all that a source says of a run in its list."""
    said = {name: run.get(name) for name in ("data", "inputs", "outputs")}
    info = {name: run["info"].get(name) for name in ("status", "end_time", "run_name")}
    text = json.dumps([info, said], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def _value(record: Mapping[str, Any]) -> tuple[int, int, float]:
    """Step, time and value of a metric; infinity as MLflow and mlq keep it."""
    number = float(record.get("value", 0.0))
    if math.isinf(number):
        number = math.copysign(sys.float_info.max, number)
    return int(record.get("step") or 0), int(record.get("timestamp") or 0), number


def _status(info: Mapping[str, Any]) -> str:
    """A logged model's status, which MLflow writes as a word or as a number."""
    status = info.get("status")
    by_number = {
        1: "LOGGED_MODEL_PENDING",
        2: "LOGGED_MODEL_READY",
        3: "LOGGED_MODEL_UPLOAD_FAILED",
    }
    return by_number.get(status, "LOGGED_MODEL_READY") if isinstance(status, int) else str(status)


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(_CHUNK):
        yield chunk
