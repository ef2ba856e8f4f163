from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.lock_diff import differences, entries, main

STAGES: dict[str, dict[str, Any]] = {
    "split@ghana": {
        "cmd": "python -m pipeline.split ghana",
        "deps": [{"path": "data/chips/ghana", "hash": "md5", "md5": "aa.dir", "size": 1}],
        "params": {"params.yaml": {"split": {"train": 0.8}}},
        "outs": [{"path": "data/split/ghana", "md5": "bb.dir"}, {"path": "metrics/split/ghana.json", "md5": "cc"}],
    },
    "train": {"cmd": "python -m pipeline.train", "outs": [{"path": "data/model", "md5": "dd.dir"}]},
}


def changed(*path: Any, to: Any) -> dict[str, dict[str, Any]]:
    stages = deepcopy(STAGES)
    place: Any = stages
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = to
    return stages


def lines(new: dict[str, dict[str, Any]], old: dict[str, dict[str, Any]] = STAGES) -> list[str]:
    return list(differences(old, new))


def lock(path: Path, stages: dict[str, dict[str, Any]]) -> str:
    path.write_text(yaml.safe_dump({"schema": "2.0", "stages": stages}), encoding="utf-8")
    return str(path)


def test_equal_locks_do_not_differ() -> None:
    assert lines(deepcopy(STAGES)) == []


def test_a_changed_output_is_reported() -> None:
    new = changed("split@ghana", "outs", 1, "md5", to="ee")
    assert lines(new) == ["split@ghana: outs metrics/split/ghana.json: cc -> ee"]


def test_a_changed_dep_is_reported() -> None:
    new = changed("split@ghana", "deps", 0, "md5", to="ee.dir")
    assert lines(new) == ["split@ghana: deps data/chips/ghana: aa.dir -> ee.dir"]


def test_added_and_removed_deps_are_reported() -> None:
    new = changed("split@ghana", "deps", to=[{"path": "pipeline/split.py", "md5": "ff"}])
    assert lines(new) == [
        "split@ghana: deps data/chips/ghana: aa.dir -> none",
        "split@ghana: deps pipeline/split.py: none -> ff",
    ]


def test_a_changed_param_or_command_is_reported() -> None:
    assert lines(changed("split@ghana", "params", "params.yaml", "split", to=3)) == [
        "split@ghana: params split: {'train': 0.8} -> 3"
    ]
    assert lines(changed("split@ghana", "cmd", to="true")) == [
        "split@ghana: cmd: python -m pipeline.split ghana -> true"
    ]


def test_a_stage_in_only_one_file_is_reported() -> None:
    assert lines({"train": STAGES["train"]}) == ["split@ghana: only in the old file"]
    assert lines(STAGES, old={}) == ["split@ghana: only in the new file", "train: only in the new file"]


def test_the_order_of_entries_does_not_matter() -> None:
    assert lines(changed("split@ghana", "outs", to=STAGES["split@ghana"]["outs"][::-1])) == []


def test_check_train_and_evaluate_are_not_compared() -> None:
    text = yaml.safe_dump({"stages": {name: {} for name in ("check", "download@ghana", "tile", "train", "evaluate")}})
    assert list(entries(text)) == ["download@ghana", "tile"]


def test_a_changed_model_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = lock(tmp_path / "new", changed("train", "outs", 0, "md5", to="ee.dir"))
    assert main([lock(tmp_path / "old", STAGES), new]) == 0
    assert capsys.readouterr().out == "1 data stages are identical\n"


def test_a_difference_exits_with_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = lock(tmp_path / "new", changed("split@ghana", "outs", 0, "md5", to="ee.dir"))
    assert main([lock(tmp_path / "old", STAGES), new]) == 1
    assert capsys.readouterr().out == "split@ghana: outs data/split/ghana: bb.dir -> ee.dir\n"


@pytest.mark.parametrize("text", ["", "stages: []", "stages: [", "- 1"])
def test_a_file_that_is_not_a_lock_is_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "broken").write_text(text, encoding="utf-8")
    assert main([str(tmp_path / "broken"), lock(tmp_path / "new", STAGES)]) == 1
    assert capsys.readouterr().err.startswith(f"{tmp_path}/broken: ")


def test_a_missing_lock_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none"), lock(tmp_path / "new", STAGES)]) == 1
    assert "No such file" in capsys.readouterr().err
