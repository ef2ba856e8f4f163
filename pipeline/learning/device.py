"""The device a network runs on, and the precision it runs in."""

import ctypes
import os
import platform
import re
from dataclasses import dataclass
from typing import Any, Literal

import torch

from pipeline.core.cpus import available_cpus
from pipeline.core.errors import PipelineError

DeviceName = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["fp32", "bf16", "fp16"]
PrecisionName = Literal["auto", "fp32", "bf16", "fp16"]
OUT_OF_MEMORY = "out of memory"
NO_ALGORITHM = (
    r"(GET|FIND) was unable to find an engine|Unable to find a valid cuDNN algorithm|No valid engine configs"
    r"|cuDNN Frontend error: [^\n.]*|CUDNN_STATUS_(NOT_SUPPORTED|EXECUTION_FAILED|INTERNAL_ERROR|NOT_INITIALIZED)\w*"
    r"|CUBLAS_STATUS_(NOT_INITIALIZED|EXECUTION_FAILED)"
)
"""What torch 2.11 to 2.14 raise, as a RuntimeError, where no algorithm of cuDNN or cuBLAS gets the memory it needs."""


@dataclass(frozen=True)
class Device:
    """A device and the precision of the network on it."""

    name: Literal["cpu", "cuda", "mps"]
    precision: Precision
    """Of the network's layers; weights, losses and scores are fp32."""

    @property
    def lightning_precision(self) -> Literal["bf16-mixed", "16-mixed", "32-true"]:
        """Lightning's name of the precision."""
        return {"fp32": "32-true", "bf16": "bf16-mixed", "fp16": "16-mixed"}[self.precision]  # type: ignore[return-value]

    @property
    def memory_format(self) -> torch.memory_format:
        """The fastest memory layout of images and weights."""
        return torch.contiguous_format if self.precision == "fp32" and self.name != "cuda" else torch.channels_last

    def autocast(self) -> torch.autocast:
        """Return the context in which to run a network."""
        dtype = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.name, dtype, enabled=self.precision != "fp32")


def select_device(name: DeviceName, precision: PrecisionName = "auto", key: str = "train.device") -> Device:
    """Resolve `auto`: CUDA if available, else the CPU; Apple's GPU only if named.

    Args:
        name: the device.
        precision: `auto` is bf16 where the hardware supports it, else fp16 on CUDA and fp32 elsewhere.
        key: the param that names the device, for the error.

    Raises:
        PipelineError: the device is not available, or does not support the precision.
    """
    available = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if name == "auto":
        name = "cuda" if available["cuda"] else "cpu"
    if not available[name]:
        choices = ", ".join(device for device, is_available in available.items() if is_available)
        raise PipelineError(f"{key} is {name!r}, which this machine does not have; available: auto, {choices}")
    if precision == "fp16" and name != "cuda":
        raise PipelineError(
            f"train.precision is fp16, which needs CUDA and its gradient scaler; use fp32 or bf16 on {name}"
        )
    if precision == "auto":
        precision = "bf16" if _has_bf16(name) else "fp16" if name == "cuda" else "fp32"
    return Device(name, precision)


def select_scoring_device(name: DeviceName, trained: Precision, key: str = "evaluate.device") -> Device:
    """Return the device to run a trained network on, in the precision of training if supported there, else in fp32.

    Args:
        name: the device.
        trained: precision of the training.
        key: the param or option that names the device, for the error.

    Raises:
        PipelineError: the device is not available.
    """
    device = select_device(name, key=key)
    if trained == device.precision:
        return device
    supported = device.name == "cuda" if trained == "fp16" else _has_bf16(device.name)
    return Device(device.name, trained if supported else "fp32")


def keep_freed_memory() -> None:
    """Keep freed memory in the process: every step allocates the same blocks.

    By default glibc returns large blocks to the kernel, which zeroes and maps them anew for every layer of every
    step: U-Net with ResNet18 at 512 px, fp32 on two cores, trains 0.4 chips a second that way and 0.7 this way.
    """
    if platform.libc_ver()[0] == "glibc":
        libc, trim_threshold, mmap_max = ctypes.CDLL(None), -1, -4  # constants of malloc.h
        libc.mallopt(mmap_max, 0)
        libc.mallopt(trim_threshold, 2**31 - 1)


def allow_tf32() -> None:
    """Let CUDA round the factors of fp32 matrix products and convolutions to TF32, for its tensor cores.

    TF32 has fp32's range (8 bits of exponent) and fp16's precision (10 bits of mantissa): a factor is off by up to
    2^-11, 0.05 %, instead of 2^-24. Weights, sums and results stay fp32, layers in bf16 or fp16 stay as they are, and
    so does the CPU. GPUs before Ampere have no TF32 and ignore it. For convolutions it is PyTorch's default.

    PyTorch's newer `fp32_precision` alone makes `torch.get_float32_matmul_precision` fail, which Lightning and
    `torch.compile` call; `torch.set_float32_matmul_precision` allows TF32 on the CPU too.
    """
    torch.backends.cuda.matmul.allow_tf32 = True
    torch.backends.cudnn.allow_tf32 = True


def rounding(device: Device) -> tuple[str, ...]:
    """Return the properties of this machine and its libraries that decide how sums are rounded on a device.

    Those of a GPU do not depend on the CPU or the threads; those of a CPU on the instruction sets that PyTorch uses and
    oneDNN may use.
    """
    if device.name == "cuda":
        capability = "{}.{}".format(*torch.cuda.get_device_capability())
        libraries = str(torch.version.cuda), str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
        return device.name, device.precision, torch.cuda.get_device_name(), capability, *libraries
    if device.name == "mps":
        return device.name, device.precision, platform.machine()
    features = [f"{name}={value}" for name, value in sorted(_cpu_features().items())]
    instructions = torch.backends.cpu.get_cpu_capability(), os.environ.get("ONEDNN_MAX_CPU_ISA", ""), *features
    return device.name, device.precision, platform.machine(), str(torch.get_num_threads()), *instructions


def _has_bf16(name: str) -> bool:
    if name == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if name == "mps":
        return False
    features = _cpu_features()
    return any(bool(features.get(feature)) for feature in ("avx512_bf16", "amx_bf16", "bf16", "arm_bf16"))


def _cpu_features() -> dict[str, Any]:
    """Return what PyTorch knows of the CPU, its instruction sets above all; empty before version 2.11."""
    return dict(torch.cpu.get_capabilities()) if hasattr(torch.cpu, "get_capabilities") else {}


def gpu_count() -> int:
    """Return the number of CUDA devices."""
    return torch.cuda.device_count()


def loader_workers(workers: int | Literal["auto"], device: Device, processes: int = 1) -> int:
    """Resolve `auto` to one loader worker per spare CPU of this process for a GPU, none for the CPU.

    On a CPU, reading a chip takes a hundredth of a training step, and the network uses every core.
    """
    if workers != "auto":
        return workers
    return max(1, available_cpus() // processes - 1) if device.name == "cuda" else 0


def memory_problem(error: BaseException) -> str | None:
    """Say that memory is full, or that this is the likely reason, if an error of torch or its libraries means that."""
    if isinstance(error, MemoryError):
        return OUT_OF_MEMORY
    if not isinstance(error, RuntimeError):
        return None
    if re.search(r"out of memory|can't allocate memory|ALLOC(ATION)?_FAILED", str(error)):
        return OUT_OF_MEMORY
    # torch tries every algorithm of cuDNN, and takes one that runs out of memory for one that does not exist
    if found := re.search(NO_ALGORITHM, str(error)):
        return f"CUDA's libraries failed ({found[0]}), which usually means that the GPU's memory is full"
    return None
