"""The GPUs of this host, and which one a slot gets.

`python -m mlq_workers.gpus` prints what is found, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, Protocol

from mlq.db import limits
from mlq.db.limits import Demand
from mlq.errors import SettingsError

#: MLQ_GPUS with this value: a worker of a GPU queue that knowingly has none (a rehearsal).
NO_GPUS = "none"
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU. index: its place in PCI order, as nvidia-smi counts; memory_bytes: in all."""

    index: int
    uuid: str
    name: str
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class GpuUsage:
    """What a GPU is doing now. utilization: share of the last moments, 0 to 1.

    None where the device does not tell.
    """

    uuid: str
    memory_used_bytes: int | None
    utilization: float | None
    temperature_c: float | None
    power_w: float | None


class Driver(Protocol):
    """Where GPUs are looked up."""

    def gpus(self) -> list[Gpu] | None:
        """All GPUs by index; None where there is no driver to ask."""

    def usage(self, gpu: Gpu) -> GpuUsage:
        """What `gpu` is doing now."""


class NvidiaDriver:
    """NVIDIA's management library. It tolerates that there is none."""

    def gpus(self) -> list[Gpu] | None:
        """All GPUs by index; None where the library or the kernel's driver is missing."""
        nvml = _open_nvml()
        if nvml is None:
            return None
        try:
            found = []
            for index in range(nvml.nvmlDeviceGetCount()):
                gpu = _answer(nvml, partial(_describe, nvml, index))
                if gpu is not None:  # else it fell off the bus
                    found.append(gpu)
            return found
        finally:
            nvml.nvmlShutdown()

    def usage(self, gpu: Gpu) -> GpuUsage:
        """What `gpu` is doing now; all None where the driver has gone."""
        nvml = _open_nvml()
        if nvml is None:
            return GpuUsage(gpu.uuid, None, None, None, None)
        try:
            handle = _answer(nvml, lambda: nvml.nvmlDeviceGetHandleByUUID(gpu.uuid))
            if handle is None:
                return GpuUsage(gpu.uuid, None, None, None, None)
            memory = _answer(nvml, lambda: nvml.nvmlDeviceGetMemoryInfo(handle))
            rates = _answer(nvml, lambda: nvml.nvmlDeviceGetUtilizationRates(handle))
            celsius = _answer(
                nvml,
                lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
            )
            milliwatts = _answer(nvml, lambda: nvml.nvmlDeviceGetPowerUsage(handle))
            return GpuUsage(
                gpu.uuid,
                None if memory is None else int(memory.used),
                None if rates is None else rates.gpu / 100,
                None if celsius is None else float(celsius),
                None if milliwatts is None else milliwatts / 1000,
            )
        finally:
            nvml.nvmlShutdown()


_NVIDIA = NvidiaDriver()


def discover_gpus(
    *, driver: Driver = _NVIDIA, environment: Mapping[str, str] = os.environ
) -> list[Gpu]:
    """The GPUs that this process may use, in the order in which it may use them.

    CUDA_VISIBLE_DEVICES is honoured: indices (in PCI order) or UUIDs, from the first on that does
    not exist the rest is ignored, as CUDA does it.
    """
    gpus = driver.gpus() or []
    visible = environment.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return gpus
    chosen: list[Gpu] = []
    for word in visible.split(","):
        gpu = _find(word, gpus)
        if gpu is None or gpu in chosen:
            break
        chosen.append(gpu)
    return chosen


def select_gpus(
    setting: str | None,
    *,
    driver: Driver = _NVIDIA,
    environment: Mapping[str, str] = os.environ,
) -> list[Gpu]:
    """The GPUs for a worker that serves a GPU queue.

    setting: MLQ_GPUS. None takes every GPU there is and insists on one; "none" is a worker without;
    "0,1" or UUIDs name them, and are believed where no driver can be asked.
    Raises SettingsError, with what to do.
    """
    if setting is not None and setting.strip().lower() == NO_GPUS:
        return []
    if setting is None:
        gpus = discover_gpus(driver=driver, environment=environment)
        if not gpus:
            raise SettingsError(
                f"This worker serves a GPU queue, but {_why_none(driver, environment)}.",
                code="no_gpu",
                hint="Check that `nvidia-smi` works here; set MLQ_GPUS=0,1 to name the GPUs, or "
                "MLQ_GPUS=none to run GPU jobs without one.",
            )
        return gpus
    words = [word.strip() for word in setting.split(",") if word.strip()]
    if not words:
        raise SettingsError(
            "MLQ_GPUS is empty.", hint='Use indices or UUIDs such as "0,1", or "none".'
        )
    known = driver.gpus()
    if known is None:
        return [
            Gpu(int(word) if word.isdigit() else place, word, "unknown", 0)
            for place, word in enumerate(words)
        ]
    chosen = []
    for word in words:
        gpu = _find(word, known)
        if gpu is None:
            there = ", ".join(f"{gpu.index} ({gpu.name})" for gpu in known) or "none"
            raise SettingsError(
                f"MLQ_GPUS names the GPU {word!r}, which this host does not have.",
                hint=f"It has: {there}.",
            )
        chosen.append(gpu)
    return chosen


def assign(slot: int, uuids: Sequence[str], *, slots: int) -> tuple[str, ...]:
    """What CUDA_VISIBLE_DEVICES is for `slot` (from 0) of `slots`; () without any GPU.

    Each slot has one GPU, in turn, or several where there are more GPUs than slots. UUIDs, because
    indices mean different GPUs to CUDA and to nvidia-smi.
    """
    if not uuids:
        return ()
    return tuple(uuids[slot::slots]) if slots < len(uuids) else (uuids[slot % len(uuids)],)


def ask_memory(
    memory_bytes: int, *, uuids: Sequence[str], driver: Driver = _NVIDIA
) -> list[Demand]:
    """What a step would hold that asks for `memory_bytes` of each GPU of its slot.

    The capacity is all of a GPU's memory, for what steps have asked for; what the GPU itself says
    is free counts too, since others may use it. A slot without a GPU has no room for it.
    """
    wanted = -(-memory_bytes // _MIB)
    if not uuids:
        return [Demand(limits.GPU, NO_GPUS, wanted, capacity=0)]
    known = {gpu.uuid: gpu for gpu in driver.gpus() or []}
    demands = []
    for uuid in uuids:
        gpu = _find(uuid, list(known.values()))
        used = driver.usage(gpu).memory_used_bytes if gpu is not None else None
        demands.append(
            Demand(
                limits.GPU,
                gpu.uuid if gpu is not None else uuid,
                wanted,
                capacity=gpu.memory_bytes // _MIB if gpu is not None else 0,
                free=None if gpu is None or used is None else (gpu.memory_bytes - used) // _MIB,
            )
        )
    return demands


def no_gpus(memory_bytes: int) -> list[Demand]:
    """Of a worker that knowingly has none: a rehearsal holds nothing."""
    return []


def gpu_usage(gpus: Sequence[Gpu], *, driver: Driver = _NVIDIA) -> list[GpuUsage]:
    """What each of `gpus` is doing now."""
    return [driver.usage(gpu) for gpu in gpus]


def ask_use(uuids: Sequence[str], *, driver: Driver = _NVIDIA) -> tuple[float | None, int | None]:
    """Mean utilization (0 to 1) and used bytes of some GPUs; None where they do not tell."""
    told = gpu_usage([gpu for gpu in driver.gpus() or [] if gpu.uuid in uuids], driver=driver)
    busy = [one.utilization for one in told if one.utilization is not None]
    used = [one.memory_used_bytes for one in told if one.memory_used_bytes is not None]
    return sum(busy) / len(busy) if busy else None, sum(used) if used else None


def _find(word: str, gpus: Sequence[Gpu]) -> Gpu | None:
    """The GPU of an index, a UUID or the beginning of one."""
    word = word.strip()
    if word.isdigit():
        return next((gpu for gpu in gpus if gpu.index == int(word)), None)
    found = [gpu for gpu in gpus if word.startswith("GPU-") and gpu.uuid.startswith(word)]
    return found[0] if len(found) == 1 else None


def _why_none(driver: Driver, environment: Mapping[str, str]) -> str:
    gpus = driver.gpus()
    if gpus is None:
        return "there is no NVIDIA driver here"
    if not gpus:
        return "this host has no NVIDIA GPU"
    visible = environment.get("CUDA_VISIBLE_DEVICES", "")
    return f"CUDA_VISIBLE_DEVICES={visible!r} hides all of its {len(gpus)}"


def _open_nvml() -> Any:
    """The library, initialised; None where it or the driver is missing. The caller shuts it down.

    Opened for each question: a handle kept over a fork is of no use to the child.
    """
    try:
        import pynvml
    except ImportError:
        return None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    return pynvml


def _describe(nvml: Any, index: int) -> Gpu:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory_bytes = int(nvml.nvmlDeviceGetMemoryInfo(handle).total)
    return Gpu(index, nvml.nvmlDeviceGetUUID(handle), nvml.nvmlDeviceGetName(handle), memory_bytes)


def _answer(nvml: Any, question: Callable[[], Any]) -> Any:
    """What the driver says; None where the device is lost or does not support the question."""
    try:
        return question()
    except nvml.NVMLError:
        return None


def main() -> None:
    """Print the GPUs that this process may use, and what they are doing, as JSON."""
    gpus = discover_gpus()
    usage = gpu_usage(gpus)
    record = [asdict(gpu) | asdict(used) for gpu, used in zip(gpus, usage, strict=True)]
    json.dump(record, sys.stdout, indent=2)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()
