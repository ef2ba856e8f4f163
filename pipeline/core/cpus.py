"""The processors of this process."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache


def available_cpus() -> int:
    """Return how many CPUs this process may use: those of its affinity mask, as SLURM and `taskset` set it.

    `os.cpu_count` counts all of the machine. Without an affinity mask, as on macOS, it has to do.
    """
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@cache
def cpu_pool() -> ThreadPoolExecutor:
    """Return the pool, of one thread a CPU, that all threads of this process share for parts of their work.

    Its tasks must not wait for others of its tasks, and who submits them must bound their number.
    """
    return ThreadPoolExecutor(available_cpus(), "cpu")
