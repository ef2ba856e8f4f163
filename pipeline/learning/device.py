"""Where a network runs, and in which arithmetic."""

import ctypes
import os
import platform
from dataclasses import dataclass
from typing import Literal

import torch

from pipeline.core.errors import PipelineError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Arithmetic = Literal["fp32", "bf16", "fp16"]
Precision = Literal["auto", "fp32", "bf16", "fp16"]


@dataclass(frozen=True)
class Device:
    """A device and the arithmetic in which a network runs there."""

    name: Literal["cpu", "cuda", "mps"]
    arithmetic: Arithmetic
    """Of the network's own layers; weights, losses and scores are fp32."""

    @property
    def precision(self) -> Literal["bf16-mixed", "16-mixed", "32-true"]:
        """Lightning's name of the arithmetic."""
        return {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[self.arithmetic]  # type: ignore[return-value]

    @property
    def memory_format(self) -> torch.memory_format:
        """The order of a picture's values in memory."""
        return torch.contiguous_format if self.arithmetic == "fp32" and self.name != "cuda" else torch.channels_last

    def autocast(self) -> torch.autocast:
        """The context in which a network is applied."""
        kind = torch.float16 if self.arithmetic == "fp16" else torch.bfloat16
        return torch.autocast(self.name, kind, enabled=self.arithmetic != "fp32")


def choose(wanted: DeviceName, precision: Precision = "auto", key: str = "train.device") -> Device:
    """The device to use: CUDA when present, else the processor; Apple's GPU only when asked for.

    Args:
        wanted: the device.
        precision: `auto` is bf16 where the device multiplies it in hardware, else fp16 on CUDA and fp32 elsewhere.
        key: the param that names the device.

    Raises:
        PipelineError: the wanted device is not there, or cannot do the arithmetic.
    """
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if wanted == "auto":
        wanted = "cuda" if there["cuda"] else "cpu"
    if not there[wanted]:
        present = ", ".join(name for name, is_there in there.items() if is_there)
        raise PipelineError(f"{key} is {wanted!r}, which is not on this machine; here: auto, {present}")
    if precision == "fp16" and wanted != "cuda":
        raise PipelineError(
            f"train.precision is fp16, which needs CUDA and its gradient scaler; {wanted} has fp32, bf16"
        )
    if precision == "auto":
        precision = "bf16" if _has_bf16(wanted) else "fp16" if wanted == "cuda" else "fp32"
    return Device(wanted, precision)


def choose_for(wanted: DeviceName, trained: Arithmetic | None) -> Device:
    """The device on which to apply a network that was trained in this arithmetic.

    The same arithmetic, or fp32 where the device does not have it; `auto` of the device for a model that names none.

    Raises:
        PipelineError: the wanted device is not there.
    """
    device = choose(wanted, key="evaluate.device")
    if trained is None or trained == device.arithmetic:
        return device
    there = trained == "fp32" or (device.name == "cuda" if trained == "fp16" else _has_bf16(device.name))
    return Device(device.name, trained if there else "fp32")


def keep_freed_memory() -> None:
    """Let this process keep what it frees, for the next step needs just as much.

    By default glibc hands each large block back to the system, which clears and maps it anew for every layer of every
    step: U-Net with ResNet18 at 512 px, in 32 bits on two cores, learns 0.4 chips a second that way and 0.7 this way.
    """
    if platform.libc_ver()[0] == "glibc":
        libc, trim_threshold, mmap_max = ctypes.CDLL(None), -1, -4  # numbers from malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


@dataclass(frozen=True)
class Hardware:
    """What of this machine and its libraries decides how sums are rounded."""

    architecture: str
    """Of the CPU: `x86_64`, …"""
    cpu: tuple[str, ...]
    """What of its instructions PyTorch uses, and what oneDNN may."""
    threads: int
    gpu: tuple[str, ...] = ()
    """Model, compute capability, versions of CUDA and cuDNN; empty without CUDA."""

    def rounding(self, device: Device) -> tuple[str, ...]:
        """What of it decides on `device`: a GPU computes the same beside any CPU and any number of threads."""
        if device.name == "cuda":
            return (device.name, device.arithmetic, *self.gpu)
        if device.name == "mps":
            return device.name, device.arithmetic, self.architecture
        return device.name, device.arithmetic, self.architecture, str(self.threads), *self.cpu


def hardware() -> Hardware:
    """Of this machine, as this process sees it."""
    features = [f"{name}={has}" for name, has in sorted(torch.cpu.get_capabilities().items())]
    allowed = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    cpu = (torch.backends.cpu.get_cpu_capability(), allowed, *features)
    return Hardware(platform.machine(), cpu, torch.get_num_threads(), _gpu() if torch.cuda.is_available() else ())


def _gpu() -> tuple[str, ...]:
    capability = "{}.{}".format(*torch.cuda.get_device_capability())
    return torch.cuda.get_device_name(), capability, str(torch.version.cuda), str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]


def _has_bf16(name: str) -> bool:
    if name == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if name == "mps":
        return False
    has = torch.cpu.get_capabilities()
    return any(bool(has.get(feature)) for feature in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))


def reading_workers(wanted: int | Literal["auto"], device: Device, processes: int = 1) -> int:
    """Processes that read chips for each that trains: for GPUs as many as there are cores to spare; else none.

    Reading a chip takes a hundredth of a training step on a processor, and the network uses every core.
    """
    if wanted != "auto":
        return wanted
    return min(8, max(1, (os.cpu_count() or 1) // processes - 1)) if device.name == "cuda" else 0
