import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.core.cpus import available_cpus
from pipeline.core.errors import PipelineError
from pipeline.core.parallel import parallel_map


def test_results_keep_the_order_of_the_items() -> None:
    second_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(timeout=30)
        else:
            second_done.set()
        return item * 10

    assert list(parallel_map(work, [0, 1])) == [0, 10]


def test_the_first_error_is_raised_and_pending_items_are_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, cancelled, shutdown = [], threading.Event(), ThreadPoolExecutor.shutdown

    def cancel(pool: ThreadPoolExecutor, wait: bool, cancel_futures: bool = False) -> None:
        shutdown(pool, wait=False, cancel_futures=cancel_futures)
        cancelled.set()
        shutdown(pool, wait=wait)

    def work(item: int) -> int:
        started.append(item)
        if item in (1, 3):
            raise PipelineError(f"item {item}")
        if item > 1:
            assert cancelled.wait(timeout=30)
        return item

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", cancel)
    results = parallel_map(work, range(1000))
    assert next(results) == 0
    with pytest.raises(PipelineError, match="item 1"):
        list(results)
    assert len(started) <= 3 + available_cpus()
