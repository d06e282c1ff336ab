"""Endpoints and deployments: what answers predictions, and asking it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from mlq.client.documents import Deployment, Endpoint, Prediction
from mlq.client.session import Session


class Endpoints:
    """`/v1/endpoints`, and `/endpoints/{name}/score`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def list(self, *, limit: int | None = 50) -> list[Endpoint]:
        """All endpoints."""
        return list(self._session.pages("/v1/endpoints", limit=limit))

    def get(self, name: str) -> Endpoint:
        """An endpoint with its deployments, each with the version it stands for now."""
        return cast(Endpoint, self._session.json("GET", f"/v1/endpoints/{name}"))

    def create(self, name: str, *, description: str | None = None) -> Endpoint:
        """Make an endpoint without deployments."""
        body = {"name": name} | ({} if description is None else {"description": description})
        return cast(Endpoint, self._session.json("POST", "/v1/endpoints", json=body))

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> Endpoint:
        """Split requests: deployment -> percent, 100 in all."""
        body = {"traffic": dict(traffic)}
        return cast(Endpoint, self._session.json("PATCH", f"/v1/endpoints/{name}", json=body))

    def delete(self, name: str) -> None:
        """Remove an endpoint and its deployments; the models stay."""
        self._session.request("DELETE", f"/v1/endpoints/{name}")

    def deploy(self, name: str, deployment: str, *, model: str) -> Deployment:
        """Put a model behind the endpoint: `models:/NAME/3`, or an alias to follow."""
        path = f"/v1/endpoints/{name}/deployments/{deployment}"
        return cast(Deployment, self._session.json("PUT", path, json={"model": model}))

    def undeploy(self, name: str, deployment: str) -> None:
        """Remove a deployment."""
        self._session.request("DELETE", f"/v1/endpoints/{name}/deployments/{deployment}")

    def score(
        self, name: str, body: Mapping[str, Any], *, deployment: str | None = None
    ) -> Prediction:
        """Ask with a body of your own: {"rows": …} or {"input_data": …}, and "params"."""
        headers = {} if deployment is None else {"mlq-deployment": deployment}
        path = f"/endpoints/{name}/score"
        answer = self._session.json("POST", path, json=dict(body), headers=headers)
        return cast(Prediction, answer)

    def predict(
        self,
        name: str,
        rows: Sequence[Mapping[str, Any]],
        *,
        probabilities: bool = False,
        deployment: str | None = None,
    ) -> Prediction:
        """Predictions for rows, each a mapping of column to value."""
        body: dict[str, Any] = {"rows": [dict(row) for row in rows]}
        if probabilities:
            body["params"] = {"probabilities": True}
        return self.score(name, body, deployment=deployment)
