"""Progress and summary of a download count its bytes, and the files of earlier runs."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.sources import transfer_statistics as module
from pipeline.sources.transfer_statistics import TransferStatistics


def test_bytes_of_all_threads_are_counted() -> None:
    statistics = TransferStatistics()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(statistics.add, [3] * 1000))
    assert statistics.received == 3000
    assert statistics.rate == 3000 / module.WINDOW


def test_the_rate_covers_the_last_seconds_only(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    statistics = TransferStatistics()
    assert statistics.status() == ""
    statistics.add(50_000_000)
    assert statistics.status() == "50.0 MB, 10.0 MB/s"
    now = 200.0
    statistics.add(1_000_000)
    assert statistics.status() == "51.0 MB, 0.2 MB/s"
    assert len(statistics._recent) == 1  # memory does not grow with the download


def test_the_summary_counts_transferred_bytes_and_reused_files() -> None:
    statistics = TransferStatistics()
    statistics.add(1_500_000)
    statistics.add_reused()
    assert statistics.summary() == " (1.5 MB transferred, 1 files reused)"
