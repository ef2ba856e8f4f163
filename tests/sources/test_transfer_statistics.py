from concurrent.futures import ThreadPoolExecutor

import pytest

from pipeline.sources import transfer_statistics as module
from pipeline.sources.transfer_statistics import TransferStatistics


def test_bytes_of_all_threads_are_counted() -> None:
    traffic = TransferStatistics()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(traffic.add, [3] * 1000))
    assert traffic.received == 3000
    assert traffic.rate == 3000 / module.WINDOW


def test_what_is_long_past_does_not_count_for_the_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(module.time, "monotonic", lambda: now)
    traffic = TransferStatistics()
    traffic.add(50_000_000)
    assert traffic.status() == "50.0 MB, 10.0 MB/s"
    now = 200.0
    traffic.add(1_000_000)
    assert traffic.status() == "51.0 MB, 0.2 MB/s"


def test_a_source_without_a_network_has_nothing_to_say() -> None:
    assert (TransferStatistics().status(), TransferStatistics().summary()) == ("", "")


def test_the_summary_tells_what_came_and_what_was_there() -> None:
    traffic = TransferStatistics()
    traffic.add(1_500_000)
    traffic.reuse()
    assert traffic.summary() == " (1.5 MB transferred, 1 files there already)"
