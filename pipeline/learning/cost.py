"""Time, memory and environment of a training: numbers that differ between runs, kept apart from those that repeat."""

import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from pipeline.core.cpus import available_cpus
from pipeline.core.files import visible_files
from pipeline.learning.device import Device
from pipeline.learning.fit import Epoch

PACKAGES = ("torch", "torchvision", "lightning", "segmentation-models-pytorch", "timm", "numpy")


def cost(device: Device, devices: int, epochs: Sequence[Epoch], chips: int, model: Path) -> dict[str, Any]:
    """Return the content of `metrics/cost.json`; MB are 10^6 bytes.

    Args:
        device: where the training ran.
        devices: how many devices trained together.
        epochs: all epochs.
        chips: training and validation chips per epoch.
        model: the folder that the training wrote.
    """
    seconds = [epoch.seconds for epoch in epochs]
    return {
        "seconds": round(sum(seconds), 1),
        "seconds_per_epoch": round(sum(seconds) / len(seconds), 2),
        "chips_per_second": round(chips * len(seconds) / sum(seconds), 2),
        "peak_memory_mb": round(_peak_memory(device) / 1e6),
        "model_mb": round(sum(path.stat().st_size for path in visible_files(model)) / 1e6, 1),
        "device": torch.cuda.get_device_name() if device.name == "cuda" else device.name,
        "devices": devices,
        "precision": device.lightning_precision,
        "threads": torch.get_num_threads(),
        "cores": available_cpus(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "revision": revision(),
    }


def revision() -> str | None:
    """Return the checked-out commit; None outside a git repository."""
    try:
        run = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


def _peak_memory(device: Device) -> int:
    """Return peak memory in bytes: of the GPU on CUDA, else resident memory of this process."""
    if device.name == "cuda":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, kilobytes on Linux
