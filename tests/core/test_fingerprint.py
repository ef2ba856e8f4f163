"""Finished work is known by its inputs, params and the code that made it, and by nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.core.fingerprint import digest, source_digest

ROOT = Path(__file__).parents[2]
FILES = ("core/errors.py", "__init__.py", "core/__init__.py", "core/fingerprint.py", "core/files.py")


def test_a_digest_changes_with_any_part_but_not_with_the_order_of_keys() -> None:
    parts = [(), (1,), ("1",), (1, 2), ({"a": 1},), ({"a": 1.5},), (Path("a"),), ([1, 2],)]
    digests = {digest(*values) for values in parts}
    assert len(digests) == len(parts)
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def loaded_code_digest(folder: Path, *modules: str) -> str:
    script = f"import {', '.join(modules)}; from pipeline.core import fingerprint as f; print(f.loaded_code_digest())"
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return run.stdout


def test_only_edits_to_loaded_modules_change_the_code_digest(tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / "pipeline" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "pipeline" / name).write_text((ROOT / "pipeline" / name).read_text())
    before = [loaded_code_digest(tmp_path, name) for name in ("sys", "pipeline.core.files")]
    assert before[0] != before[1]
    (tmp_path / "pipeline/core/files.py").write_text("# edited\n")
    after = [loaded_code_digest(tmp_path, name) for name in ("sys", "pipeline.core.files")]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def test_a_source_digest_depends_on_the_given_modules_only(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("pipeline.core.fingerprint.__file__", str(tmp_path / "core/fingerprint.py"))
    (tmp_path / "learning").mkdir()
    for name in ("task.py", "fit.py"):
        (tmp_path / "learning" / name).write_text("")
    before = source_digest(["learning.task"])
    (tmp_path / "learning/fit.py").write_text("# edited")
    assert source_digest(["learning.task"]) == before
    (tmp_path / "learning/task.py").write_text("# edited")
    assert source_digest(["learning.task"]) != before
