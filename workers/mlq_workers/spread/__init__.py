"""One job for each item of a `parallel_for`, or for each lot of a parallel job."""

from mlq_workers.spread.collect import CollectHandler
from mlq_workers.spread.expand import ExpandHandler

__all__ = ["CollectHandler", "ExpandHandler"]
