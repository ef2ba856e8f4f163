"""Memory is that of the machine, or what is left of a job's limit."""

from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from pipeline.core import memory
from pipeline.core.memory import available_memory

FREE = 10_000


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=FREE))
    monkeypatch.setattr(memory, "CGROUPS", tmp_path / "fs")
    monkeypatch.setattr(memory, "OWN", tmp_path / "own")
    return tmp_path


def group(folder: Path, names: tuple[str, ...], limit: str, used: int, cached: int, shared: int = 0) -> None:
    folder.mkdir(parents=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 7\n{names[2]} {cached}\n{names[3]} {shared}\n")


def test_without_a_limit_it_is_that_of_the_machine(groups: Path) -> None:
    assert available_memory() == FREE  # no cgroups, as on macOS
    (groups / "own").write_text("0::/\n")
    assert available_memory() == FREE
    (groups / "own").write_text("0::/user/job\n")
    group(groups / "fs/user/job", memory.V2, "max", 500, 0)
    assert available_memory() == FREE


@pytest.mark.parametrize("above", ["", "/step_0/task_1"])
def test_a_limit_of_a_group_or_one_above_it_counts_without_the_page_cache(groups: Path, above: str) -> None:
    (groups / "own").write_text(f"0::/slurm/job_1{above}\n")
    group(groups / "fs/slurm/job_1", memory.V2, "6000", 5000, 1500)
    assert available_memory() == 2500


def test_files_in_memory_are_used_memory(groups: Path) -> None:
    (groups / "own").write_text("0::/job\n")
    group(groups / "fs/job", memory.V2, "6000", 5000, 4000, shared=3500)
    assert available_memory() == 1500


def test_limits_of_version_1(groups: Path) -> None:
    (groups / "own").write_text("12:cpuset:/\n4:memory:/slurm/job_1/step_0\n1:name=systemd:/x\n0::/\n")
    group(groups / "fs/memory/slurm/job_1", memory.V1, "6000", 4000, 1000)
    group(groups / "fs/memory/slurm/job_1/step_0", memory.V1, "9223372036854771712", 4000, 0)
    assert available_memory() == 3000


def test_a_job_beyond_its_limit_has_nothing_left(groups: Path) -> None:
    (groups / "own").write_text("0::/job\n")
    group(groups / "fs/job", memory.V2, "1000", 1200, 100)
    assert available_memory() == 0


def test_the_memory_of_this_machine() -> None:
    assert 10**7 < available_memory() <= psutil.virtual_memory().total
