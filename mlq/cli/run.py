"""`mlq run`: a pipeline that is written in Python."""

from __future__ import annotations

import json
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from mlq.cli.output import Output, output_option
from mlq.errors import MlqError, nearest

if TYPE_CHECKING:
    from mlq.sdk.pipelines import Pipeline, PipelineJob


@click.command()
@click.argument("file", metavar="FILE[:PIPELINE]")
@click.option(
    "--set", "given", metavar="NAME=VALUE", multiple=True, help="An argument; repeatable."
)
@click.option("--local", is_flag=True, help="Run all of it in this process, without a server.")
@click.option("--keep", type=Path, metavar="FOLDER", help="With --local: where outputs are kept.")
@click.option("--wait", is_flag=True, help="Return when the job has ended.")
@output_option
def run(
    file: str, given: tuple[str, ...], local: bool, keep: Path | None, wait: bool, output: Output
) -> None:
    """Run a pipeline of Python functions, here or on a server.

    FILE is a Python file with a function that is decorated with @mlq.pipeline.
    """
    job = _describe(file, given)
    if local:
        found = job.run_locally(keep)
        outputs = {name: _show(value) for name, value in found.outputs.items()}
        output.one({"outputs": outputs, "metrics": found.metrics}, name=job.name)
        return
    submitted = job.submit()
    if wait:
        submitted.wait()
    output.one({"id": submitted.id}, name=submitted.id)


def _describe(file: str, given: tuple[str, ...]) -> PipelineJob:
    path, _, name = file.partition(":")
    pipeline = _find(Path(path), name)
    arguments: dict[str, Any] = {}
    for text in given:
        key, equals, value = text.partition("=")
        if not equals or key not in pipeline.signature.parameters:
            guess = nearest(key, pipeline.signature.parameters)
            raise MlqError(
                f"--set {text}: the pipeline '{pipeline.name}' has no argument '{key}'."
                if equals
                else f"--set {text}: write NAME=VALUE.",
                code="usage",
                hint=f"Did you mean '{guess}'?" if guess and guess != key else "",
            )
        arguments[key] = _parse(value)
    try:
        pipeline.signature.bind(**arguments)
    except TypeError as error:
        raise MlqError(
            f"The pipeline '{pipeline.name}' {error}.", code="usage", hint="Give it with --set."
        ) from None
    return pipeline(**arguments)


def _find(path: Path, name: str) -> Pipeline[...]:
    from mlq.sdk.pipelines import Pipeline

    if not path.is_file():
        raise MlqError(f"There is no file {path}.", code="not_found")
    spec = spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        raise MlqError(
            f"{path} is not a Python file.",
            code="usage",
            hint=f"A job file is submitted with `mlq job create -f {path}`.",
        )
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    sys.path.insert(0, str(path.parent.resolve()))
    spec.loader.exec_module(module)
    found = {
        key: value
        for key, value in vars(module).items()
        if isinstance(value, Pipeline) and value.function.__module__ == path.stem
    }
    if not name and len(found) == 1:
        return next(iter(found.values()))
    if name in found:
        return found[name]
    names = ", ".join(found) or "none"
    raise MlqError(
        f"{path} has no pipeline '{name}'." if name else f"{path} has {len(found)} pipelines.",
        code="usage",
        hint=f"Name one as {path}:NAME; there are: {names}."
        if found
        else "Decorate a function with @mlq.pipeline.",
    )


def _parse(text: str) -> Any:
    """A value of the command line: JSON where it is that, else text."""
    try:
        return json.loads(text)
    except ValueError:
        return text


def _show(value: Any) -> Any:
    try:
        json.dumps(value)
    except TypeError:
        shape = getattr(value, "shape", None)
        return f"<{type(value).__name__} {shape}>" if shape is not None else str(value)
    return value
