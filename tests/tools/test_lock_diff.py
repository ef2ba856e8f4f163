"""CI sees every difference of the data between two runs, and none where there is none."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.lock_diff import main

STAGES: dict[str, dict[str, Any]] = {
    "split@ghana": {
        "cmd": "python -m pipeline.split ghana",
        "deps": [{"path": "data/chips/ghana", "hash": "md5", "md5": "aa.dir", "size": 1}],
        "params": {"params.yaml": {"split": {"train": 0.8}}},
        "outs": [{"path": "data/split/ghana", "md5": "bb.dir"}, {"path": "metrics/split/ghana.json", "md5": "cc"}],
    },
    **dict.fromkeys(("check", "train", "evaluate"), {"cmd": "", "outs": [{"path": "data/model", "md5": "dd.dir"}]}),
}
SPLIT = STAGES["split@ghana"]


def lock(path: Path, stages: dict[str, dict[str, Any]]) -> str:
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        (
            {"outs": [SPLIT["outs"][0], {"path": "metrics/split/ghana.json", "md5": "ee"}]},
            ["outs metrics/split/ghana.json: cc -> ee"],
        ),
        ({"deps": [{"path": "data/chips/ghana", "md5": "ee.dir"}]}, ["deps data/chips/ghana: aa.dir -> ee.dir"]),
        (
            {"deps": [{"path": "pipeline/split.py", "md5": "ff"}]},
            ["deps data/chips/ghana: aa.dir -> none", "deps pipeline/split.py: none -> ff"],
        ),
        ({"params": {"params.yaml": {"split": 3}}}, ["params split: {'train': 0.8} -> 3"]),
        ({"cmd": "true"}, ["cmd: python -m pipeline.split ghana -> true"]),
    ],
)
def test_a_difference_is_named_and_exits_with_1(
    change: dict[str, Any], lines: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = lock(tmp_path / "new", STAGES | {"split@ghana": SPLIT | change})
    assert main([lock(tmp_path / "old", STAGES), new]) == 1
    assert capsys.readouterr().out.splitlines() == [f"split@ghana: {line}" for line in lines]


def test_a_stage_in_only_one_file_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([lock(tmp_path / "old", STAGES), lock(tmp_path / "new", {})]) == 1
    assert main([lock(tmp_path / "old", {}), lock(tmp_path / "new", STAGES)]) == 1
    assert capsys.readouterr().out == "split@ghana: only in the old file\nsplit@ghana: only in the new file\n"


def test_the_order_of_entries_and_what_is_not_data_do_not_matter(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = deepcopy(STAGES)
    new["split@ghana"]["outs"].reverse()
    new["train"]["outs"][0]["md5"] = new["evaluate"]["cmd"] = new["check"]["cmd"] = "changed"
    assert main([lock(tmp_path / "old", STAGES), lock(tmp_path / "new", new)]) == 0
    assert capsys.readouterr().out == "1 data stages are identical\n"


@pytest.mark.parametrize("text", ["", "stages: []", "stages: [", "- 1", None])
def test_a_file_that_is_no_lock_or_missing_is_refused(
    text: str | None, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (tmp_path / "broken").write_text(text, encoding="utf-8")
    assert main([str(tmp_path / "broken"), lock(tmp_path / "new", STAGES)]) == 1
    assert f"{tmp_path}/broken" in capsys.readouterr().err
