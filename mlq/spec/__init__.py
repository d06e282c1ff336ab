"""Job files: text -> document -> plan. Pure, and quick to import (pydantic and PyYAML only)."""

from mlq.spec.bindings import Binding, parse_binding
from mlq.spec.builtin import BUILTIN, Component, Port
from mlq.spec.compiler import check_component, compile_job, outline_component
from mlq.spec.document import Document, parse_value, read_document, replace
from mlq.spec.edits import (
    apply_overrides,
    find_code_folders,
    find_component_files,
    find_component_names,
    find_conda_files,
    find_environment_files,
    find_environment_names,
    find_local_paths,
)
from mlq.spec.embedded import instantiate
from mlq.spec.environments import (
    EnvironmentTemplate,
    FindEnvironment,
    check_environment,
    find_no_environment,
)
from mlq.spec.paths import format_path
from mlq.spec.plan import Plan, PlannedJob, Source, canonical_json, spec_digest
from mlq.spec.references import parse_asset, parse_component, parse_compute, parse_environment
from mlq.spec.steps import JobTemplate, find_builtin

__all__ = [
    "BUILTIN",
    "Binding",
    "Component",
    "Document",
    "EnvironmentTemplate",
    "FindEnvironment",
    "JobTemplate",
    "Plan",
    "PlannedJob",
    "Port",
    "Source",
    "apply_overrides",
    "canonical_json",
    "check_component",
    "check_environment",
    "compile_job",
    "find_builtin",
    "find_code_folders",
    "find_component_files",
    "find_component_names",
    "find_conda_files",
    "find_environment_files",
    "find_environment_names",
    "find_local_paths",
    "find_no_environment",
    "format_path",
    "instantiate",
    "outline_component",
    "parse_asset",
    "parse_binding",
    "parse_component",
    "parse_compute",
    "parse_environment",
    "parse_value",
    "read_document",
    "replace",
    "spec_digest",
]
