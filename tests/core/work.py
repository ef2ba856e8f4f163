"""A task that worker processes import."""

import errno
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError


@dataclass(frozen=True)
class Work:
    """Do what the item asks for, and count how often."""

    folder: Path
    reads: tuple[Path, ...] = ()

    @property
    def writes(self) -> tuple[Path, ...]:
        """Return the shared folder."""
        return (self.folder,)

    def file(self, item: str) -> str:
        """Return the item as if it were a file."""
        return f"{item}.tif"

    def __call__(self, item: str) -> str:
        """Return the item in capitals, unless it is one of these."""
        with (self.folder / item).open("a") as log:
            log.write(f"{os.getpid()}\n")
        if item == "bad":
            raise PipelineError("bad.tif is bad")
        if item == "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "chip.png")
        if item == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        while item == "slow" and not (self.folder / "go").exists():
            time.sleep(0.05)
        return item.upper()


def runs(folder: Path, item: str) -> list[int]:
    """Return the process ids that started an item."""
    path = folder / item
    return [int(line) for line in path.read_text().split()] if path.is_file() else []
