"""A run is done only with the code, params and data of the commit, and its files come from Git or from DVC."""

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.studies.experiments import Experiments, open_repository, roots, upstream
from pipeline.studies.study import Run, load_study, plan
from pipeline.studies.values import override_texts
from tests.studies.world import commit, git, make_repository, run_experiments

LOCK = {
    "check": {"deps": [{"path": "pipeline", "md5": "0"}], "outs": [{"path": "data/params.ok", "md5": "1"}]},
    "tile": {
        "deps": [{"path": "data/params.ok", "md5": "1"}, {"path": "images", "md5": "2"}],
        "outs": [{"path": "chips", "md5": "3"}],
    },
    "other": {"deps": [{"path": "elsewhere", "md5": "4"}], "outs": [{"path": "unused", "md5": "5"}]},
    "evaluate": {"deps": [{"path": "chips", "md5": "3"}, {"path": "code", "md5": "6"}]},
}


def test_only_what_evaluate_read_counts() -> None:
    assert upstream(LOCK) == [LOCK["evaluate"], LOCK["tile"]]
    assert sorted(roots(LOCK)) == [("code", "6"), ("images", "2")]


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A repository with the experiment of the first run of its study."""
    folder = make_repository(tmp_path_factory.mktemp("experiments") / "repository")
    (run, *_) = runs(folder)
    run_experiments(folder, {run.name: override_texts(run.overrides)})
    with chdir(folder):
        yield folder


def runs(folder: Path) -> list[Run]:
    return plan("study", load_study(str(folder / "study.yaml"))[1], {})


def experiments() -> Experiments:
    return Experiments(open_repository())


def test_a_run_is_done_whatever_the_study_is_called(repository: Path) -> None:
    first, second = runs(repository)
    found = experiments()
    assert [found.state(first), found.state(second)] == ["done", "missing"]
    done = found.done(replace(first, study="another"))
    assert done is not None
    assert done.name == first.name


def test_experiments_are_listed_while_another_dvc_works(repository: Path) -> None:
    with open_repository() as other, other.lock:
        assert experiments().state(runs(repository)[0]) == "done"


def test_files_come_from_git_and_from_the_cache(repository: Path) -> None:
    found = experiments()
    done = found.done(runs(repository)[0])
    assert done is not None
    assert b'"mean_iou": 0.26' in found.read(done.rev, "metrics/summary.json")
    assert found.read(done.rev, "data/model") == b"dice 1 resnet18"
    with pytest.raises(FileNotFoundError):
        found.read(done.rev, "data/nothing")


@pytest.fixture
def restored(repository: Path) -> Iterator[Path]:
    """The repository, reset afterwards."""
    before = git(repository, "rev-parse", "HEAD")
    yield repository
    git(repository, "reset", "--quiet", "--hard", before)
    git(repository, "clean", "--quiet", "--force", "-d", "-x", "data/local")


def state(folder: Path) -> str:
    return experiments().state(runs(folder)[0])


@pytest.mark.parametrize(
    ("path", "change", "after"),
    [
        ("code/train.py", "# changed\n", "outdated"),
        ("notes.txt", "unrelated\n", "done"),
        ("params.yaml", "\nunread: 1\n", "done"),
    ],
)
def test_commits_outdate_a_run_if_it_read_what_they_change(restored: Path, path: str, change: str, after: str) -> None:
    with (restored / path).open("a") as writer:
        writer.write(change)
    assert state(restored) == "done"  # not committed: a sweep would not run it
    commit(restored, path)
    assert state(restored) == after


def test_ones_own_files_in_the_default_folder_do_not_matter_to_the_sample(restored: Path) -> None:
    (restored / "data/local/landcoverai/image.tif").touch()
    assert state(restored) == "done"


def test_a_changed_folder_of_ones_own_outdates_a_run(restored: Path, tmp_path: Path) -> None:
    (tmp_path / "image.tif").write_text("1")
    overrides = {"download.landcoverai.path": str(tmp_path)}
    (run, *_) = plan("study", load_study("study.yaml")[1], overrides)
    run_experiments(restored, {run.name: override_texts(run.overrides)})
    assert experiments().state(run) == "done"
    (tmp_path / "image.tif").write_text("2")
    assert experiments().state(run) == "outdated"


def test_changed_params_outdate_a_run_but_not_how_they_are_written(restored: Path) -> None:
    params = yaml.safe_load((restored / "params.yaml").read_text())
    for value, after in (("1e-3", "done"), ("1e-4", "outdated")):
        params["train"]["lr"] = value
        (restored / "params.yaml").write_text(yaml.safe_dump(params))
        commit(restored, value)
        assert state(restored) == after


def test_outside_a_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PipelineError, match="run this in a checkout of the project"):
        open_repository()
