"""The processors of this process."""

import os


def available_cpus() -> int:
    """Return how many CPUs this process may use: those of its affinity mask, as SLURM and `taskset` set it.

    `os.cpu_count` counts all of the machine. Without an affinity mask, as on macOS, it has to do.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
