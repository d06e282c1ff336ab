"""mlq: an ML pipeline platform you own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlq.sdk.metrics import log_metric

__all__ = ["__version__", "log_metric"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # what scripts import, loaded when they use it: `import mlq` must cost them nothing
    if name == "log_metric":
        from mlq.sdk.metrics import log_metric

        return log_metric
    raise AttributeError(f"module 'mlq' has no attribute '{name}'")
