import os
import subprocess
import sys

import pytest

from mlq.errors import NotFoundError
from mlq.spec.builtin import BUILTIN
from mlq_workers.components import load


def _python(code: str) -> str:
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


@pytest.mark.parametrize(
    "name", sorted(name for name, one in BUILTIN.items() if one.job_type == "command")
)
def test_every_declared_component_has_a_function(name: str) -> None:
    assert callable(load(name))


def test_unknown_component_names_the_nearest() -> None:
    with pytest.raises(NotFoundError) as caught:
        load("mlq:trian")
    assert "mlq:train" in caught.value.hint


def test_pass_imports_nothing_heavy() -> None:
    code = (
        "import sys; from mlq_workers.components import load; load('mlq:pass');"
        "print([name for name in ('numpy', 'pandas', 'sklearn') if name in sys.modules])"
    )
    assert _python(code) == "[]"


@pytest.mark.skipif(sys.platform != "linux", reason="counts threads in /proc")
def test_preload_starts_no_thread_and_leaves_plots_for_later() -> None:
    code = (
        "import os, sys; from mlq_workers.components import preload; preload();"
        "print(len(os.listdir('/proc/self/task')), 'sklearn' in sys.modules,"
        " 'matplotlib' in sys.modules)"
    )
    assert _python(code) == "1 True False"
