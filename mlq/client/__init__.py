"""The HTTP client: everything the API offers, as small methods grouped by noun.

    with Client("http://127.0.0.1:8420", token) as client:
        job = client.jobs.create(document, media_type="application/yaml")
        job = client.jobs.wait(job["id"])

It needs httpx alone: no database, no Celery, no pandas.
"""

from mlq.client.client import Client
from mlq.client.problems import TimedOutError, UnreachableError

__all__ = ["Client", "TimedOutError", "UnreachableError"]
