"""Endpoints and deployments: what answers predictions, and asking it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, cast

from mlq.client.documents import (
    Deployment,
    DriftReport,
    Endpoint,
    Prediction,
    Rollout,
    SampledRequest,
)
from mlq.client.paths import locate
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
        return cast(Endpoint, self._session.json("GET", locate("/v1/endpoints/{}", name)))

    def create(
        self, name: str, *, description: str | None = None, tags: Mapping[str, str] | None = None
    ) -> Endpoint:
        """Make an endpoint without deployments."""
        body = {"name": name, **_given(description=description, tags=tags)}
        return cast(Endpoint, self._session.json("POST", "/v1/endpoints", json=body))

    def set_traffic(self, name: str, traffic: Mapping[str, int]) -> Endpoint:
        """Split requests: deployment -> percent, 100 in all."""
        body = {"traffic": dict(traffic)}
        return cast(
            Endpoint, self._session.json("PATCH", locate("/v1/endpoints/{}", name), json=body)
        )

    def update(
        self,
        name: str,
        *,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        traffic: Mapping[str, int] | None = None,
        mirror_traffic: Mapping[str, int] | None = None,
    ) -> Endpoint:
        """Change what is given, all of it at one moment. mirror_traffic: copies, in percent."""
        body = _given(
            description=description, tags=tags, traffic=traffic, mirror_traffic=mirror_traffic
        )
        return cast(
            Endpoint, self._session.json("PATCH", locate("/v1/endpoints/{}", name), json=body)
        )

    def rollouts(self, name: str, *, limit: int | None = 50) -> Sequence[Rollout]:
        """Rollouts of an endpoint, newest first."""
        return list(self._session.pages(locate("/v1/endpoints/{}/rollouts", name), limit=limit))

    def roll_out(
        self, name: str, *, model: str, policy: Mapping[str, Any], alias: str = "production"
    ) -> Rollout | None:
        """Roll a version out by stages; None where it was deployed at once."""
        body = {"model": model, "alias": alias, "policy": dict(policy)}
        answer = self._session.json("POST", locate("/v1/endpoints/{}/rollouts", name), json=body)
        return cast("Rollout | None", answer["rollout"])

    def steer_rollout(
        self, name: str, act: Literal["freeze", "resume", "abort"], *, reason: str = ""
    ) -> Rollout:
        """Freeze, resume or abort the rollout that is under way."""
        path = locate("/v1/endpoints/{}/rollouts/{}", name, act)
        return cast(Rollout, self._session.json("POST", path, json={"reason": reason}))

    def tell_metrics(self, name: str, metrics: Mapping[str, float]) -> Rollout:
        """Tell what was measured elsewhere of the candidate of the rollout that is under way."""
        path = locate("/v1/endpoints/{}/rollouts/metrics", name)
        return cast(Rollout, self._session.json("POST", path, json={"metrics": dict(metrics)}))

    def measurements(self, name: str, *, seconds: float = 300.0) -> dict[str, Any]:
        """What the deployments answered in the last `seconds`: requests, errors, rows, latency."""
        path = locate("/v1/endpoints/{}/measurements", name)
        params = {"seconds": f"{seconds:g}"}
        return cast("dict[str, Any]", self._session.json("GET", path, params=params))

    def drift(self, name: str) -> Sequence[DriftReport]:
        """The last report on each deployment: features, predictions, live accuracy, breaches."""
        answer = self._session.json("GET", locate("/v1/endpoints/{}/drift", name))
        return cast("Sequence[DriftReport]", answer["items"])

    def samples(
        self,
        name: str,
        *,
        deployment: str | None = None,
        request_id: str | None = None,
        limit: int | None = 50,
    ) -> Sequence[SampledRequest]:
        """Requests that were sampled, newest first, with answers and the truth where it is known.

        request_id: of one request, which copies may have been sampled of, too.
        """
        params = _given(deployment=deployment, request_id=request_id)
        path = locate("/v1/endpoints/{}/samples", name)
        return list(self._session.pages(path, limit=limit, **params))

    def give_feedback(self, name: str, truths: Mapping[str, Any]) -> int:
        """Tell what turned out to be true: request id -> a value for each row; how many are kept.

        A request's id is what the header `x-request-id` of its answer said.
        """
        items = [{"request_id": one, "truth": truth} for one, truth in truths.items()]
        path = locate("/endpoints/{}/feedback", name)
        return int(self._session.json("POST", path, json={"items": items})["kept"])

    def delete(self, name: str) -> None:
        """Remove an endpoint and its deployments; the models stay."""
        self._session.request("DELETE", locate("/v1/endpoints/{}", name))

    def deploy(
        self,
        name: str,
        deployment: str,
        *,
        model: str,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Deployment:
        """Put a model behind the endpoint: `models:/NAME/3`, or an alias to follow."""
        path = locate("/v1/endpoints/{}/deployments/{}", name, deployment)
        more = _given(description=description, tags=tags, settings=settings)
        return cast(Deployment, self._session.json("PUT", path, json={"model": model, **more}))

    def undeploy(self, name: str, deployment: str) -> None:
        """Remove a deployment."""
        self._session.request("DELETE", locate("/v1/endpoints/{}/deployments/{}", name, deployment))

    def score(
        self, name: str, body: Mapping[str, Any], *, deployment: str | None = None
    ) -> Prediction:
        """Ask with a body of your own: {"rows": …} or {"input_data": …}, and "params"."""
        headers = {} if deployment is None else {"mlq-deployment": deployment}
        path = locate("/endpoints/{}/score", name)
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


def _given(**values: Any) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
