"""Files for containers, systemd and Kubernetes: sound by their schema, and true to this repository.

No container engine is needed: what they name (commands, modules, paths, settings, variables) is
looked up here.
"""

from __future__ import annotations

import configparser
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from flower.options import options as flower_options
from packaging.requirements import Requirement

from mlq.cli.entry import root
from mlq.settings import Settings

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "docker-compose.yml"
DOCKERFILES = [ROOT / "api" / "Dockerfile", ROOT / "workers" / "Dockerfile"]
UNITS = sorted((ROOT / "deploy" / "systemd").glob("*.service"))
MANIFESTS = sorted((ROOT / "deploy" / "kubernetes").glob("*.yaml"))
REQUIREMENTS = ROOT / "deploy" / "requirements"
SETTINGS = {f"MLQ_{name.upper()}" for name in Settings.model_fields}
#: `flower` takes its options from the environment
FLOWER = {f"FLOWER_{name.upper().replace('-', '_')}" for name in flower_options._options}
VARIABLE = re.compile(r"(?<!\$)\$\{(\w+)(?::([-?])([^}]*))?\}")


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(COMPOSE.read_text())
    return content


def assert_runnable(command: list[str]) -> None:
    """Fail unless `command` starts something of ours that exists."""
    program, *arguments = command
    program = Path(program).name
    if program == "python":
        if arguments[0] == "-m":
            assert find_spec(arguments[1]), command
        return
    assert program in {script.name for script in entry_points(group="console_scripts")}, command
    if program == "mlq":
        # click says no to a command or an option that is not there
        shown = root.make_context("mlq", [*arguments, "--help"], resilient_parsing=True)
        word = arguments[0]
        found = root.get_command(shown, word)
        assert found is not None, command
        found.make_context(word, arguments[1:], resilient_parsing=False).close()
    if program == "celery":
        assert find_spec(arguments[arguments.index("-A") + 1]), command


def assert_known_settings(names: set[str]) -> None:
    ours = {name for name in names if name.startswith("MLQ_")}
    assert ours <= SETTINGS, ours - SETTINGS
    of_flower = {name for name in names if name.startswith("FLOWER_")}
    assert of_flower <= FLOWER, of_flower - FLOWER


def test_the_compose_file_fits_its_schema() -> None:
    checker = [sys.executable, "-m", "check_jsonschema"]
    ended = subprocess.run(
        [*checker, "--builtin-schema", "vendor.compose-spec", str(COMPOSE)],
        capture_output=True,
        text=True,
    )

    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_compose_has_every_part(compose: dict[str, Any]) -> None:
    profiles = {name: service.get("profiles") for name, service in compose["services"].items()}

    assert profiles == {
        **dict.fromkeys(("postgres", "valkey", "prepare", "api", "serve", "worker-cpu", "flower")),
        "worker-gpu": ["gpu"],
        "prometheus": ["monitoring"],
        "grafana": ["monitoring"],
    }


def test_every_command_of_compose_exists(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        if "build" in service:
            assert_runnable(service["command"])


def test_every_setting_of_compose_is_known(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        assert_known_settings(set(service.get("environment", {})))


def test_every_image_of_compose_can_be_built(compose: dict[str, Any]) -> None:
    for name, service in compose["services"].items():
        if "build" in service:
            dockerfile = ROOT / service["build"]["context"] / service["build"]["dockerfile"]
            stages = re.findall(r"^FROM \S+ AS (\w+)", dockerfile.read_text(), re.MULTILINE)
            assert service["build"].get("target", stages[-1]) in stages, name


def test_what_compose_waits_for_can_become_true(compose: dict[str, Any]) -> None:
    services = compose["services"]
    for service in services.values():
        for name, condition in service.get("depends_on", {}).items():
            if condition["condition"] == "service_healthy":
                assert "healthcheck" in services[name], name
            else:
                assert services[name]["restart"] == "no", name


def test_workers_can_be_scaled(compose: dict[str, Any]) -> None:
    for name in ("worker-cpu", "worker-gpu"):
        assert not {"container_name", "ports", "hostname"} & compose["services"][name].keys()


def test_only_the_api_is_published_beyond_this_machine_where_that_is_asked_for(
    compose: dict[str, Any],
) -> None:
    published = {name: s["ports"] for name, s in compose["services"].items() if "ports" in s}

    assert published.keys() == {"api", "grafana"}
    assert published["api"][0].startswith("${MLQ_BIND:-127.0.0.1}:")
    assert published["grafana"][0].startswith("127.0.0.1:")


def _mounts(service: dict[str, Any]) -> dict[str, str]:
    """Path in the container -> what is there: a file of this repository, or a volume."""
    found = (volume.split(":") for volume in service.get("volumes", []))
    return {path: source for source, path, *_ in found}


def test_files_that_compose_mounts_exist_and_may_not_be_written(compose: dict[str, Any]) -> None:
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            if volume.startswith("./"):
                assert (ROOT / volume.split(":")[0]).is_file(), volume
                assert volume.endswith(":ro"), volume


def test_prometheus_asks_what_answers_with_the_token_that_opens_metrics(
    compose: dict[str, Any],
) -> None:
    services, mounts = compose["services"], _mounts(compose["services"]["prometheus"])
    config = yaml.safe_load((ROOT / mounts["/etc/prometheus/prometheus.yml"]).read_text())
    asked = set()
    for job in config["scrape_configs"]:
        (secret,) = services["prometheus"]["secrets"]
        assert job["authorization"] == {"credentials_file": f"/run/secrets/{secret}"}
        assert compose["secrets"][secret] == {"environment": "MLQ_METRICS_TOKEN"}
        for one in job.get("dns_sd_configs", []):
            asked |= {(name, str(one["port"])) for name in one["names"]}
        for one in job.get("static_configs", []):
            asked |= {tuple(target.split(":")) for target in one["targets"]}

    assert {name for name, _ in asked} == {"api", "serve"}
    for name, port in asked:
        assert port in services[name]["command"], (name, port)
        assert "MLQ_METRICS_TOKEN" in services[name]["environment"]
    assert set(config["rule_files"]) <= mounts.keys()


def test_grafana_finds_prometheus_and_the_dashboard(compose: dict[str, Any]) -> None:
    service = compose["services"]["grafana"]
    mounts = _mounts(service)
    folder = "/etc/grafana/provisioning"
    sources = yaml.safe_load((ROOT / mounts[f"{folder}/datasources/mlq.yml"]).read_text())
    providers = yaml.safe_load((ROOT / mounts[f"{folder}/dashboards/mlq.yml"]).read_text())
    shown = {str(Path(path).parent) for path in mounts if path.endswith(".json")}

    assert [one["url"] for one in sources["datasources"]] == ["http://prometheus:9090"]
    assert {one["options"]["path"] for one in providers["providers"]} == shown
    assert service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"] in mounts


def test_the_example_has_every_variable_of_compose_and_no_secret() -> None:
    example = dict(
        line.removeprefix("# ").split("=", 1)
        for line in (ROOT / ".env.example").read_text().splitlines()
        if re.match(r"(# )?[A-Z_]+=", line)
    )
    used = {name: kind for name, kind, _ in VARIABLE.findall(COMPOSE.read_text())}

    assert used.keys() == example.keys()
    assert {name for name, kind in used.items() if kind == "?"} == {
        name for name, value in example.items() if not value
    }


def test_volumes_of_compose_are_declared(compose: dict[str, Any]) -> None:
    used = {
        volume.partition(":")[0]
        for service in compose["services"].values()
        for volume in service.get("volumes", [])
        if not volume.startswith("./")
    }

    assert used == compose["volumes"].keys()


@pytest.mark.parametrize("dockerfile", DOCKERFILES, ids=lambda path: path.parent.name)
class TestDockerfile:
    def test_every_path_exists_and_is_sent_to_the_engine(self, dockerfile: Path) -> None:
        sent = [
            line[1:]
            for line in (ROOT / ".dockerignore").read_text().splitlines()
            if line.startswith("!")
        ]
        for source in self._sources(dockerfile):
            assert (ROOT / source).exists(), source
            assert any(
                Path(source).match(pattern) or source.startswith(pattern + "/") for pattern in sent
            ), f"{source} is not in .dockerignore"

    def test_the_program_does_not_run_as_root(self, dockerfile: Path) -> None:
        stages = re.split(r"^FROM ", dockerfile.read_text(), flags=re.MULTILINE)
        for stage in stages:
            if "\nCMD " in stage:
                assert "\nUSER mlq\n" in stage

    def test_the_command_exists(self, dockerfile: Path) -> None:
        commands = re.findall(r"^CMD (\[.*\])$", dockerfile.read_text(), re.MULTILINE)
        assert commands
        for command in commands:
            assert_runnable(yaml.safe_load(command))

    def test_packages_come_with_their_hashes(self, dockerfile: Path) -> None:
        for line in dockerfile.read_text().splitlines():
            if "pip install" in line and "--no-deps" not in line:
                assert "--require-hashes" in line

    def test_its_python_is_the_one_that_pins_are_made_for(self, dockerfile: Path) -> None:
        found = re.findall(r'PYTHON = "(.*)"', (REQUIREMENTS / "pin.py").read_text())
        for tag in re.findall(r"^FROM python:(\S+)", dockerfile.read_text(), re.MULTILINE):
            assert tag == f"{found[0]}-slim"

    @staticmethod
    def _sources(dockerfile: Path) -> Iterator[str]:
        for line in dockerfile.read_text().splitlines():
            if line.startswith("COPY ") and "--from" not in line:
                yield from line.split()[1:-1]


def _extra(name: str) -> list[Requirement]:
    """What an extra of pyproject.toml asks for, with the extras that it names."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    found = [Requirement(text) for text in project["dependencies"]]
    for text in project["optional-dependencies"][name]:
        requirement = Requirement(text)
        if requirement.name == project["name"]:
            found += [item for extra in requirement.extras for item in _extra(extra)]
        else:
            found.append(requirement)
    return found


@pytest.mark.parametrize(
    ("file", "extras"),
    [("api", ["api"]), ("serve", ["serve"]), ("worker", ["worker", "flower"])],
)
def test_pins_are_what_the_extras_ask_for(file: str, extras: list[str]) -> None:
    lines = (REQUIREMENTS / f"{file}.txt").read_text().splitlines()
    pins = dict(
        re.match(r"([\w.-]+)(?:\[.*?\])?==([\w.]+)", line).groups()  # type: ignore[union-attr]
        for line in lines
        if re.match(r"\w", line)
    )

    for extra in extras:
        for requirement in _extra(extra):
            name = requirement.name.lower().replace("_", "-")
            assert name in pins, f"`make requirements`: {file}.txt lacks {name}"
            assert requirement.specifier.contains(pins[name]), f"`make requirements`: {name}"


@pytest.mark.parametrize("file", sorted(REQUIREMENTS.glob("*.txt")), ids=lambda path: path.name)
def test_pins_name_no_address_and_no_path(file: Path) -> None:
    for line in file.read_text().splitlines():
        assert re.match(
            r"([\w.-]+(\[[\w,-]+\])?==[\w.]+.* \\$|    --hash=sha256:[0-9a-f]{64}( \\)?$)", line
        )
        assert "://" not in line
        assert "@" not in line


@pytest.mark.parametrize("unit", UNITS, ids=lambda path: path.name)
def test_units_start_what_exists(unit: Path) -> None:
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(unit)

    assert_runnable(shlex.split(parser["Service"]["ExecStart"].replace("%i", "gpu")))
    assert_known_settings({parser["Service"]["Environment"].partition("=")[0]})
    assert parser["Service"]["User"] != "root"


def _documents() -> Iterator[dict[str, Any]]:
    for manifest in MANIFESTS:
        yield from yaml.safe_load_all(manifest.read_text())


def _deployments() -> list[dict[str, Any]]:
    return [document for document in _documents() if document["kind"] == "Deployment"]


def test_kubernetes_manifests_fit_the_schemas_of_kubernetes() -> None:
    """Without a cluster: the schemas come with the package. KEDA's own kinds are not in them."""
    validator = pytest.importorskip(
        "kubernetes_validate", reason="needs kubernetes-validate of the extra `dev`"
    )
    checked = set()
    for document in _documents():
        group = document["apiVersion"].partition("/")[0]
        if group not in ("keda.sh", "kustomize.config.k8s.io"):
            validator.validate(document, validator.latest_version(), strict=True)
            checked.add(document["kind"])

    assert {"Deployment", "Service", "PodDisruptionBudget", "Secret", "Namespace"} <= checked


def test_what_is_drained_finds_its_pods() -> None:
    labels = {d["metadata"]["labels"]["app"]: d for d in _deployments()}
    budgets = [d for d in _documents() if d["kind"] == "PodDisruptionBudget"]
    for budget in budgets:
        deployment = labels[budget["spec"]["selector"]["matchLabels"]["app"]]
        least = budget["spec"].get("minAvailable")
        assert least is None or least < deployment["spec"]["replicas"], "no node could be drained"

    assert {b["metadata"]["name"] for b in budgets} == labels.keys() - {"mlq-flower"}


def test_scalers_ask_for_the_queue_that_their_workers_serve() -> None:
    commands = {
        d["metadata"]["name"]: d["spec"]["template"]["spec"]["containers"][0]["command"]
        for d in _deployments()
    }
    scalers = [d for d in _documents() if d["kind"] == "ScaledObject"]
    assert scalers
    for scaler in scalers:
        spec = scaler["spec"]
        command = commands[spec["scaleTargetRef"]["name"]]
        compute = command[command.index("-Q") + 1]
        (trigger,) = spec["triggers"]
        assert trigger["metadata"]["url"].endswith(f"/v1/queues/{compute}/scale")
        assert spec["minReplicaCount"] <= spec["maxReplicaCount"]


def test_kubernetes_starts_what_exists_with_settings_that_are_known() -> None:
    images = set()
    for deployment in _deployments():
        pod = deployment["spec"]["template"]["spec"]
        assert pod["securityContext"]["runAsNonRoot"]
        assert pod["enableServiceLinks"] is False, "a service's address would be a setting"
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            assert_runnable(container["command"])
            assert_known_settings({item["name"] for item in container.get("env", [])})
            images.add(container["image"])

    kustomization = next(d for d in _documents() if d["kind"] == "Kustomization")
    assert images == {image["name"] for image in kustomization["images"]}


def test_kubernetes_secrets_are_in_the_example() -> None:
    secrets = {
        d["metadata"]["name"]: d["stringData"] for d in _documents() if d["kind"] == "Secret"
    }

    for deployment in _deployments():
        pod = deployment["spec"]["template"]["spec"]
        for container in [*pod["containers"], *pod.get("initContainers", [])]:
            for source in container["envFrom"]:
                assert_known_settings(set(secrets[source["secretRef"]["name"]]))
            for item in container.get("env", []):
                if "valueFrom" in item:
                    reference = item["valueFrom"]["secretKeyRef"]
                    assert reference["key"] in secrets[reference["name"]]


def test_kubernetes_services_and_scalers_find_their_deployments() -> None:
    names = {deployment["metadata"]["name"] for deployment in _deployments()}
    for document in _documents():
        if document["kind"] == "Service":
            assert document["spec"]["selector"]["app"] in names
        if document["kind"] == "ScaledObject":
            assert document["spec"]["scaleTargetRef"]["name"] in names


def test_kustomization_names_files_that_exist() -> None:
    folder = ROOT / "deploy" / "kubernetes"
    kustomization = next(d for d in _documents() if d["kind"] == "Kustomization")

    for resource in kustomization["resources"]:
        assert (folder / resource).is_file()
