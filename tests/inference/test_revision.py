"""`--rev` takes the model of an experiment or commit out of a real repository, and changes nothing there."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.inference.revision import model_of, text_of

STAGE = {
    "cmd": "mkdir -p data/model && cp params.yaml data/model/model.json && cp params.yaml data/model/model.safetensors",
    "params": ["seed"],
    "outs": ["data/model"],
}
DVC = (sys.executable, "-W", "ignore", "-m", "dvc")
CONFIG = {"user.name": "a", "user.email": "a@b", "commit.gpgsign": "false", "core.hooksPath": "/dev/null"}


def call(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Seed 1 in a commit with the tag `first`, seed 2 in the experiment `other`; no model at the tag `empty`."""
    folder, before = tmp_path_factory.mktemp("repository"), Path.cwd()
    os.chdir(folder)
    call("git", "init", "-q")
    for name, value in CONFIG.items():
        call("git", "config", name, value)
    call(*DVC, "init", "-q")
    call(*DVC, "config", "core.analytics", "false")
    call("git", "commit", "-qam", "empty")
    call("git", "tag", "empty")
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"train": STAGE}}))
    (folder / "params.yaml").write_text("seed: 1\n")
    call(*DVC, "repro", "-q")
    call("git", "add", ".")
    call("git", "commit", "-qm", "first")
    call("git", "tag", "first")
    call(*DVC, "exp", "run", "-q", "-n", "other", "-S", "seed=2")
    call("git", "reset", "-q", "--hard")
    yield folder
    os.chdir(before)


@pytest.fixture(autouse=True)
def inside(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)


def contents(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in folder.iterdir()}


@pytest.mark.parametrize(("revision", "seed"), [("first", 1), ("HEAD", 1), ("other", 2)])
def test_the_model_is_that_of_the_revision(revision: str, seed: int, own_cache: Path) -> None:
    folder = model_of(revision)
    assert folder.parent == own_cache / "models"
    assert contents(folder) == dict.fromkeys(("model.json", "model.safetensors"), f"seed: {seed}\n")
    assert text_of(revision, "params.yaml") == f"seed: {seed}\n"


def test_the_project_is_unchanged(repository: Path) -> None:
    before = (repository / "data/model/model.json").read_bytes()
    model_of("other")
    assert (repository / "data/model/model.json").read_bytes() == before
    status = subprocess.run(["git", "status", "--porcelain"], capture_output=True, text=True, check=True)
    assert status.stdout == ""


def test_a_second_call_copies_nothing(repository: Path, tmp_path: Path) -> None:
    folder = model_of("other")
    (folder / "model.json").write_text("kept")
    assert model_of("other") == folder
    assert (folder / "model.json").read_text() == "kept"


def test_from_a_folder_of_the_project(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository / "data")
    assert contents(model_of("other"))["model.json"] == "seed: 2\n"


ADVICE = r"name an experiment \(dvc exp show\) or a commit whose model is in DVC's cache, or give a folder: --model$"


@pytest.mark.parametrize("revision", ["missing", "empty", "-x"])
def test_a_revision_without_a_model_is_one_line(revision: str, own_cache: Path) -> None:
    with pytest.raises(PipelineError, match=f"^--rev {revision}: cannot get its model .*; {ADVICE}") as error:
        model_of(revision)
    assert "\n" not in str(error.value)
    assert not list(own_cache.glob("models/*"))


def test_a_model_that_is_not_in_the_cache_is_one_line(
    repository: Path, own_cache: Path, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    cache = repository / ".dvc/cache"
    shutil.move(cache, tmp_path / "cache")
    request.addfinalizer(lambda: shutil.move(tmp_path / "cache", cache))
    with pytest.raises(PipelineError, match=f"^--rev other: cannot get its model .*; {ADVICE}"):
        model_of("other")
    assert not list(own_cache.glob("models/*"))


@pytest.mark.parametrize("make", [None, ("git", "init", "-q"), (*DVC, "init", "-q", "--no-scm")])
def test_outside_a_repository_of_git_and_dvc(
    make: tuple[str, ...] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    if make:
        call(*make)
    with pytest.raises(PipelineError, match="^--rev other: cannot get its model"):
        model_of("other")


@pytest.mark.parametrize(("revision", "path"), [("missing", "params.yaml"), ("empty", "params.yaml")])
def test_a_revision_without_a_file_is_one_line(revision: str, path: str) -> None:
    with pytest.raises(PipelineError, match=f"^--rev {revision}: cannot read its {path} ") as error:
        text_of(revision, path)
    assert "\n" not in str(error.value)
