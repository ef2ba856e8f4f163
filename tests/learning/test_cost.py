"""cost.json holds time, memory, device and versions of a training, in the units it states."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.learning.cost import PACKAGES, cost, revision
from pipeline.learning.device import Device
from pipeline.learning.fit import Epoch

CPU = Device("cpu", "fp32")
EPOCHS = [Epoch(1, {}, {}, 5.0), Epoch(2, {}, {}, 3.04)]


def test_content_of_cost_json(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(bytes(1_249_000))
    (tmp_path / "model.json").write_bytes(bytes(2_000))
    record = cost(CPU, 2, EPOCHS, 50, tmp_path)
    times, machine = ["seconds", "seconds_per_epoch", "chips_per_second"], ["threads", "cores", "machine", "python"]
    on = ["device", "devices", "precision"]
    assert list(record) == [*times, "peak_memory_mb", "model_mb", *on, *machine, "versions", "revision"]
    assert [record[name] for name in times] == [8.0, 4.02, 12.44]
    assert record["model_mb"] == 1.3  # 1.251
    assert [record[name] for name in on] == ["cpu", 2, "32-true"]
    assert record["python"] == ".".join(map(str, sys.version_info[:3]))
    assert record["versions"].keys() == set(PACKAGES)
    json.dumps(record, allow_nan=False)


def test_memory_is_in_megabytes_and_never_falls(tmp_path: Path) -> None:
    before = cost(CPU, 1, EPOCHS, 1, tmp_path)["peak_memory_mb"]
    block = bytearray(b"1") * 200_000_000
    after = cost(CPU, 1, EPOCHS, 1, tmp_path)["peak_memory_mb"]
    assert len(block) == 200_000_000
    assert 100 < before <= after < 100_000


def test_the_revision_is_the_checked_out_commit_if_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert revision() is None
    identity = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    for arguments in (("init", "-q"), (*identity, "commit", "-q", "--allow-empty", "-m", "first")):
        subprocess.run(["git", *arguments], check=True)
    head = subprocess.run(["git", "log", "--format=%H"], capture_output=True, text=True, check=True).stdout.strip()
    assert (len(head), revision()) == (40, head)
    monkeypatch.setenv("PATH", "")  # without git
    assert revision() is None
