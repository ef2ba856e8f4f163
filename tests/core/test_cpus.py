"""Only CPUs that the process may use count, and all threads share one pool."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.core.cpus import available_cpus, cpu_pool

COUNT = "import os; os.sched_setaffinity(0, {CPU}); from pipeline.core.cpus import *; print(available_cpus())"


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity masks")
def test_cpus_outside_the_affinity_mask_do_not_count() -> None:
    one = min(os.sched_getaffinity(0))
    command = [sys.executable, "-c", COUNT.replace("CPU", str(one))]
    assert subprocess.run(command, check=True, capture_output=True, text=True).stdout == "1\n"


def test_without_affinity_masks_all_cpus_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 7)
    assert available_cpus() == 7
    monkeypatch.setattr(os, "cpu_count", lambda: None)
    assert available_cpus() == 1


def test_all_threads_share_one_pool() -> None:
    with ThreadPoolExecutor(3) as callers:
        assert set(callers.map(lambda _: cpu_pool(), range(9))) == {cpu_pool()}
