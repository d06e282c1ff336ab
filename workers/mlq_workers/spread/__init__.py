"""One job for each item: `parallel_for`."""

from mlq_workers.spread.collect import CollectHandler
from mlq_workers.spread.expand import ExpandHandler

__all__ = ["CollectHandler", "ExpandHandler"]
