"""What job files name of components and environments, looked up for whoever compiles them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Literal

from sqlalchemy import Connection

from mlq.service import components, environments
from mlq.spec import EnvironmentTemplate, JobTemplate

#: (kind, reference), as a job file writes it.
Named = tuple[Literal["component", "environment"], str]
Template = JobTemplate | EnvironmentTemplate


def templates(
    conn: Connection, named: Collection[Named], project: str | None
) -> dict[Named, Template | None]:
    """What each stands for now; None where it is nothing that the project has."""
    return {
        (kind, reference): components.template(conn, reference, project)
        if kind == "component"
        else environments.template(conn, reference, project)
        for kind, reference in named
    }
