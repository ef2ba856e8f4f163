import inspect
import os
import platform
import subprocess
import sys

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.learning.device import (
    Device,
    Hardware,
    Precision,
    hardware,
    keep_freed_memory,
    loader_workers,
    select_device,
    select_scoring_device,
)

CPU, CUDA = Device("cpu", "fp32"), Device("cuda", "bf16")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch, no_gpu: None) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_without_a_gpu_auto_is_the_cpu(no_gpu: None) -> None:
    assert select_device("auto").name == "cpu"


def test_with_cuda_auto_is_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert select_device("auto") == Device("cuda", "bf16")
    assert select_device("cpu").name == "cpu"


def test_apples_gpu_is_used_only_if_named(apple: None) -> None:
    assert select_device("auto").name == "cpu"
    assert select_device("mps") == Device("mps", "fp32")


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_an_unavailable_device_is_refused_with_the_available_ones(wanted: str, no_gpu: None) -> None:
    with pytest.raises(
        PipelineError, match=rf"^train.device is '{wanted}', which this machine does not have; available: auto, cpu$"
    ):
        select_device(wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "bf16"),
    [({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"bf16": False}, False)],
)
def test_bf16_is_used_where_the_cpu_supports_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], bf16: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert select_device("cpu") == Device("cpu", "bf16" if bf16 else "fp32")


@pytest.mark.parametrize(
    ("trained", "features", "scored"),
    [
        ("fp32", {"avx512_bf16": True}, "fp32"),
        ("bf16", {"avx512_bf16": True}, "bf16"),
        ("bf16", {"avx2": True}, "fp32"),
        ("fp16", {"avx512_bf16": True}, "fp32"),
        (None, {"avx512_bf16": True}, "bf16"),
        (None, {"avx2": True}, "fp32"),
    ],
)
def test_a_network_is_scored_as_it_was_trained_or_in_fp32(
    monkeypatch: pytest.MonkeyPatch, trained: Precision | None, features: dict[str, bool], scored: Precision
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert select_scoring_device("cpu", trained) == Device("cpu", scored)


def test_rounding_depends_on_the_gpu_alone_or_on_cpu_and_threads() -> None:
    machine = Hardware("x86_64", ("AVX2", "max"), 8, ("H100", "9.0", "13.0", "9.1"))
    assert machine.rounding(Device("cuda", "bf16")) == ("cuda", "bf16", "H100", "9.0", "13.0", "9.1")
    assert machine.rounding(CPU) == ("cpu", "fp32", "x86_64", "8", "AVX2", "max")
    assert machine.rounding(Device("mps", "fp32")) == ("mps", "fp32", "x86_64")


def test_hardware_of_this_process(no_gpu: None) -> None:
    here = hardware()
    assert (here.architecture, here.threads, here.gpu) == (platform.machine(), torch.get_num_threads(), ())
    assert here.cpu[0] == torch.backends.cpu.get_cpu_capability()


def test_bf16_uses_channels_last_and_fp32_does_not() -> None:
    assert (CUDA.lightning_precision, CUDA.memory_format) == ("bf16-mixed", torch.channels_last)
    assert (CPU.lightning_precision, CPU.memory_format) == ("32-true", torch.contiguous_format)


@pytest.mark.parametrize(("bf16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_autocast_computes_in_the_precision_of_the_device(bf16: bool, dtype: torch.dtype) -> None:
    with Device("cpu", "bf16" if bf16 else "fp32").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_auto_workers_are_none_on_a_cpu_and_spare_cores_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert loader_workers("auto", CPU) == 0
    assert loader_workers("auto", CUDA) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert loader_workers("auto", CUDA) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert loader_workers("auto", CUDA) == 1


def test_a_number_of_workers_is_kept() -> None:
    assert (loader_workers(0, CUDA), loader_workers(5, CPU)) == (0, 5)


FREED_AND_KEPT = """
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
keep_freed_memory()
block = libc.malloc(64 << 20)
ctypes.memset(block, 1, 64 << 20)
full = resident()
libc.free(block)
print(full - resident() < 8 << 20)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc returns large blocks at once")
def test_freed_memory_is_kept() -> None:
    program = f"import ctypes, platform\n{inspect.getsource(keep_freed_memory)}{FREED_AND_KEPT}"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "True\n"
