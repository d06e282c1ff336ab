"""Compiles a job file to a plan. Pure: no file, database or broker is touched."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from mlq.spec.builtin import Component
from mlq.spec.document import Document
from mlq.spec.environments import FindEnvironment, find_no_environment
from mlq.spec.layout import lay_out
from mlq.spec.nodes import Node
from mlq.spec.paths import KeyPath
from mlq.spec.plan import Plan
from mlq.spec.problems import Problems
from mlq.spec.references import parse_compute, shorten
from mlq.spec.steps import FindComponent, find_builtin
from mlq.spec.tree import TreeBuilder
from mlq.spec.wiring import Wiring

_NO_ALIASES: Mapping[str, str] = MappingProxyType({})


def compile_job(
    document: Document,
    *,
    computes: frozenset[str] | None,
    default_compute: str = "cpu",
    compute_aliases: Mapping[str, str] = _NO_ALIASES,
    components: FindComponent = find_builtin,
    environments: FindEnvironment = find_no_environment,
) -> Plan:
    """Check a job file and lay it out as the tree of jobs that submit inserts.

    computes: the tags that leaves may run on; None accepts any name.
    compute_aliases: names in files -> tags, such as `cpu-cluster` -> `cpu`.
    components: looks up `component:` references; the built-in ones by default.
    environments: looks up `environment:` references; by default there are none.
    Raises SpecError with all problems found (the first 100).
    """
    problems = Problems(document)
    builder = TreeBuilder(document, problems, components=components, environments=environments)
    root = builder.build()
    if root is None:
        problems.raise_any()
        raise AssertionError("a root that cannot be read is a problem")
    wiring = Wiring(problems)
    wiring.bind(root)
    placement = _Placement(
        problems, computes=computes, default=default_compute, aliases=compute_aliases
    )
    placement.place(root, default_compute, ())
    problems.raise_any()
    return lay_out(
        root,
        wiring,
        placement.tags,
        environments=builder.named_environments,
        warnings=tuple(builder.warnings),
    )


def check_component(
    document: Document,
    *,
    components: FindComponent = find_builtin,
    environments: FindEnvironment = find_no_environment,
) -> None:
    """Check a component's own file: `type: command` or `pipeline`, as a step would run it.

    Raises SpecError with all problems found (the first 100).
    """
    problems = Problems(document)
    builder = TreeBuilder(document, problems, components=components, environments=environments)
    root = builder.build_component()
    if root is not None:
        Wiring(problems).bind(root)
    problems.raise_any()


def outline_component(definition: Mapping[str, Any], *, name: str, version: str) -> Component:
    """The inputs and outputs of a definition that was checked before."""
    document = Document(dict(definition))
    problems = Problems(document)
    inputs, outputs = TreeBuilder(document, problems, components=find_builtin).read_ports()
    problems.raise_any()
    return Component(
        name,
        inputs,
        outputs,
        version=version,
        description=str(definition.get("description") or ""),
        is_deterministic=bool(definition.get("is_deterministic", False)),
    )


class _Placement:
    """Which compute each leaf runs on: its own, else its pipelines' default, else the caller's."""

    def __init__(
        self,
        problems: Problems,
        *,
        computes: frozenset[str] | None,
        default: str,
        aliases: Mapping[str, str],
    ) -> None:
        self.problems = problems
        self.computes = computes
        self.default = default
        self.aliases = aliases
        self.tags: dict[Node, str] = {}

    def place(self, node: Node, inherited: str, where: KeyPath) -> None:
        """inherited: the compute as written above `node`; where: the key it was written at."""
        settings = node.settings
        if settings is not None and settings.default_compute is not None:
            inherited = settings.default_compute
            where = (*node.definition_key, "settings", "default_compute")
        if node.job.compute is not None:
            inherited, where = node.job.compute, (*node.key, "compute")
        if node.is_leaf:
            self.tags[node] = self._resolve(inherited, where or node.key)
        if node.trial is not None:
            self.place(node.trial, inherited, where)
        if node.item is not None:
            self.place(node.item, inherited, where)
        for child in node.children.values():
            self.place(child, inherited, where)

    def _resolve(self, written: str, where: KeyPath) -> str:
        tag = self.aliases.get(written)
        if tag is None:
            name = parse_compute(written)
            if name is None:
                self.problems.add(
                    where,
                    f"'{shorten(written)}' cannot name a compute: letters, digits, '_', '.' and "
                    "'-', at most 63.",
                )
                return self.default
            tag = self.aliases.get(name, name)
        if self.computes is not None and tag not in self.computes:
            known = sorted({*self.computes, *self.aliases})
            there = f"There are {', '.join(known[:20])}." if known else "There are none yet."
            self.problems.add(
                where,
                f"There is no compute '{tag}'. {there} Start a worker with `mlq worker -Q {tag}`.",
                word=tag,
                known=known,
            )
        return tag
