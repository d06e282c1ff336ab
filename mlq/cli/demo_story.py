"""The demo's story: data, pipeline, endpoint, new data, canary, rollback; every step checked."""

from __future__ import annotations

import csv
import json
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

from mlq.cli import demo_rollout
from mlq.cli.demo_server import Attached, attach
from mlq.cli.job_file import prepare
from mlq.cli.job_stream import stream_job
from mlq.cli.job_view import find_failed
from mlq.cli.model import history_columns, say_version
from mlq.cli.output import Column, make_console, make_table, print_stripped
from mlq.cli.words import say_size
from mlq.client import Client
from mlq.client.documents import Job, ModelVersion, Prediction
from mlq.data import demo_file
from mlq.errors import MlqError
from mlq.spec import read_document

if TYPE_CHECKING:
    from rich.console import RenderableType

MODEL = ENDPOINT = DATASET = "penguins"
_FIRST_FILE, _SECOND_FILE = "penguins-2007-2008.csv", "penguins.csv"
_PIPELINE = demo_file("penguins.yml")
_ROLLOUT = demo_file("penguins-rollout.yml")
_FOREST = "sklearn.ensemble.RandomForestClassifier"
_STEPS = 7
#: How long the first answer may take: a cold machine still imports scikit-learn.
_LIVE_S = 60.0
#: Two penguins of the dataset, without their sex; what was observed stands beside them.
_ROWS: Sequence[Mapping[str, Any]] = (
    {
        "species": "Adelie",
        "island": "Torgersen",
        "bill_length_mm": 39.2,
        "bill_depth_mm": 19.6,
        "flipper_length_mm": 195,
        "body_mass_g": 4675,
        "year": 2007,
    },
    {
        "species": "Gentoo",
        "island": "Biscoe",
        "bill_length_mm": 46.1,
        "bill_depth_mm": 13.2,
        "flipper_length_mm": 211,
        "body_mass_g": 4500,
        "year": 2007,
    },
)
_OBSERVED = ("male", "female")


@dataclass
class Narrator:
    """Says each step as it happens. stderr: leave stdout to the result."""

    stderr: bool = False
    clock: Callable[[], float] = time.monotonic
    steps: list[dict[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.console = make_console(stderr=self.stderr)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """One step of the story, with its seconds."""
        from rich.text import Text

        number = len(self.steps) + 1
        self.console.print(Text.assemble(("\n" + f"[{number}/{_STEPS}] ", "cyan"), (title, "bold")))
        started = self.clock()
        yield
        took = self.clock() - started
        self.steps.append({"title": title, "seconds": round(took, 3)})
        self.console.print(Text(f"      {took:.1f} s", style="dim"))

    def say(self, text: str, *, style: str = "") -> None:
        """A line below a step's title."""
        self.console.print(f"      {text}", style=style or None, soft_wrap=True)

    def show(self, renderable: RenderableType) -> None:
        """A table below a step's title."""
        from rich.padding import Padding

        print_stripped(self.console, Padding(renderable, (0, 0, 0, 6)))


def tell(narrator: Narrator, *, port: int | None = None) -> dict[str, Any]:
    """Run the story; return what came of it.

    Raises an MlqError at the first thing that is not as it must be.
    """
    started = narrator.clock()
    narrator.console.print("mlq demo: a real dataset becomes a model that answers.", style="bold")
    with ExitStack() as stack:
        with narrator.step("Server"):
            attached = stack.enter_context(attach(port=port))
            how = "started for this demo" if attached.is_own else "already running"
            narrator.say(f"{attached.client.url}, {how}; state in {attached.home}")
        story = _Story(narrator, attached)
        story.run()
        url = attached.client.url
        if attached.is_own:
            narrator.console.print("\nStopping the server …", style="dim")
    seconds = narrator.clock() - started
    _say_farewell(narrator, url=url, is_own=attached.is_own, seconds=seconds)
    return {
        "ok": True,
        "seconds": round(seconds, 3),
        "server": {"url": url, "started_for_the_demo": attached.is_own},
        "steps": narrator.steps,
        "versions": story.versions,
        "live_version": story.live,
    }


class _Story:
    """Steps 2 to 7, on a server that answers."""

    def __init__(self, narrator: Narrator, attached: Attached) -> None:
        self.say = narrator.say
        self.narrator = narrator
        self.client: Client = attached.client
        self.home = attached.home
        self.data = f"mlq:{DATASET}@latest"
        self.versions: list[int] = []
        self.live: int | None = None

    def run(self) -> None:
        """Everything in order."""
        with self.narrator.step("Data: who is he, who is she?"):
            self.say("Palmer penguins, measured in Antarctica; CC0, public domain.")
            self._register(_FIRST_FILE, "the years 2007 and 2008")
        with self.narrator.step("Pipeline: clean, train, validate, register, stage, test"):
            first = self._train(estimator=None, is_baseline=True)
        with self.narrator.step(f"Production: {say_version(first)} answers predictions"):
            self._promote(first, reason="demo: the first one")
            self._say_prediction(first)
        with self.narrator.step("New data: train again, beat the champion, roll out"):
            self._register(_SECOND_FILE, "2009 arrived: all three years")
            second = self._train(estimator=_FOREST, is_baseline=False)
            self._roll_out(second)
        with self.narrator.step(f"Rollback: {say_version(first)} is back"):
            self._roll_back(to=first)
        with self.narrator.step("History: who answered when, and how well"):
            self._show_history()

    def _register(self, name: str, what: str) -> None:
        file = demo_file(name)
        version = self.client.data.create(DATASET, file, description=f"Palmer penguins, {what}")
        with file.open(newline="") as lines:
            rows = sum(1 for _ in csv.reader(lines)) - 1
        size = say_size(version["size_bytes"])
        self.say(f"{name}: {what}")
        self.say(f"{version['id']}: {rows} rows, {size}")
        # not @latest: in a second demo the first file keeps its number, which is not the latest
        self.data = version["id"]

    def _train(self, *, estimator: str | None, is_baseline: bool) -> int:
        """Run the pipeline on the newest data; return the version it registered."""
        overrides = [f"inputs.data={self.data}"]
        if estimator is not None:
            overrides.append(f"inputs.estimator={estimator}")
        if is_baseline and (champion := self._champion()) is not None:
            self.say(f"{say_version(champion)} of an earlier run is in production: a demo starts")
            self.say("again from its baseline, so this once it need not beat the champion.")
            overrides.append("inputs.min_improvement=-1")
        command = [f"mlq job create -f {_PIPELINE.name} --stream"]
        command += [f"--set {override}" for override in overrides]
        for index, part in enumerate(command):
            lead = "$ " if index == 0 else "    "
            tail = " \\" if index < len(command) - 1 else ""
            self.say(f"{lead}{part}{tail}", style="cyan")
        document, media_type, *_ = prepare(_PIPELINE, client=self.client, overrides=overrides)
        created = self.client.jobs.create(document, media_type=media_type)
        self.say(f"{self.client.url}/jobs/{created['id']}")
        try:
            ended = stream_job(
                self.client, created["id"], stderr=self.narrator.stderr, timeout_s=300, indent=6
            )
        except BaseException:
            # left alone, it would register and stage a version in the middle of the next demo
            with suppress(MlqError):
                self.client.jobs.cancel(created["id"])
            raise
        if ended["state"] != "succeeded":
            raise self._failed(ended)
        version = self._registered_by(ended)
        self.versions.append(version["version"])
        self._say_gate(ended, version)
        return version["version"]

    def _registered_by(self, ended: Job) -> ModelVersion:
        registering = next(step for step in ended["children"] if step["name"] == "register")
        for version in self.client.models.versions(MODEL, limit=20):
            if version["job_id"] in (registering["id"], ended["id"]):
                return version
        raise _not_so("The pipeline succeeded, but no model version is from it.")

    def _say_gate(self, ended: Job, version: ModelVersion) -> None:
        comparison = (version.get("report") or {}).get("comparison") or {}
        accuracy = (version.get("metrics") or {}).get("accuracy")
        uri = version["uri"]
        if accuracy is None:
            raise _not_so(f"{uri} has no accuracy.")
        self.say(f"{uri}: accuracy {accuracy:.3f} on rows it has not seen")
        if comparison.get("champion_value") is None:
            self.say("no champion to beat yet")
            return
        was, gain = comparison["champion_value"], comparison["gain"]
        interval = comparison.get("interval")
        spread = f" (95 %: {interval['low']:+.3f} to {interval['high']:+.3f})" if interval else ""
        self.say(f"champion on the same rows {was:.3f}; gain {gain:+.3f}{spread}")

    def _champion(self) -> int | None:
        try:
            aliases = self.client.models.get(MODEL).get("aliases") or {}
        except MlqError as error:
            if error.code != "not_found":
                raise
            return None
        return aliases.get("production")

    def _promote(self, version: int, *, reason: str) -> None:
        self.say(f"$ mlq model promote {MODEL} --version staging --alias production", style="cyan")
        started = time.monotonic()
        move = self.client.models.promote(MODEL, version="staging", reason=reason)
        _require(move["version"] == version, f"staging is not {say_version(version)}: {move}")
        self._ensure_production()
        self._await_live(version, since=started)

    def _ensure_production(self) -> None:
        """The endpoint's deployment that follows the alias; from the second run on it is there."""
        endpoint = self.client.endpoints.get(ENDPOINT)
        known = {deployment["name"] for deployment in endpoint["deployments"]}
        if "production" in known and endpoint["traffic"].get("production") == 100:
            return
        self.say(
            f"$ mlq online-deployment create production -e {ENDPOINT} --all-traffic \\\n"
            f"          --model models:/{MODEL}@production",
            style="cyan",
        )
        model = f"models:/{MODEL}@production"
        self.client.endpoints.deploy(ENDPOINT, "production", model=model)
        self.client.endpoints.set_traffic(ENDPOINT, {"production": 100})

    def _await_live(self, version: int, *, since: float) -> None:
        """Ask until `version` answers; once there was an answer, every question gets one."""
        expected = f"models:/{MODEL}/{version}"
        asked, says = 0, "nothing"
        while True:
            asked += 1
            try:
                says = self.client.endpoints.predict(ENDPOINT, _ROWS)["model"]
            except MlqError as error:
                # made a moment ago; an endpoint that has answered may never answer this
                if error.code != "not_found" or self.live is not None:
                    raise
            if says == expected:
                break
            _require(
                time.monotonic() - since < _LIVE_S,
                f"{ENDPOINT} still answers with {says}, not with {expected}.",
            )
            time.sleep(0.01)
        took = (time.monotonic() - since) * 1000
        is_first, self.live = self.live is None, version
        times = "" if asked == 1 or is_first else f" ({asked} questions, all answered)"
        self.say(f"live after {took:.0f} ms: {ENDPOINT} answers with {say_version(version)}{times}")
        if is_first and took > 1000:
            self.say("(a model server that has just started imports scikit-learn first)")

    def _say_prediction(self, version: int) -> None:
        self.say(f"$ curl {self.client.url}/endpoints/{ENDPOINT}/score \\", style="cyan")
        self.say(f'    -H "Authorization: Bearer $(cat {self.home}/token)" \\', style="cyan")
        self.say("    -H 'Content-Type: application/json' \\", style="cyan")
        *lines, last = wrap(json.dumps({"rows": _ROWS[:1]}), width=62)
        for index, line in enumerate([*lines, f"{last}'"]):
            lead = "-d '" if index == 0 else "    "
            self.say(f"    {lead}{line}", style="cyan")
        answer: Prediction = self.client.endpoints.predict(ENDPOINT, _ROWS, probabilities=True)
        _require(
            answer["model"] == f"models:/{MODEL}/{version}", f"{answer['model']} has answered."
        )
        shares = answer.get("probabilities") or [{} for _ in _ROWS]
        told = zip(_ROWS, _OBSERVED, answer["predictions"], shares, strict=True)
        for asked, observed, predicted, share in told:
            _require(predicted in ("female", "male"), f"A prediction reads {predicted!r}.")
            sure = f" ({share[predicted]:.0%})" if predicted in share else ""
            bird = f"{asked['species']} of {asked['body_mass_g']} g"
            self.say(f"{bird}: {predicted}{sure}, observed: {observed}")

    def _roll_out(self, version: int) -> None:
        """Bring a version to production by stages."""
        model = f"models:/{MODEL}/{version}"
        if self.client.models.resume(MODEL, alias="production"):
            self.say(f"$ mlq model resume {MODEL}", style="cyan")
            self.say(
                "(the rollback of an earlier demo keeps pipelines and rollouts from moving it)"
            )
        self.say(f"$ mlq rollout start {ENDPOINT} --model {model} \\", style="cyan")
        self.say(f"      -f {_ROLLOUT.name}", style="cyan")
        policy = read_document(_ROLLOUT.read_bytes(), file=_ROLLOUT.name).data
        started = time.monotonic()
        self.client.endpoints.roll_out(ENDPOINT, model=model, policy=policy)
        ended = demo_rollout.watch(self.client, ENDPOINT, _ROWS, say=self.say)
        _require(
            ended["phase"] == "succeeded",
            f"The rollout was ended: {ended['phase']}, {ended['reason']}",
        )
        self._await_live(version, since=started)

    def _roll_back(self, *, to: int) -> None:
        self.say(f"$ mlq model rollback {MODEL}", style="cyan")
        started = time.monotonic()
        move = self.client.models.rollback(MODEL, reason="demo: second thoughts")
        _require(move["version"] == to, f"production went back to {say_version(move['version'])}.")
        self._await_live(to, since=started)

    def _show_history(self) -> None:
        versions = list(reversed(self.client.models.versions(MODEL, limit=8)))
        width = self.narrator.console.width - 6
        self.narrator.show(make_table(versions, _trend_columns(), width=width))
        self.narrator.console.print()
        moves = self.client.models.history(MODEL, alias="production", limit=6)
        columns = [c for c in history_columns(datetime.now(UTC)) if c.title not in ("ALIAS", "BY")]
        self.narrator.show(make_table(moves, columns, width=width))

    def _failed(self, ended: Job) -> MlqError:
        failed = find_failed(ended)
        error = failed.get("error")
        message = (error["message"] if error else ended.get("reason")) or "no reason given"
        return _not_so(
            f"The pipeline {ended['state']} at {failed.get('name')}: {message}",
            hint=f"mlq job show {ended['id'][:16]} says more.",
        )


def _trend_columns() -> list[Column]:
    def accuracy(item: Mapping[str, Any]) -> float:
        return float((item.get("metrics") or {}).get("accuracy") or 0.0)

    return [
        Column("VERSION", lambda i: say_version(i["version"]), right=True),
        Column("ACCURACY", lambda i: f"{accuracy(i):.3f}", right=True),
        Column("0.5 ............ 1.0", lambda i: "█" * round((accuracy(i) - 0.5) * 40)),
        Column("ALIASES", lambda i: ", ".join(i.get("aliases") or []), style=lambda i: "green"),
    ]


def _say_farewell(narrator: Narrator, *, url: str, is_own: bool, seconds: float) -> None:
    from rich.text import Text

    line = Text.assemble(
        ("Everything held" if is_own else "\nEverything held", "bold green"),
        f", in {seconds:.1f} s.",
    )
    narrator.console.print(line)
    kept = "The server is stopped; what it made is kept. " if is_own else ""
    narrator.console.print(f"{kept}Go on with:")
    if activate := say_how_to_find_mlq():
        narrator.console.print(f"  {activate}    once, so that the shell finds mlq", soft_wrap=True)
    if is_own:
        narrator.console.print(
            "  mlq up (or: make up)    the same, to stay; prints the console's address"
        )
    else:
        narrator.console.print(f"  {url}    the console")
        narrator.console.print(f"  {url}/flower/    Flower, the workers")
    narrator.console.print("  mlq job list            the two pipelines of this demo")
    narrator.console.print("  mlq model show penguins")
    narrator.console.print("The pipeline, to copy:")
    narrator.console.print(f"  {_PIPELINE}", soft_wrap=True)


def say_how_to_find_mlq() -> str:
    """What brings `mlq` onto the PATH; empty where it is there.

    As `make demo` leaves it: installed into a virtual environment that nobody has activated.
    """
    activate = Path(sys.executable).parent / "activate"
    if shutil.which("mlq") is not None or not activate.is_file():
        return ""
    with suppress(ValueError):
        activate = activate.relative_to(Path.cwd())
    return f"source {shlex.quote(str(activate))}"


def _require(held: bool, words: str) -> None:
    if not held:
        raise _not_so(words)


def _not_so(words: str, *, hint: str = "") -> MlqError:
    return MlqError(words, code="demo_failed", hint=hint)
