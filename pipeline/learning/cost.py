"""What a run cost and what it ran on: figures that differ each time, kept apart from those that repeat."""

import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import torch

from pipeline.learning.device import Device
from pipeline.learning.fit import Epoch

PACKAGES = ("torch", "lightning", "segmentation-models-pytorch", "timm", "numpy")


def cost(device: Device, devices: int, epochs: Sequence[Epoch], chips: int) -> dict[str, Any]:
    """A run's account.

    Args:
        device: where it ran.
        devices: how many of them trained together.
        epochs: with their seconds, of training and validation.
        chips: that went through the network in each epoch.
    """
    seconds = [epoch.seconds for epoch in epochs]
    return {
        "seconds": round(sum(seconds), 1),
        "seconds_per_epoch": round(sum(seconds) / len(seconds), 2),
        "chips_per_second": round(chips * len(seconds) / sum(seconds), 2),
        "peak_memory_mb": round(_peak_memory(device) / 1e6),
        "device": torch.cuda.get_device_name() if device.name == "cuda" else device.name,
        "devices": devices,
        "precision": device.precision,
        "threads": torch.get_num_threads(),
        "cores": os.cpu_count(),
        "machine": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": {name: version(name) for name in PACKAGES},
        "revision": revision(),
    }


def revision() -> str | None:
    """The commit that is checked out; None outside a git repository."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def _peak_memory(device: Device) -> int:
    """Bytes: of the GPU's memory on CUDA, else resident memory of this process."""
    if device.name == "cuda":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # macOS counts bytes, Linux kilobytes
