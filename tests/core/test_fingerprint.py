import subprocess
import sys
from pathlib import Path

from pipeline.core.fingerprint import IMAGING, code_digest, digest, versions

ROOT = Path(__file__).parents[2]


def test_a_digest_is_32_hex_digits_and_changes_with_any_part() -> None:
    parts = [(), (1,), ("1",), (1, 2), ({"a": 1},), ({"a": 1.5},), (Path("a"),), ([1, 2],)]
    digests = {digest(*each) for each in parts}
    assert len(digests) == len(parts)
    assert all(len(each) == 32 and int(each, 16) >= 0 for each in digests)


def test_the_order_of_keys_does_not_matter() -> None:
    assert digest({"a": 1, "b": 2}) == digest({"b": 2, "a": 1})


def code_digest_of(folder: Path, *modules: str) -> str:
    script = f"import {', '.join(modules)}; from pipeline.core.fingerprint import code_digest; print(code_digest())"
    run = subprocess.run([sys.executable, "-c", script], cwd=folder, capture_output=True, text=True, check=True)
    return run.stdout


def test_the_code_is_that_of_the_modules_that_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "pipeline").mkdir()
    for name in ("__init__.py", "fingerprint.py", "files.py", "errors.py"):
        (tmp_path / "pipeline" / name).write_text((ROOT / "pipeline" / name).read_text())
    without, with_files = (code_digest_of(tmp_path, *names) for names in (["sys"], ["pipeline.core.files"]))
    assert without != with_files
    (tmp_path / "pipeline/core/files.py").write_text("# another\n")
    assert code_digest_of(tmp_path, "sys") == without
    assert code_digest_of(tmp_path, "pipeline.core.files") != with_files


def test_the_code_of_this_process_has_one_digest() -> None:
    assert code_digest() == code_digest()


def test_the_versions_are_those_installed() -> None:
    import numpy

    assert versions()["numpy"] == numpy.__version__
    assert list(versions()) == list(IMAGING)
