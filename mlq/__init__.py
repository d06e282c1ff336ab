"""mlq: an ML pipeline platform you own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlq.sdk.components import component
    from mlq.sdk.components import component as step
    from mlq.sdk.metrics import log_metric
    from mlq.sdk.pipelines import pipeline
    from mlq.sdk.serving import load_model

__all__ = ["__version__", "component", "load_model", "log_metric", "pipeline", "step"]

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # what scripts import, loaded when they use it: `import mlq` must cost them nothing
    if name == "log_metric":
        from mlq.sdk.metrics import log_metric

        return log_metric
    if name == "load_model":
        from mlq.sdk.serving import load_model

        return load_model
    if name in ("component", "step"):
        from mlq.sdk.components import component

        return component
    if name == "pipeline":
        from mlq.sdk.pipelines import pipeline

        return pipeline
    raise AttributeError(f"module 'mlq' has no attribute '{name}'")
