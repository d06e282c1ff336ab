"""Every job file of the corpus runs to its end through one `mlq up`; its outputs are looked at.

The corpus: mlq's own samples (`jobs`), and what is compared with Azure's package (`tests/oracle`),
but for what mlq refuses; that is `tests/oracle/test_agreement.py`'s matter.
"""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from mlq.cli.job_file import placed, prepare
from mlq.client import Client
from mlq.client.documents import Job
from mlq.client.opening import open_client
from mlq.data import demo_file
from mlq.errors import SpecError
from tests.acceptance.shell import Shell
from tests.oracle.files import CORPUS, files, read
from tests.oracle.verdicts import problems_of
from tests.wheels import make_wheel

pytestmark = pytest.mark.timeout(1200)
_WAIT_S = 900.0

#: One names addresses at which nobody answers, unlike command_datastore.yml and command_web.yml;
#: the rollout of the other waits for requests: test_story.py sends them.
_ELSEWHERE = {"jobs/command_stores.yml", "samples/delivery.yml"}
FILES = {
    name: path
    for name, path in files().items()
    if not name.startswith("components/")
    and name not in _ELSEWHERE
    and not problems_of(read(path), path)
}


@dataclass
class Ran:
    """A job that has ended. folder: for what is downloaded."""

    client: Client
    job: Job
    folder: Path

    def step(self, path: str) -> Job:
        """The job itself for "", else a step by its path."""
        found = self.job
        for name in path.split(".") if path else ():
            found = next(child for child in found["children"] if child["name"] == name)
        return found

    def read(self, path: str, output: str, file: str = "") -> Any:
        """The value of an output, or the text of its file; file: of a folder."""
        job = self.step(path)
        stored = self.client.jobs.outputs(job["id"])[output]
        if "digest" not in stored:
            return stored["value"]
        saved = self.client.jobs.download(job["id"], output, to=self.folder / (path or "root"))
        return (saved / file if file else saved).read_text()

    def log(self, path: str = "") -> str:
        """What a step printed."""
        chunks = self.client.jobs.logs(self.step(path)["id"])
        return "".join(chunk["content"] for chunk in chunks)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    """The address of a server that has the corpus's data."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(CORPUS / "data"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, web: str) -> Iterator[Client]:
    """A client of a running `mlq up` that has what the corpus names."""
    wheels = tmp_path_factory.mktemp("wheels")
    make_wheel(wheels, name="tomli", version="2.0")
    store = tmp_path_factory.mktemp("datastore")
    shutil.copytree(CORPUS / "data" / "folder", store / "fruit")
    shell = Shell(
        tmp_path_factory.mktemp("up") / "home",
        variables={
            "MLQ_COMPUTES": json.dumps({"serverless": "cpu", "big-cluster": "cpu"}),
            "MLQ_DATASTORES": json.dumps({"workspaceblobstore": store.as_uri()}),
            "MLQ_DATA_URLS": json.dumps([f"{web}/"]),
            # requirements are installed from a file, without an index
            "UV_FIND_LINKS": str(wheels),
            "UV_NO_INDEX": "1",
            "PIP_FIND_LINKS": str(wheels),
            "PIP_NO_INDEX": "1",
        },
    )
    with shell.up("--workers", "2"), pytest.MonkeyPatch.context() as patch:
        shell.run("data", "create", "penguins", "--path", str(demo_file("penguins.csv")))
        for path in sorted((CORPUS / "assets").glob("*.yml")):
            shell.run(path.name.partition("_")[0], "create", "-f", str(path))
        for name in ("sort", "count"):
            shell.run("component", "create", "-f", str(CORPUS / "components" / f"{name}.yml"))
        patch.setenv("MLQ_HOME", str(shell.home))
        with open_client() as client:
            yield client


@pytest.fixture(scope="module")
def submitted(client: Client, web: str) -> Mapping[str, str]:
    """File -> job: all of them at once, so that they share the workers."""
    made = {}
    for name, path in FILES.items():
        changed = [f"inputs.web={web}/notes.txt"] if path.stem == "command_web" else []
        ready = prepare(path, client=client, overrides=changed)
        with placed(ready.written):
            job = client.jobs.create(ready.text, media_type=ready.media_type, git=ready.git)
        made[name] = job["id"]
    return made


def says(output: str, text: Any, *, step: str = "", file: str = "") -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        assert ran.read(step, output, file) == text

    return check


def prints(*words: str, step: str = "") -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        said = ran.log(step)
        assert all(word in said for word in words), said

    return check


def _check_data(ran: Ran) -> None:
    assert ran.read("", "list") == "one.txt\ntwo.txt\n"
    assert "apple" in ran.log()


def _check_datastore(ran: Ran) -> None:
    assert ran.read("", "list") == "one.txt\ntwo.txt\n"
    assert "one" in ran.log()


def _check_ignored(ran: Ran) -> None:
    assert "count.py" in ran.read("", "list")
    assert "Dockerfile" not in ran.read("", "list")


def _check_files(ran: Ran) -> None:
    assert ran.read("", "count").strip() == "4"
    assert (ran.job["display_name"], ran.job["experiment_name"]) == ("Lines", "corpus")
    assert ran.job["tags"] == {"team": "fruit"}


def _check_optional(ran: Ran) -> None:
    assert "1 line 2 True --label sweet" in ran.log("with_label")
    assert "--label" not in ran.log("without")


def _check_settings(ran: Ran) -> None:
    assert "hello" in ran.log("count")
    assert "fig" in ran.log("write")
    (warnings,) = [
        event.data["detail"]["warnings"]
        for event in ran.client.jobs.events(ran.job["id"])
        if event.data["kind"] == "job.submit"
    ]
    assert any(word.startswith("identity") for word in warnings)
    assert any(word.startswith("services") for word in warnings)


def _check_sweep(trials: int, *, step: str = "") -> Callable[[Ran], None]:
    def check(ran: Ran) -> None:
        sweep = ran.client.jobs.get(ran.step(step)["id"])["sweep"]
        assert sweep["best"] is not None
        assert sum(sweep["counts"].values()) == trials

    return check


def _check_penguins(ran: Ran) -> None:
    assert ran.read("register", "version").startswith("models:/penguins/")
    assert ran.read("deploy", "endpoint") == "penguins"


def _check_control_flow(ran: Ran) -> None:
    assert ran.read("celebrate", "value") == 3
    assert ran.step("mourn")["state"] == "skipped"


def _check_parallel(ran: Ran) -> None:
    assert [line.rpartition("/")[2] for line in ran.read("score", "scores").splitlines()] == [
        "one.txt",
        "two.txt",
    ]


CHECKS: Mapping[str, Callable[[Ran], None]] = {
    "jobs/command_code.yml": says("count", "8\n", file="count.txt"),
    "jobs/command_conda.yml": says("done", ""),
    "jobs/command_conda_inline.yml": prints("Python 3"),
    "jobs/command_data.yml": _check_data,
    "jobs/command_datastore.yml": _check_datastore,
    "jobs/command_docker.yml": prints("Python 3"),
    "jobs/command_environment.yml": says("done", ""),
    "jobs/command_full.yml": says("text", "fig\nhello 4\n", file="word.txt"),
    "jobs/command_ignored.yml": _check_ignored,
    "jobs/command_lines.yml": says("words", "--limit 3 --rate 0.001\n", file="words.txt"),
    "jobs/command_literals.yml": says("values", "pear 0.5 3 True\n"),
    "jobs/command_minimal.yml": prints("hello"),
    "jobs/command_models.yml": prints("MLmodel", "one.txt", "MLTable"),
    "jobs/command_pytorch.yml": prints("rank 0 of 2", "rank 1 of 2"),
    "jobs/command_serverless.yml": prints("hello"),
    "jobs/command_web.yml": says("sorted", "apple\nfig\npear\npear\n"),
    "jobs/pipeline_component_inline.yml": says("text", "pear\n", step="count"),
    "jobs/pipeline_files.yml": _check_files,
    "jobs/pipeline_inline.yml": says("text", "fig\n"),
    "jobs/pipeline_names.yml": says("text", "fig\n"),
    "jobs/pipeline_nested.yml": prints("3 line 0.5", step="whole.count"),
    "jobs/pipeline_optional.yml": _check_optional,
    "jobs/pipeline_parallel.yml": _check_parallel,
    "jobs/pipeline_registered.yml": prints("1 line 0.5", step="count"),
    "jobs/pipeline_settings.yml": _check_settings,
    "jobs/pipeline_sweep.yml": _check_sweep(2, step="tune"),
    "jobs/pipeline_whole_component.yml": prints("2 line 0.5", step="count"),
    "jobs/sweep.yml": _check_sweep(4),
    "jobs/sweep_bayesian.yml": _check_sweep(2),
    "jobs/sweep_grid.yml": _check_sweep(2),
    "jobs/sweep_trial_keys.yml": _check_sweep(3),
    "samples/command.yml": says("answer", "hello world\n"),
    "samples/control_flow.yml": _check_control_flow,
    "samples/diamond.yml": says("value", 1, step="bottom"),
    "samples/finally.yml": says("value", "ended with 42", step="send"),
    "samples/line5.yml": says("value", 1, step="five"),
    "samples/nested3.yml": says("value", 1, step="after"),
    "samples/parallel_for.yml": says("sum", 18, step="sum"),
    "samples/parallel.yml": prints("10 100", "5 w5 10", step="show"),
    "samples/penguins.yml": _check_penguins,
    "samples/retrain.yml": lambda ran: None,  # it ends well when one of its rounds did
}


def test_every_file_has_a_check() -> None:
    assert CHECKS.keys() == FILES.keys()


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_file_runs_to_its_end(
    client: Client, submitted: Mapping[str, str], name: str, tmp_path: Path
) -> None:
    client.jobs.wait(submitted[name], timeout_s=_WAIT_S)
    job = client.jobs.get(submitted[name], depth=4)
    assert (job["state"], job["error"]) == ("succeeded", None)
    CHECKS[name](Ran(client, job, tmp_path))


def test_what_may_not_be_read_is_not(client: Client, web: str) -> None:
    """A public address is not asked about before it is read, and then its numbers count."""
    inner = web.replace("127.0.0.1", "localhost")
    job = {
        "command": "cat ${{inputs.web}}",
        "inputs": {"web": {"type": "uri_file", "path": f"{inner}/notes.txt"}},
    }
    made = client.jobs.create(json.dumps(job), media_type="application/json")
    ended = client.jobs.wait(made["id"], timeout_s=_WAIT_S)
    assert ended["state"] == "failed"
    assert ended["error"] is not None
    assert ended["error"]["code"] == "inner_address"
    job["inputs"]["web"]["path"] = "azureml://datastores/unheard_of/paths/a.csv"  # type: ignore[index]
    with pytest.raises(SpecError, match="datastore 'unheard_of'") as caught:
        client.jobs.create(json.dumps(job), media_type="application/json")
    assert caught.value.problems[0].path == "inputs.web"
