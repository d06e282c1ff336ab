"""POST /endpoints/{name}/feedback: what turned out to be true about predictions."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from mlq.errors import ForbiddenError
from mlq_api.serving.json_bodies import parse_object
from mlq_api.serving.server import serving_of
from mlq_api.wire import json_response


async def give(request: Request) -> Response:
    """Keep truths by request id. Raises ForbiddenError for a token that may only look."""
    if not request.scope["principal"].may("submitter"):
        raise ForbiddenError(
            "Feedback is kept and may start a pipeline: a viewer's token cannot give it.",
            hint="`mlq token create --role submitter` makes one that can.",
        )
    serving, name = serving_of(request), request.path_params["name"]
    serving.require(request.scope["principal"], "endpoint", name)
    kept = await serving.keep_feedback(name, parse_object(await request.body()))
    return json_response({"kept": kept})
