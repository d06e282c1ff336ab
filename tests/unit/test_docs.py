"""The documentation says what the code does: tables, job files, command lines and links."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import click
import pytest
from pydantic import BaseModel, SecretStr

from mlq.cli.entry import root as cli
from mlq.lifecycle import LIVE, TERMINAL, TRANSITIONS, Reason, State
from mlq.settings import Settings
from mlq.spec import BUILTIN, Port, compile_job, find_code_folders, read_document, replace
from mlq.spec import model as spec
from mlq.spec.sweep import SWEEP_OUTPUTS
from mlq.sweeps.space import ARGUMENTS

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", *DOCS.rglob("*.md")])
SOURCES = [ROOT / "mlq", ROOT / "workers" / "mlq_workers", ROOT / "api" / "mlq_api"]

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_CELLS = re.compile(r"(?<!\\)\|")


@cache
def read(page: Path) -> str:
    return page.read_text()


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def fences(page: Path, *languages: str) -> list[str]:
    """Fenced blocks of these languages."""
    return [body for language, body in _FENCE.findall(read(page)) if language in languages]


def section(page: Path, heading: str) -> str:
    """What stands below a heading of the second level."""
    found = re.search(
        rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", read(page), re.MULTILINE | re.DOTALL
    )
    assert found, f"{name_of(page)} has no section '{heading}'"
    return found[1]


def tables(text: str) -> list[list[list[str]]]:
    """Tables, as rows of cells; the first row is the heading."""
    found: list[list[list[str]]] = []
    is_inside = False
    for line in text.splitlines():
        if not line.startswith("|"):
            is_inside = False
            continue
        if not is_inside:
            found.append([])
            is_inside = True
        if not set(line) <= set("|-: "):
            found[-1].append([cell.strip() for cell in _CELLS.split(line)[1:-1]])
    return found


def words(cell: str) -> list[str]:
    """What stands in backticks in a cell."""
    return re.findall(r"`([^`]+)`", cell)


def first_words(rows: list[list[str]]) -> list[str]:
    """The first cell of each row below the heading."""
    return [words(row[0])[0] for row in rows[1:] if words(row[0])]


# tables ---------------------------------------------------------------------------------------


def test_every_setting_is_on_its_page_with_its_default() -> None:
    def shown(value: Any) -> str:
        plain = value.get_secret_value() if isinstance(value, SecretStr) else value
        return "–" if plain in ("", [], {}, None) else f"`{plain}`"

    page = tables(read(DOCS / "reference" / "settings.md"))
    rows = [(words(row[0])[0], row[1]) for table in page for row in table[1:]]

    assert sorted(rows) == sorted(
        (f"MLQ_{name.upper()}", shown(field.default))
        for name, field in Settings.model_fields.items()
    )
    assert all(row[2] for table in page for row in table[1:])


def test_every_component_is_on_its_page_with_its_ports() -> None:
    def default_of(port: Port) -> str:
        if not port.optional:
            return "required"
        plain = str(port.default).lower() if isinstance(port.default, bool) else port.default
        return "–" if plain is None else f"`{plain}`"

    page = DOCS / "components.md"
    assert re.findall(r"^## (.*)$", read(page), re.MULTILINE) == list(BUILTIN)
    for name, component in BUILTIN.items():
        inputs, outputs = tables(section(page, name))
        assert [tuple(row[:3]) for row in inputs[1:]] == [
            (f"`{port}`", definition.type, default_of(definition))
            for port, definition in component.inputs.items()
        ], name
        for row, definition in zip(inputs[1:], component.inputs.values(), strict=True):
            assert {str(choice) for choice in definition.enum or ()} <= set(words(row[3])), row
        assert [tuple(row[:2]) for row in outputs[1:]] == [
            (f"`{port}`", definition.type) for port, definition in component.outputs.items()
        ], name
        assert all(row[-1] for row in [*inputs, *outputs]), f"{name}: a meaning is missing"


KEYS: list[tuple[str, type[BaseModel], tuple[type[BaseModel], ...]]] = [
    ("Every job and step", spec.Job, ()),
    ("Command", spec.CommandJob, (spec.Job,)),
    ("Component step", spec.ComponentJob, (spec.Job,)),
    ("Pipeline", spec.PipelineJob, (spec.Job,)),
    ("Choice between steps", spec.IfElseJob, (spec.Job,)),
    ("Loop", spec.DoWhileJob, (spec.Job,)),
    ("Limits of a loop", spec.DoWhileLimits, ()),
    ("Once for each item", spec.ParallelForJob, (spec.Job,)),
    ("Parallel job", spec.ParallelJob, (spec.Job,)),
    ("Task of a parallel job", spec.ParallelTask, ()),
    ("Retry settings", spec.RetrySettings, ()),
    ("Sampling algorithm", spec.SamplingAlgorithm, ()),
    ("Objective", spec.SweepObjective, ()),
    ("Early termination", spec.EarlyTermination, ()),
    ("Limits of a sweep", spec.SweepLimits, (spec.Limits,)),
    ("Settings of a pipeline", spec.Settings, ()),
    ("Retries", spec.Retries, ()),
    ("Repeat", spec.Repeat, ()),
    ("Limits", spec.Limits, ()),
    ("Resources", spec.Resources, ()),
    ("Distribution", spec.Distribution, ()),
    ("Typed input", spec.TypedInput, ()),
    ("Typed output", spec.TypedOutput, ()),
    ("Inline command component", spec.CommandComponent, (spec.CommandJob,)),
]


def keys_of(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


@pytest.mark.parametrize(("heading", "model", "bases"), KEYS, ids=lambda value: str(value)[:30])
def test_every_key_of_a_job_file_is_on_its_page(
    heading: str, model: type[BaseModel], bases: tuple[type[BaseModel], ...]
) -> None:
    (table,) = tables(section(DOCS / "reference" / "job-yaml.md", heading))
    inherited = set().union(*(keys_of(base) for base in bases))
    if model is spec.CommandComponent:  # its page repeats what it shares with every job
        inherited -= keys_of(spec.Job)

    assert sorted(first_words(table)) == sorted(keys_of(model) - inherited)


def test_the_page_of_job_files_knows_sweeps() -> None:
    page = DOCS / "reference" / "job-yaml.md"
    keys, outputs = tables(section(page, "Sweep"))
    assert sorted(first_words(keys)) == sorted(
        keys_of(spec.SweepJob) - (keys_of(spec.Job)) | {"limits"}
    )
    assert {words(row[0])[0]: row[1] for row in outputs[1:]} == {
        name: port.type for name, port in SWEEP_OUTPUTS.items()
    }
    (distributions,) = tables(section(page, "Search space"))
    assert {words(row[0])[0]: tuple(words(row[1])) for row in distributions[1:]} == ARGUMENTS


def test_the_page_of_job_files_knows_every_model() -> None:
    described = {model for _, model, _ in KEYS}
    models = {
        value
        for name, value in vars(spec).items()
        if isinstance(value, type)
        and issubclass(value, BaseModel)
        and value.__module__ == spec.__name__
        and not name.startswith("_")
    }

    assert models - described == {
        spec.PipelineComponent,
        spec.SweepJob,
        spec.ParallelComponent,
        spec.ParallelComponentJob,
    }
    only_here = keys_of(spec.PipelineComponent) - keys_of(spec.CommandComponent)
    assert only_here == {"jobs", "finally", "settings"}
    page = read(DOCS / "reference" / "job-yaml.md")
    assert all(f"`{kind}`" in page for kind in spec.PORT_TYPES)


def test_the_lifecycle_has_every_state_reason_and_transition() -> None:
    page = DOCS / "lifecycle.md"
    states, *_ = tables(read(page))
    assert first_words(states) == [state.value for state in State]

    (transitions,) = tables(section(page, "Transitions"))
    assert {
        words(row[0])[0]: (set(words(row[1])), set(words(row[2]))) for row in transitions[1:]
    } == {
        name: ({*map(str, leaves)}, {*map(str, enters)})
        for name, (leaves, enters) in TRANSITIONS.items()
    }
    (reasons,) = tables(section(page, "Reasons"))
    assert first_words(reasons) == [reason.value for reason in Reason]


def test_the_diagram_of_the_lifecycle_is_that_of_the_code() -> None:
    groups = {"live": LIVE, "terminal": TERMINAL}
    (diagram,) = fences(DOCS / "lifecycle.md", "mermaid")
    drawn = {
        (transition, str(state), target)
        for source, target, labels in re.findall(r"(\w+) --> (\w+): (.*)", diagram)
        for transition in labels.split(", ")
        for state in groups.get(source, {source})
    }

    assert drawn == {
        (name, str(source), str(target))
        for name, (leaves, enters) in TRANSITIONS.items()
        for source in leaves
        for target in enters
    }


@cache
def trees(*below: str) -> list[ast.Module]:
    """Every source file, or those below these folders and files, parsed."""
    places = [ROOT / place for place in below] or SOURCES
    files = [file for place in places for file in [place, *place.rglob("*.py")] if file.is_file()]
    return [ast.parse(file.read_text()) for file in files]


def texts_of(node: ast.expr | None) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.IfExp):
        yield from texts_of(node.body)
        yield from texts_of(node.orelse)


def codes() -> set[str]:
    """Every error code that the sources write: `code=`, `code = `, `{"code": …}`."""
    found: set[str] = set()
    for tree in trees():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call):
                for keyword in node.keywords:
                    if keyword.arg == "code":
                        found |= set(texts_of(keyword.value))
            elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                if node.targets[0].id == "code":
                    found |= set(texts_of(node.value))
                elif node.targets[0].id == "_CODE_OF_STATUS" and isinstance(node.value, ast.Dict):
                    for value in node.value.values:
                        found |= set(texts_of(value))
            elif isinstance(node, ast.Dict):
                for key, value in zip(node.keys, node.values, strict=True):
                    if isinstance(key, ast.Constant) and key.value == "code":
                        found |= set(texts_of(value))
    return {code for code in found if re.fullmatch(r"[a-z_]+", code)}


def test_every_error_code_is_explained() -> None:
    page = DOCS / "troubleshooting.md"
    explained = {
        code for table in tables(read(page)) if table[0][0] == "code" for code in first_words(table)
    }

    assert codes() - explained == set(), "add these to docs/troubleshooting.md"
    assert explained - codes() == set(), "no source writes these"


def test_every_kind_of_event_is_listed() -> None:
    (table,) = tables(section(DOCS / "reference" / "events.md", "Kinds"))
    listed = set(first_words(table))
    subjects = {kind.partition(".")[0] for kind in listed}
    written, begun = set(), set()
    for tree in trees("mlq/db", "mlq/service"):
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr) and len(node.values) > 1:
                begun |= set(texts_of(node.values[0]))
            for text in texts_of(node) if isinstance(node, ast.expr) else ():
                kind = re.fullmatch(r"([a-z]+)\.([a-z_]+)", text)
                if kind and kind[1] in subjects:
                    written.add(text)

    assert written - listed == set(), "add these to docs/reference/events.md"
    computed = {kind for kind in listed - written if f"{kind.partition('.')[0]}." in begun}
    assert listed - written == computed, "no source writes these"


def test_every_metric_of_the_operations_page_is_exposed() -> None:
    page = section(DOCS / "operations.md", "Monitoring")
    listed = set(first_words(tables(page)[0]))
    exposed = {
        node.value
        for tree in trees("api/mlq_api/observer.py")
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and str(node.value).startswith("mlq_")
    }

    assert listed == exposed


# examples -------------------------------------------------------------------------------------

JOB_FILES = [
    pytest.param(body, id=f"{name_of(page)}-{number}")
    for page in PAGES
    for number, body in enumerate(fences(page, "yaml"), start=1)
]


@pytest.mark.parametrize("body", JOB_FILES)
def test_job_files_compile(body: str) -> None:
    document = read_document(body)
    for key, _ in find_code_folders(document):  # `mlq job create` sends them along
        document = replace(document, key, f"artifact:sha256:{'0' * 64}")
    plan = compile_job(document, computes=frozenset({"cpu", "gpu"}))

    assert plan.jobs
    assert plan.warnings == ()


def command_lines(page: Path) -> Iterator[list[str]]:
    """Every `mlq …` of a page: in shell blocks, after prompts, and between backticks."""
    text = read(page)
    for body in fences(page, "sh", "console"):
        for line in body.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ")
            if line.startswith("mlq ") and not line.startswith(("mlq demo:", "mlq is up")):
                yield shlex.split(line, comments=True)
    prose = _FENCE.sub("", text)
    for line in re.findall(r"`(mlq [^`]+)`", " ".join(prose.split())):
        yield shlex.split(line)


def check_command_line(line: list[str]) -> None:
    """Raise AssertionError unless `line` names a command of the tree and options that it has."""
    command: click.Command = cli
    context = click.Context(cli, info_name="mlq")
    rest = line[1:]
    while isinstance(command, click.Group) and rest and not rest[0].startswith("-"):
        child = command.get_command(context, rest[0])
        assert child is not None, f"{shlex.join(line)}: there is no command '{rest[0]}'"
        command, context = child, click.Context(child, parent=context, info_name=rest.pop(0))
    known = {spelling for option in command.get_params(context) for spelling in option.opts}
    known |= {
        spelling for option in command.get_params(context) for spelling in option.secondary_opts
    }
    for word in rest:
        if re.match(r"--?[A-Za-z]", word):
            assert word.partition("=")[0] in known, f"{shlex.join(line)}: no option {word}"


# cli.md is made from the commands themselves
@pytest.mark.parametrize("page", [page for page in PAGES if page.name != "cli.md"], ids=name_of)
def test_command_lines_exist(page: Path) -> None:
    for line in command_lines(page):
        check_command_line(line)


def test_a_command_line_that_does_not_exist_is_found() -> None:
    for line in ("mlq job frobnicate", "mlq job create --frob", "mlq jobs"):
        with pytest.raises(AssertionError):
            check_command_line(line.split())


# links ----------------------------------------------------------------------------------------


def links(page: Path) -> list[str]:
    """Targets of the links of a page that lead to files."""
    prose = _FENCE.sub("", read(page))
    found = re.findall(r"\[[^\]]*\]\(([^)\s]+)\)", prose)
    return [target for target in found if "://" not in target]


def anchors(page: Path) -> set[str]:
    """Anchors of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", read(page)), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in links(page):
        path, _, anchor = target.partition("#")
        there = (page.parent / path).resolve() if path else page
        assert there.exists(), f"{name_of(page)}: {target}"
        if anchor:
            assert anchor in anchors(there), f"{name_of(page)}: {target}"


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached: set[Path] = set()
    pending = [ROOT / "README.md"]
    while pending:
        page = pending.pop()
        if page not in reached:
            reached.add(page)
            targets = ((page.parent / link.partition("#")[0]).resolve() for link in links(page))
            pending += [target for target in targets if target.suffix == ".md"]

    decisions = set((DOCS / "decisions").glob("*.md"))
    assert set(PAGES) - reached - decisions == set()
