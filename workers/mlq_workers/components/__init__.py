"""The built-in components: what runs behind `mlq:preprocess`, `mlq:train` and their like.

Each is a module with a function `run`; a module is imported when its component first runs.
"""

from __future__ import annotations

import os
from importlib import import_module

from mlq.errors import NotFoundError, nearest
from mlq_workers.components.base import Run

_MODULES = {
    "mlq:preprocess": "preprocess",
    "mlq:train": "train",
    "mlq:evaluate": "evaluate",
    "mlq:register": "register",
    "mlq:deploy": "deploy",
    "mlq:score": "score",
    "mlq:pass": "relay",
    "mlq:call": "call",
    "mlq:test": "staging",
}

#: What the components import, in the order of their need. Importing these starts no thread and
#: enters no parallel region, so a process may fork after it.
_HEAVY = (
    "numpy",
    "pandas",
    "pyarrow.csv",
    "pyarrow.feather",
    "pyarrow.parquet",
    "sklearn.compose",
    "sklearn.ensemble",
    "sklearn.linear_model",
    "sklearn.model_selection",
    "sklearn.pipeline",
    "skops.io",
    *(f"{__name__}.{module}" for module in _MODULES.values()),
)


def load(name: str) -> Run:
    """The function behind the built-in component `name`, such as `mlq:train`.

    Raises NotFoundError, naming the nearest one.
    """
    module = _MODULES.get(name)
    if module is None:
        guess = nearest(name, _MODULES)
        raise NotFoundError(
            f"There is no built-in component '{name}'.",
            hint=f"Did you mean '{guess}'?" if guess else f"There are: {', '.join(_MODULES)}.",
        )
    run: Run = import_module(f"{__name__}.{module}").run
    return run


def preload() -> None:
    """Import what components need, once, in the parent that forks worker processes."""
    # Arrow's allocator would start a thread of its own, and a forking process should have one.
    os.environ.setdefault("JE_ARROW_MALLOC_CONF", "background_thread:false")
    for module in _HEAVY:
        import_module(module)
