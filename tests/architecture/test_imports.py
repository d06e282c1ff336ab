"""What may import what (DESIGN §3), read from the sources and not from running code.

errors, ids, lifecycle, settings, spec       pure, with PURE_PARTS of other packages
    <- sdk, client, cli, onemachine          what users import and type
    <- db, artifacts, broker                 what the server's parts share
        <- service
            <- mlq_workers | mlq_api         never each other
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {"mlq": ROOT, "mlq_workers": ROOT / "workers", "mlq_api": ROOT / "api"}

PURE = {"mlq", "pure"}
SHARED = PURE | {"db", "artifacts", "broker"}
CORE = SHARED | {"service", "models", "datasets", "sweeps", "sdk", "client"}
#: layer -> layers that it may import
ALLOWED = {
    # the package itself hands on what scripts import from it, and loads it only then
    "mlq": PURE | {"sdk"},
    "pure": PURE,
    "client": PURE | {"client"},
    # an application reads model packages too
    "sdk": PURE | {"client", "sdk", "models"},
    "onemachine": PURE | {"onemachine"},
    "cli": PURE | {"client", "sdk", "data", "onemachine", "cli"},
    "db": SHARED,
    "artifacts": SHARED,
    "broker": SHARED,
    "service": SHARED | {"service", "sweeps"},
    # samplers and studies
    "sweeps": PURE | {"sweeps"},
    # tables that are stored, looked into
    "datasets": PURE | {"datasets"},
    # the demo's dataset
    "data": PURE | {"data"},
    # model packages: written by workers, read by the serving process
    "models": SHARED | {"models", "datasets"},
    "mlq_workers": CORE | {"mlq_workers"},
    # with what an audit of a live installation checks, and the demo's files for the console
    "mlq_api": CORE | {"data", "testing", "mlq_api"},
    # fakes and contracts for users' tests stand beside the parts that they are for
    "testing": CORE | {"testing"},
}
PURE_MODULES = {"addresses", "crash", "errors", "ids", "lifecycle", "settings", "spec"}
# what a job file is checked with at submit, a client's included
PURE_PARTS = {
    "mlq.models.metrics",
    "mlq.sweeps",
    "mlq.sweeps.distributions",
    "mlq.sweeps.objective",
    "mlq.sweeps.space",
    # and the form of a table of trials
    "mlq.sweeps.trial_table",
}
# Entry points start whatever they are asked for, and load it only then: inside a function.
ENTRY_POINTS = {"cli", "onemachine"}

SCIENCE = {"numpy", "pandas", "pyarrow", "sklearn", "skops", "matplotlib", "scipy", "joblib"}
WEB = {"fastapi", "starlette", "uvicorn", "prometheus_client"}
BACKEND = {"sqlalchemy", "alembic", "psycopg", "celery", "kombu", "fsspec"}
#: layer -> third-party packages that its extra in pyproject.toml does not bring
FOREIGN = {
    "pure": SCIENCE | WEB | BACKEND,
    "client": SCIENCE | WEB | BACKEND,
    "sdk": WEB | BACKEND,
    "cli": SCIENCE | WEB | BACKEND,
    "onemachine": SCIENCE | WEB | BACKEND,
    "db": SCIENCE | WEB | {"celery", "kombu"},
    "artifacts": SCIENCE | WEB | {"celery", "kombu"},
    "broker": SCIENCE | WEB,
    "service": SCIENCE | WEB | {"celery", "kombu"},
    "models": WEB | {"celery", "kombu"},
    "datasets": WEB | BACKEND,
    "sweeps": WEB | BACKEND,
    "mlq_workers": WEB,
    "mlq_api": SCIENCE,
}


@dataclass(frozen=True)
class Import:
    """One import: of `target` by `module`, at `line`; `lazy` inside a function."""

    module: str
    target: str
    line: int
    lazy: bool

    def __str__(self) -> str:
        return f"{self.module}:{self.line} imports {self.target}"


@cache
def modules() -> dict[str, Path]:
    """Every module of ours, by its dotted name."""
    found = {}
    for package, folder in SOURCES.items():
        for path in (folder / package).rglob("*.py"):
            parts = path.relative_to(folder).with_suffix("").parts
            found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


@cache
def tree(module: str) -> ast.Module:
    return ast.parse(modules()[module].read_text(), filename=str(modules()[module]))


def layer(module: str) -> str:
    """The layer of one of our modules."""
    if module in PURE_PARTS:
        return "pure"
    package, *rest = module.split(".")
    if package != "mlq":
        return package
    name = rest[0] if rest else "mlq"
    return "pure" if name in PURE_MODULES else name


@cache
def imports() -> list[Import]:
    """Every import in our sources, those for type checkers left out."""
    return [found for module in modules() for found in _imports_of(module)]


def _imports_of(module: str) -> Iterator[Import]:
    def walk(node: ast.AST, *, lazy: bool) -> Iterator[Import]:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield Import(module, alias.name, node.lineno, lazy)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}:{node.lineno}: imports are absolute"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                target = full if full in modules() else str(node.module)
                yield Import(module, target, node.lineno, lazy)
        inside = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, lazy=inside)

    yield from walk(tree(module), lazy=False)


def test_every_layer_is_known() -> None:
    assert {layer(module) for module in modules()} <= ALLOWED.keys()


def test_imports_point_down() -> None:
    wrong = [
        str(found)
        for found in imports()
        if found.target in modules()
        and layer(found.target) not in ALLOWED[layer(found.module)]
        and not (found.lazy and layer(found.module) in ENTRY_POINTS)
    ]

    assert wrong == []


def test_no_layer_imports_what_its_extra_does_not_bring() -> None:
    wrong = [
        str(found)
        for found in imports()
        if found.target.split(".")[0] in FOREIGN.get(layer(found.module), set())
        and not (found.lazy and layer(found.module) in ENTRY_POINTS)
        # serving has an extra of its own
        and not found.module.startswith("mlq_api.serving")
    ]

    assert wrong == []


def test_there_is_no_import_cycle() -> None:
    graph: dict[str, set[str]] = {module: set() for module in modules()}
    for found in imports():
        # a package that offers its modules' names, and a module that asks its package, are one
        if found.target in modules() and not found.lazy and found.target != found.module:
            graph[found.module].add(found.target)

    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


WRITER = "mlq.db.transitions"
STATEMENTS = {"select", "insert", "update", "delete", "text"}


def test_statements_are_made_in_db_only() -> None:
    wrong = [
        f"{module}:{node.lineno} imports {alias.name} from {node.module}"
        for module in modules()
        if layer(module) not in {"db", "testing"}
        for node in ast.walk(tree(module))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sqlalchemy")
        for alias in node.names
        if alias.name in STATEMENTS
    ]

    assert wrong == []


def _writes_of_state(module: str) -> Iterator[int]:
    """Lines that set the column `state` of jobs."""
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            if node.func.attr != "values" or not _is_of_jobs(node.func.value):
                continue
            names = [keyword.arg for keyword in node.keywords]
            for argument in node.args:
                if isinstance(argument, ast.Dict):
                    names += [ast.unparse(key).strip("'\"") for key in argument.keys if key]
            if any(name and name.split(".")[-1] == "state" for name in names):
                yield node.lineno
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            words = " ".join(node.value.lower().split())
            if "update jobs set" in words and "state =" in words.partition(" where ")[0]:
                yield node.lineno


def _is_of_jobs(node: ast.expr) -> bool:
    """Whether a statement such as `update(jobs).where(…)` changes the table jobs."""
    while isinstance(node, ast.Call):
        if isinstance(node.func, ast.Name) or (
            isinstance(node.func, ast.Attribute) and node.func.attr in {"insert", "update"}
        ):
            tables = node.args[:1] or [node.func]
            return "jobs" in ast.unparse(tables[0])
        node = node.func.value if isinstance(node.func, ast.Attribute) else node.func
    return True  # cannot be told from here, so it must not be here


def test_only_transitions_write_state() -> None:
    wrong = [
        f"{module}:{line}"
        for module in modules()
        if not module.startswith(WRITER) and ".migrations." not in module
        for line in _writes_of_state(module)
    ]

    assert wrong == []
    written = [line for m in modules() if m.startswith(WRITER) for line in _writes_of_state(m)]
    assert written, "the check no longer sees a write"


HEAVY = sorted(SCIENCE | WEB | BACKEND)


@pytest.mark.parametrize(
    "statement",
    [
        "import mlq",
        "import mlq.client",
        "import mlq.sdk",
        "import mlq.spec",
        "import mlq.onemachine.supervisor",
    ],
)
def test_what_users_import_is_light(statement: str) -> None:
    assert _loaded_by(statement) == set()


def test_client_commands_load_nothing_heavy() -> None:
    # the help of every command of the tree, but for those that run a part of the server
    statement = """
import click
from mlq.cli.entry import main, root
SERVER = {"up", "demo", "api", "serve", "db", "doctor", "run"}
def show_help(command, path):
    if isinstance(command, click.Group):
        context = click.Context(command, info_name="mlq")
        for name in command.list_commands(context):
            if path or name not in SERVER:
                show_help(command.get_command(context, name), [*path, name])
    assert main([*path, "--help"]) == 0, path
show_help(root, [])
"""
    assert _loaded_by(statement) == set()


def _loaded_by(statement: str) -> set[str]:
    """Heavy packages that a fresh interpreter has loaded after `statement`."""
    program = f"import sys\n{statement}\nprint('loaded:', *sorted(set(sys.modules) & {set(HEAVY)}))"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return set(ended.stdout.rpartition("loaded:")[2].split())
