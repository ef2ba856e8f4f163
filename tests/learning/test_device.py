import inspect
import os
import platform
import subprocess
import sys

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.learning.device import (
    Arithmetic,
    Device,
    Hardware,
    choose,
    choose_for,
    hardware,
    keep_freed_memory,
    reading_workers,
)

CPU, CUDA = Device("cpu", "fp32"), Device("cuda", "bf16")


@pytest.fixture
def no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


@pytest.fixture
def apple(monkeypatch: pytest.MonkeyPatch, no_gpu: None) -> None:
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)


def test_without_a_gpu_the_processor_is_chosen(no_gpu: None) -> None:
    assert choose("auto").name == "cpu"


def test_cuda_is_chosen_when_present(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    assert choose("auto") == Device("cuda", "bf16")
    assert choose("cpu").name == "cpu"


def test_apples_gpu_is_used_only_when_asked_for(apple: None) -> None:
    assert choose("auto").name == "cpu"
    assert choose("mps") == Device("mps", "fp32")


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused_with_those_that_are(wanted: str, no_gpu: None) -> None:
    with pytest.raises(
        PipelineError, match=rf"^train.device is '{wanted}', which is not on this machine; here: auto, cpu$"
    ):
        choose(wanted)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "bf16"),
    [({"avx2": True}, False), ({"avx512_bf16": True}, True), ({"amx_bf16": True}, True), ({"bf16": False}, False)],
)
def test_bf16_is_used_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, features: dict[str, bool], bf16: bool
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert choose("cpu") == Device("cpu", "bf16" if bf16 else "fp32")


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
    monkeypatch: pytest.MonkeyPatch, trained: Arithmetic | None, features: dict[str, bool], scored: Arithmetic
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features)
    assert choose_for("cpu", trained) == Device("cpu", scored)


def test_what_rounds_is_the_gpu_alone_or_the_cpu_with_its_threads() -> None:
    machine = Hardware("x86_64", ("AVX2", "max"), 8, ("H100", "9.0", "13.0", "9.1"))
    assert machine.rounding(Device("cuda", "bf16")) == ("cuda", "bf16", "H100", "9.0", "13.0", "9.1")
    assert machine.rounding(CPU) == ("cpu", "fp32", "x86_64", "8", "AVX2", "max")
    assert machine.rounding(Device("mps", "fp32")) == ("mps", "fp32", "x86_64")


def test_the_hardware_is_that_of_this_process(no_gpu: None) -> None:
    here = hardware()
    assert (here.architecture, here.threads, here.gpu) == (platform.machine(), torch.get_num_threads(), ())
    assert here.cpu[0] == torch.backends.cpu.get_cpu_capability()


def test_bf16_comes_with_channels_last_and_fp32_without() -> None:
    assert (CUDA.precision, CUDA.memory_format) == ("bf16-mixed", torch.channels_last)
    assert (CPU.precision, CPU.memory_format) == ("32-true", torch.contiguous_format)


@pytest.mark.parametrize(("bf16", "kind"), [(True, torch.bfloat16), (False, torch.float32)])
def test_networks_are_applied_in_that_arithmetic(bf16: bool, kind: torch.dtype) -> None:
    with Device("cpu", "bf16" if bf16 else "fp32").autocast():
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == kind


def test_a_processor_reads_by_itself_and_a_gpu_has_readers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert reading_workers("auto", CPU) == 0
    assert reading_workers("auto", CUDA) == 3
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert reading_workers("auto", CUDA) == 8
    monkeypatch.setattr(os, "cpu_count", lambda: 1)
    assert reading_workers("auto", CUDA) == 1


def test_a_number_of_workers_is_taken_at_its_word() -> None:
    assert (reading_workers(0, CUDA), reading_workers(5, CPU)) == (0, 5)


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


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc hands each large block back")
def test_what_is_freed_is_kept() -> None:
    program = f"import ctypes, platform\n{inspect.getsource(keep_freed_memory)}{FREED_AND_KEPT}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ended.stdout == "True\n"
