import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.learning.cost import cost, revision
from pipeline.learning.device import Device

CPU = Device("cpu", "fp32")


def test_a_runs_account() -> None:
    account = cost(CPU, 8.04, 100)
    assert account.keys() == {
        "seconds",
        "chips_per_second",
        "peak_memory_mb",
        "device",
        "precision",
        "threads",
        "cores",
        "machine",
        "python",
        "versions",
        "revision",
    }
    assert (account["seconds"], account["chips_per_second"]) == (8.0, 12.44)
    assert (account["device"], account["precision"]) == ("cpu", "32-true")
    assert account["python"] == ".".join(map(str, sys.version_info[:3]))
    assert account["versions"].keys() == {"torch", "lightning", "segmentation-models-pytorch", "numpy"}
    json.dumps(account, allow_nan=False)


def test_memory_is_in_megabytes_and_never_falls() -> None:
    before = cost(CPU, 1, 1)["peak_memory_mb"]
    block = bytearray(b"1") * 200_000_000
    after = cost(CPU, 1, 1)["peak_memory_mb"]
    assert len(block) == 200_000_000
    assert 100 < before <= after < 100_000


def test_the_revision_is_the_commit_that_is_checked_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), (*who, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", *arguments], check=True)
    head = subprocess.run(["git", "log", "--format=%H"], capture_output=True, text=True, check=True).stdout.strip()
    assert len(head) == 40
    assert revision() == head


def test_outside_a_repository_there_is_no_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision() is None


def test_without_git_there_is_no_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert revision() is None
