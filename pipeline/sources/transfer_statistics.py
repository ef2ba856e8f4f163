"""Count bytes received over the network."""

import time
from collections import deque
from threading import Lock

WINDOW = 5.0
"""Seconds over which the rate is averaged."""


class TransferStatistics:
    """Bytes of bodies received; thread-safe."""

    def __init__(self) -> None:
        self.received = 0
        """Bytes so far."""
        self.reused = 0
        """Files that an earlier run fetched."""
        self._lock = Lock()
        self._recent: deque[tuple[float, int]] = deque()

    def add(self, size: int) -> None:
        """Count `size` bytes."""
        now = time.monotonic()
        with self._lock:
            self.received += size
            self._recent.append((now, size))
            while self._recent[0][0] < now - WINDOW:  # else a download of days keeps a record of each chunk
                self._recent.popleft()

    def add_reused(self) -> None:
        """Count a file that needed no transfer."""
        with self._lock:
            self.reused += 1

    @property
    def rate(self) -> float:
        """Bytes per second over the last `WINDOW` seconds."""
        now = time.monotonic()
        with self._lock:
            return sum(size for when, size in self._recent if when >= now - WINDOW) / WINDOW

    def status(self) -> str:
        """Return the text next to a progress bar; empty before the first byte."""
        return f"{self.received / 1e6:.1f} MB, {self.rate / 1e6:.1f} MB/s" if self.received else ""

    def summary(self) -> str:
        """Summarise the transfers for the stage's summary; empty without any."""
        if not self.received and not self.reused:
            return ""
        return f" ({self.received / 1e6:.1f} MB transferred, {self.reused} files reused)"
