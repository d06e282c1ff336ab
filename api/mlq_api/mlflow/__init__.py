"""MLflow's REST API (2.0), for its public clients: tracking, artifacts through the proxy, registry.

The paths, words and shapes are MLflow's ("REST API" and `service.proto`, `model_registry.proto` of
its documentation), under `/mlflow/api/2.0` and under its default `/api/2.0`. What is behind them is
mlq's own: a leaf job is a run, a registered model is mlq's.
"""

from fastapi import APIRouter

from mlq_api.mlflow import files, registry, tracking

router = APIRouter(include_in_schema=False)
for prefix in ("/mlflow/api/2.0", "/api/2.0"):
    for part in (tracking, files, registry):
        router.include_router(part.router, prefix=prefix)
