"""The memory that this process may still use.

psutil knows that of the machine, not the limit of a job: SLURM, Docker and Kubernetes set it for a cgroup, and end a
process that exceeds it. (`distributed` reads the limits too, but only those of containers, and not what is in use.)
"""

from collections.abc import Iterator
from pathlib import Path

import psutil

CGROUPS, OWN = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
UNLIMITED = 2**60
"""Version 1 states about 2**63 where there is no limit."""


def available_memory() -> int:
    """Return bytes of RAM: available on the machine, or less where a cgroup of this process has a limit."""
    return max(0, min([int(psutil.virtual_memory().available), *_rooms()]))


def _rooms() -> Iterator[int]:
    """Yield what each limited cgroup of this process, and each above it, has left.

    The page cache of files counts as used, but the kernel gives it up; not so files in memory (/dev/shm), which count
    as page cache too. https://docs.kernel.org/admin-guide/cgroup-v2.html
    """
    for line in OWN.read_text().splitlines() if OWN.is_file() else ():
        _, controllers, path = line.split(":", 2)
        root, files = (CGROUPS, V2) if not controllers else (CGROUPS / "memory", V1)
        if controllers and "memory" not in controllers.split(","):
            continue
        group = root / path.lstrip("/")
        for folder in (group, *group.parents):
            if folder.is_relative_to(root):
                yield from _room(folder, *files)


V1 = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_cache", "total_shmem")
V2 = ("memory.max", "memory.current", "file", "shmem")


def _room(folder: Path, limit: str, usage: str, cache: str, shared: str) -> Iterator[int]:
    try:
        most, used = (folder / limit).read_text().strip(), int((folder / usage).read_text())
        statistics = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
    except OSError:  # not in this container's view, or the root, which has no limit
        return
    if most != "max" and int(most) < UNLIMITED:
        yield int(most) - used + int(statistics.get(cache, 0)) - int(statistics.get(shared, 0))
