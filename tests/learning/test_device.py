"""The device and precision that params.yaml and the hardware ask for are used, and others refused."""

import inspect
import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.learning.device import (
    Device,
    DeviceName,
    Precision,
    allow_tf32,
    keep_freed_memory,
    loader_workers,
    memory_problem,
    rounding,
    select_device,
    select_scoring_device,
)

CPU, CUDA = Device("cpu", "fp32"), Device("cuda", "bf16")


def machine(patch: pytest.MonkeyPatch, cuda: bool = False, mps: bool = False, **features: bool) -> None:
    """Pretend to be on a machine with these GPUs and features of the CPU."""
    patch.setattr(torch.cuda, "is_available", lambda: cuda)
    patch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: not including_emulation)
    patch.setattr(torch.backends.mps, "is_available", lambda: mps)
    patch.setattr(torch.cpu, "get_capabilities", lambda: features)


def test_auto_is_cuda_where_there_is_one_and_apples_gpu_only_if_named(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, cuda=True)
    assert (select_device("auto"), select_device("cpu")) == (CUDA, CPU)
    machine(monkeypatch, mps=True)
    assert (select_device("auto"), select_device("mps")) == (CPU, Device("mps", "fp32"))


@pytest.mark.parametrize("wanted", ["cuda", "mps"])
def test_an_unavailable_device_is_refused_with_the_available_ones(
    monkeypatch: pytest.MonkeyPatch, wanted: DeviceName
) -> None:
    machine(monkeypatch)
    with pytest.raises(
        PipelineError, match=rf"^train.device is '{wanted}', which this machine does not have; available: auto, cpu$"
    ):
        select_device(wanted)


@pytest.mark.parametrize(
    ("feature", "trained", "used"),
    [
        ("avx512_bf16", "fp32", "fp32"),
        ("avx512_bf16", "bf16", "bf16"),
        ("avx2", "bf16", "fp32"),
        ("avx512_bf16", "fp16", "fp32"),
    ],
)
def test_bf16_is_used_where_the_cpu_supports_it_and_the_training_did_not_use_fp32(
    monkeypatch: pytest.MonkeyPatch, feature: str, trained: Precision, used: Precision
) -> None:
    machine(monkeypatch, **{feature: True})
    assert select_scoring_device("cpu", trained) == Device("cpu", used)


def test_rounding_depends_on_the_gpu_alone_or_on_cpu_and_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, avx2=True)
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 8)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "H100")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (9, 0))
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "max")
    libraries = str(torch.version.cuda), str(torch.backends.cudnn.version())  # type: ignore[no-untyped-call]
    assert rounding(CUDA) == ("cuda", "bf16", "H100", "9.0", *libraries)
    assert rounding(CPU) == ("cpu", "fp32", platform.machine(), "8", "AVX2", "max", "avx2=True")
    assert rounding(Device("mps", "fp32")) == ("mps", "fp32", platform.machine())


def test_older_pytorch_that_knows_no_features_of_the_cpu_computes_in_fp32(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch)
    monkeypatch.delattr(torch.cpu, "get_capabilities")
    assert select_device("auto") == CPU
    assert select_scoring_device("cpu", "bf16") == CPU
    threads, capability = str(torch.get_num_threads()), torch.backends.cpu.get_cpu_capability()
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    assert rounding(CPU) == ("cpu", "fp32", platform.machine(), threads, capability, isa)


@pytest.fixture
def without_tf32() -> Iterator[None]:
    """Forbid TF32 for one test; pytest's `monkeypatch` would try to delete these flags afterwards."""
    matmul, cudnn = torch.backends.cuda.matmul, torch.backends.cudnn
    before = matmul.allow_tf32, cudnn.allow_tf32
    matmul.allow_tf32 = cudnn.allow_tf32 = False
    yield
    matmul.allow_tf32, cudnn.allow_tf32 = before


def test_tf32_is_allowed_on_cuda_alone(without_tf32: None) -> None:
    mkldnn = torch.backends.mkldnn
    before = [op.fp32_precision for op in (mkldnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)]
    allow_tf32()
    assert torch.backends.cuda.matmul.fp32_precision == torch.backends.cudnn.conv.fp32_precision == "tf32"
    # raises an error if PyTorch's two ways to set it contradict each other
    assert torch.get_float32_matmul_precision() == "high"
    assert [op.fp32_precision for op in (mkldnn, mkldnn.matmul, mkldnn.conv, mkldnn.rnn)] == before


def test_auto_workers_are_none_on_a_cpu_and_spare_cores_for_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    for cpus, workers in ((4, 3), (64, 63), (1, 1)):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _, cpus=cpus: set(range(cpus)), raising=False)
        assert (loader_workers("auto", CUDA), loader_workers("auto", CPU)) == (workers, 0)
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


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MemoryError(), "out of memory"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate"), "out of memory"),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate(handle)"), "out of memory"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"),
            "out of memory",
        ),
        (
            RuntimeError("GET was unable to find an engine to execute this computation"),
            "CUDA's libraries failed (GET was unable to find an engine), which usually means that the GPU's memory is "
            "full",
        ),
        (RuntimeError("worker is killed: workers are out of shared memory."), None),
        (OSError("out of memory"), None),
    ],
)
def test_errors_that_mean_full_memory(error: Exception, found: str | None) -> None:
    assert memory_problem(error) == found
