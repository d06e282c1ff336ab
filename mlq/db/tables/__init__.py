"""The tables. Every statement over them lives in `mlq.db`.

Timestamps are UTC from the database's clock (`mlq.db.types.now`); ids are `mlq.ids`.
"""

from __future__ import annotations

from mlq.db.tables.access import idempotency_keys, installation, secrets, tokens
from mlq.db.tables.assets import (
    alias_history,
    artifacts,
    asset_uses,
    components,
    data_numbers,
    data_versions,
    environments,
    model_aliases,
    model_versions,
    models,
    unnamed_artifacts,
)
from mlq.db.tables.base import metadata
from mlq.db.tables.batch import batch_deployments, batch_endpoints, batch_invocations
from mlq.db.tables.delivery import alias_holds, deployments, endpoints, routing_version
from mlq.db.tables.fleet import leases, limit_holds, limits, servers, workers
from mlq.db.tables.history import attempt_usage, events, latest_metrics, log_chunks, metrics
from mlq.db.tables.jobs import job_edges, job_git, jobs, specs
from mlq.db.tables.monitoring import drift_reports, prediction_samples, prediction_truths
from mlq.db.tables.projects import (
    project_blobs,
    project_jobs,
    project_names,
    project_secrets,
    projects,
)
from mlq.db.tables.rollouts import rollouts, serving_counts
from mlq.db.tables.schedules import schedule_firings, schedules, watched_files
from mlq.db.tables.tracking import (
    experiments,
    logged_model_metrics,
    logged_models,
    model_tags,
    run_links,
    run_params,
    run_tags,
    runs,
    tracked_files,
    version_sources,
)
from mlq.db.tables.webhooks import webhook_deliveries, webhooks

__all__ = [
    "alias_history",
    "alias_holds",
    "artifacts",
    "asset_uses",
    "attempt_usage",
    "batch_deployments",
    "batch_endpoints",
    "batch_invocations",
    "components",
    "data_numbers",
    "data_versions",
    "deployments",
    "drift_reports",
    "endpoints",
    "environments",
    "events",
    "experiments",
    "idempotency_keys",
    "installation",
    "job_edges",
    "job_git",
    "jobs",
    "latest_metrics",
    "leases",
    "limit_holds",
    "limits",
    "log_chunks",
    "logged_model_metrics",
    "logged_models",
    "metadata",
    "metrics",
    "model_aliases",
    "model_tags",
    "model_versions",
    "models",
    "prediction_samples",
    "prediction_truths",
    "project_blobs",
    "project_jobs",
    "project_names",
    "project_secrets",
    "projects",
    "rollouts",
    "routing_version",
    "run_links",
    "run_params",
    "run_tags",
    "runs",
    "schedule_firings",
    "schedules",
    "secrets",
    "servers",
    "serving_counts",
    "specs",
    "tokens",
    "tracked_files",
    "unnamed_artifacts",
    "version_sources",
    "watched_files",
    "webhook_deliveries",
    "webhooks",
    "workers",
]
