"""GPUs through a fake driver, and through a fake of NVIDIA's library."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import pytest

from mlq.errors import SettingsError
from mlq_workers.gpus import (
    Gpu,
    GpuUsage,
    NvidiaDriver,
    ask_memory,
    assign,
    discover_gpus,
    gpu_usage,
    no_gpus,
    select_gpus,
)

ONE = Gpu(0, "GPU-aaaa-1", "H100", 80 << 30)
TWO = Gpu(1, "GPU-aabb-2", "H100", 80 << 30)
THREE = Gpu(2, "GPU-cccc-3", "L4", 24 << 30)


class FakeDriver:
    def __init__(self, *gpus: Gpu, is_there: bool = True) -> None:
        self._gpus = list(gpus) if is_there else None

    def gpus(self) -> list[Gpu] | None:
        return self._gpus

    def usage(self, gpu: Gpu) -> GpuUsage:
        return GpuUsage(gpu.uuid, gpu.memory_bytes // 2, 0.5, 40.0, 100.0)


HOST = FakeDriver(ONE, TWO, THREE)
BARE = FakeDriver(is_there=False)


@pytest.mark.parametrize(
    ("visible", "expected"),
    [
        (None, [ONE, TWO, THREE]),
        ("", []),
        ("-1", []),
        ("2,0", [THREE, ONE]),
        (" 1 , 2 ", [TWO, THREE]),
        ("0,7,1", [ONE]),
        ("0,0", [ONE]),
        ("GPU-cccc-3,GPU-aaaa-1", [THREE, ONE]),
        ("GPU-c", [THREE]),
        ("GPU-aa", []),
        ("NoDevFiles", []),
    ],
)
def test_visible_devices_are_honoured(visible: str | None, expected: list[Gpu]) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    assert discover_gpus(driver=HOST, environment=environment) == expected


def test_no_driver_is_no_gpu() -> None:
    assert discover_gpus(driver=BARE, environment={}) == []


def test_each_slot_gets_one_gpu_in_turn() -> None:
    assert [assign(slot, ["a", "b"], slots=3) for slot in range(3)] == [("a",), ("b",), ("a",)]
    assert assign(0, [], slots=3) == ()


def test_fewer_slots_than_gpus_have_several_each() -> None:
    assert [assign(slot, ["a", "b", "c"], slots=2) for slot in range(2)] == [("a", "c"), ("b",)]


def test_memory_is_asked_of_each_gpu_of_a_slot() -> None:
    [first, second] = ask_memory(10 << 30, uuids=[ONE.uuid, THREE.uuid], driver=HOST)
    assert (first.name, first.amount, first.capacity) == (ONE.uuid, 10 << 10, 80 << 10)
    assert (second.capacity, second.free) == (24 << 10, 12 << 10), "what the GPU itself says"


def test_a_slot_without_a_gpu_has_no_memory_to_give() -> None:
    [nothing] = ask_memory(1, uuids=[], driver=BARE)
    assert nothing.capacity == 0
    assert no_gpus(1) == []


def test_usage_is_asked_for_each() -> None:
    assert [used.uuid for used in gpu_usage([TWO, ONE], driver=HOST)] == [TWO.uuid, ONE.uuid]


def test_worker_takes_all_or_what_is_named() -> None:
    assert select_gpus(None, driver=HOST, environment={}) == [ONE, TWO, THREE]
    assert select_gpus("1,GPU-aaaa-1", driver=HOST, environment={}) == [TWO, ONE]
    assert select_gpus("None", driver=HOST, environment={}) == []
    assert select_gpus("none", driver=BARE, environment={}) == []


def test_operator_is_believed_where_no_driver_can_be_asked() -> None:
    gpus = select_gpus("0,3", driver=BARE, environment={})
    assert [gpu.index for gpu in gpus] == [0, 3]


@pytest.mark.parametrize(
    ("driver", "visible", "why"),
    [
        (BARE, None, "no NVIDIA driver"),
        (FakeDriver(), None, "no NVIDIA GPU"),
        (HOST, "", "CUDA_VISIBLE_DEVICES='' hides all of its 3"),
    ],
)
def test_gpu_worker_without_gpu_is_refused(
    driver: FakeDriver, visible: str | None, why: str
) -> None:
    environment = {} if visible is None else {"CUDA_VISIBLE_DEVICES": visible}
    with pytest.raises(SettingsError, match=why) as caught:
        select_gpus(None, driver=driver, environment=environment)
    assert "MLQ_GPUS=none" in caught.value.hint


def test_gpus_that_are_not_there_are_refused() -> None:
    with pytest.raises(SettingsError, match="'7'") as caught:
        select_gpus("0,7", driver=HOST, environment={})
    assert "2 (L4)" in caught.value.hint
    with pytest.raises(SettingsError, match="empty"):
        select_gpus(" , ", driver=HOST, environment={})


class FakeLibrary:
    """Stands for the module pynvml: two GPUs, of which the first is lost."""

    NVML_TEMPERATURE_GPU = 0

    class NVMLError(Exception):
        pass

    def __init__(self, *, has_driver: bool = True) -> None:
        self.has_driver = has_driver
        self.opened = 0

    def nvmlInit(self) -> None:
        if not self.has_driver:
            raise self.NVMLError("Driver Not Loaded")
        self.opened += 1

    def nvmlShutdown(self) -> None:
        self.opened -= 1

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        if index == 0:
            raise self.NVMLError("GPU is lost")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:
        if uuid != "GPU-1":
            raise self.NVMLError("Not Found")
        return 1

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetName(self, handle: int) -> str:
        return "H100"

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> Any:
        return SimpleNamespace(total=80, used=20)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> Any:
        return SimpleNamespace(gpu=75, memory=10)

    def nvmlDeviceGetTemperature(self, handle: int, sensor: int) -> int:
        raise self.NVMLError("Not Supported")

    def nvmlDeviceGetPowerUsage(self, handle: int) -> int:
        return 250_500


def test_nvidia_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    library = FakeLibrary()
    monkeypatch.setitem(sys.modules, "pynvml", library)
    driver = NvidiaDriver()
    gpu = Gpu(1, "GPU-1", "H100", 80)
    assert driver.gpus() == [gpu]
    assert driver.usage(gpu) == GpuUsage("GPU-1", 20, 0.75, None, 250.5)
    assert driver.usage(ONE) == GpuUsage(ONE.uuid, None, None, None, None)
    assert library.opened == 0


def test_nvidia_driver_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    for library in (FakeLibrary(has_driver=False), None):  # None: the package is not installed
        monkeypatch.setitem(sys.modules, "pynvml", library)
        assert NvidiaDriver().gpus() is None
        assert NvidiaDriver().usage(ONE).memory_used_bytes is None


def test_module_prints_json() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mlq_workers.gpus"], check=True, capture_output=True, text=True
    )
    for gpu in json.loads(done.stdout):
        assert gpu["uuid"].startswith("GPU-")
        assert gpu["memory_bytes"] > 0
