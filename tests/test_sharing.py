"""The commands of docs/clusters.md, in clones that share a git remote and a bucket."""

import os
import re
import shutil
import stat
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.pages import ROOT, commands, commands_in, section
from tests.sources.bucket import bucket_server, put
from tests.studies.world import edit, make_repository
from tests.test_dvc_yaml import listed
from tests.test_dvc_yaml_plots import WRITE
from tests.test_readme import commit, copy_project, ran, run, write_scenes
from tests.world import ghana_item, ghana_label, landcovernet_item, landcovernet_label

PAGE = commands("docs/clusters.md")
BY_OTHERS = [
    command
    for subject in ("a sweep", "the data stages")  # tests/test_row.py, tests/test_cluster.py
    for command in commands_in(section("docs/clusters.md", f"How do I run {subject} on many machines?"))
]
SERVER = Path(__file__).parent / "sources/part_checksums.py"
CHECKSUMS = "AWS_REQUEST_CHECKSUM_CALCULATION"
NOTHING_TO_DO = "Data and pipelines are up to date."
RESULTS = ("data", "metrics", "plots")


def shown(clone: Path, command: str, check: bool = True) -> str:
    """Run a command of the page."""
    assert command in PAGE
    return run(clone, command, check)


@dataclass(frozen=True)
class User:
    """A user of this machine, with a clone of tests/studies/world's repository."""

    name: str
    number: int
    group: int
    shared: Path
    """Where the cache and the git remote are."""

    @property
    def home(self) -> Path:
        return self.shared.parent / self.name

    @property
    def clone(self) -> Path:
        return self.home / "clone"

    def run(self, command: str, check: bool = True) -> str:
        """Run a line of a shell as this user, with the umask and the links that most systems have."""
        command = command.replace("/shared/", f"{self.shared}/")
        ids: dict[str, Any] = {"user": self.number, "group": self.group, "extra_groups": [], "umask": 0o022}
        where = self.clone if self.clone.exists() else self.home
        done = subprocess.run(
            ["sh", "-c", command], cwd=where, env=self.environment(), capture_output=True, text=True, check=False, **ids
        )
        output = done.stdout + done.stderr
        assert not check or done.returncode == 0, output
        return output

    def environment(self) -> dict[str, str]:
        identity = {f"GIT_{role}_{key}": self.name for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
        paths = {"HOME": self.home, "STARTED": self.home / "started.txt", "PYTHONPATH": sysconfig.get_path("purelib")}
        path = f"{self.shared}/bin:/usr/bin:/bin"
        return identity | {name: str(path) for name, path in paths.items()} | {"USER": self.name, "PATH": path}

    def shown(self, command: str) -> str:
        """Run a command of the page."""
        assert command in PAGE
        return self.run(command)


@dataclass(frozen=True)
class Team:
    """A git remote and a bucket, with the run of `owner`, a clone."""

    folder: Path
    endpoint: str

    @property
    def hub(self) -> Path:
        return self.folder / "hub.git"

    @property
    def owner(self) -> Path:
        return self.folder / "owner"

    def clone(self, folder: Path, branch: str = "main") -> Path:
        run(folder.parent, f"git clone -q -b {branch} {self.hub} {folder.name}")
        return folder

    def shown(self, clone: Path, command: str, check: bool = True) -> str:
        """Run a command of the page, with this team's addresses."""
        assert command in PAGE
        for address, here in (
            ("https://s3.example.org", self.endpoint),
            ("https://git.example.org/land-cover", str(self.hub)),
            ("/path/to/folder", str(self.folder / "images")),
        ):
            command = command.replace(address, here)
        return run(clone, command, check)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with bucket_server(str(SERVER)) as address, pytest.MonkeyPatch.context() as patch:
        patch.delenv(CHECKSUMS, raising=False)
        for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("DEFAULT_REGION", "us-east-1")):
            patch.setenv(f"AWS_{name}", value)
        put(address, "bucket", "", tmp_path_factory.mktemp("nothing"))
        yield address


def publish(team: Team) -> None:
    """Commit the owner's project, and name its remotes."""
    run(team.folder, "git init -q --bare -b main hub.git")
    run(team.owner, "git init -q -b main")
    run(team.owner, f"git remote add origin {team.hub}")
    commit(team.owner)
    team.shown(team.owner, "dvc remote add -d team s3://bucket/land-cover")
    team.shown(team.owner, "dvc remote modify team endpointurl https://s3.example.org")
    team.shown(team.owner, 'git commit -m "Add the DVC remote" .dvc/config')


@pytest.fixture(scope="module")
def quick_team(tmp_path_factory: pytest.TempPathFactory, endpoint: str) -> Team:
    """The graph with commands that only write the outputs."""
    team = Team(tmp_path_factory.mktemp("quick"), endpoint)
    copy_project(team.owner)
    graph = yaml.safe_load((ROOT / "dvc.yaml").read_text())
    for name, stage in graph["stages"].items():
        stage.get("do", stage)["cmd"] = " ".join(["python write.py", *listed(name, "outs"), *listed(name, "metrics")])
    (team.owner / "dvc.yaml").write_text(yaml.safe_dump(graph))
    (team.owner / "write.py").write_text(WRITE)
    publish(team)
    assert len(ran(run(team.owner, "dvc repro"))) == 14
    commit(team.owner)
    push(team)
    return team


@pytest.fixture(scope="module")
def team(tmp_path_factory: pytest.TempPathFactory, endpoint: str) -> Team:
    """The pipeline on small files in the project, which `dvc add` tracks; one epoch."""
    team = Team(tmp_path_factory.mktemp("team"), endpoint)
    write_scenes(team.folder / "images")
    copy_project(team.owner)
    write_params(team.owner)
    publish(team)
    for number in range(10):
        archive = team.owner / "data/archives/landcovernet"
        landcovernet_item(archive, f"31PGS_{number:02}", date(2018, 1, 5))
        landcovernet_label(archive, f"31PGS_{number:02}")
        ghana_item(team.owner / "data/archives/ghana", f"{number:06}", date(2016, 1, 5))
        ghana_label(team.owner / "data/archives/ghana", f"{number:06}")
    run(team.owner, "dvc add -q data/archives")
    team.shown(team.owner, "cp -r /path/to/folder data/own")
    team.shown(team.owner, "dvc add data/own")
    command = "dvc exp run -S download.landcoverai.source=local -S download.landcoverai.path=data/own"
    assert len(ran(team.shown(team.owner, command))) == 14
    team.shown(team.owner, "git add data/own.dvc data/.gitignore")
    run(team.owner, "git add data/archives.dvc")
    team.shown(team.owner, 'git commit -am "Train on our own images"')
    push(team)
    return team


def push(team: Team) -> None:
    team.shown(team.owner, "dvc push")
    team.shown(team.owner, "git push origin main")


def write_params(project: Path) -> None:
    params = yaml.safe_load((project / "params.yaml").read_text())
    for dataset in ("landcovernet", "ghana"):
        params["download"][dataset] |= {"source": "local", "path": f"data/archives/{dataset}"}
    params["tile"]["size"] = 64
    params["train"] |= {"epochs": 1, "batch_size": 4}
    (project / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))


@pytest.fixture(scope="module")
def outside(team: Team) -> str:
    """A branch whose images are in a folder that only its author has; it is gone."""
    folder = team.folder / "outside"
    shutil.copytree(team.folder / "images", folder)
    author = team.clone(team.folder / "author")
    run(author, "git checkout -q -b outside")
    run(author, "dvc pull -q")
    edit(author / "params.yaml", "path: data/own", f"path: {folder}")
    assert ran(run(author, "dvc repro")) == ["check", "download@landcoverai"]  # the same images
    commit(author)
    run(author, "dvc push -q")
    run(author, "git push -q origin outside")
    folder.rename(team.folder / "away")
    return "outside"


def files(clone: Path) -> dict[str, bytes]:
    """What stages wrote, by path."""
    paths = [path for name in RESULTS for path in (clone / name).rglob("*") if path.is_file()]
    return {path.relative_to(clone).as_posix(): path.read_bytes() for path in paths}


def test_every_command_of_the_page_is_run_here() -> None:
    tests = Path(__file__).read_text(encoding="utf-8")
    assert [command for command in PAGE if command not in tests and command not in BY_OTHERS] == []


@pytest.mark.soak
@pytest.mark.parametrize("fixture", [pytest.param("quick_team", marks=pytest.mark.short), "team"])
def test_a_colleague_who_pulls_runs_nothing(fixture: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    team = request.getfixturevalue(fixture)
    colleague = team.clone(tmp_path / "colleague")
    team.shown(colleague, "dvc pull")
    output = team.shown(colleague, "dvc repro")
    assert ran(output) == []
    assert NOTHING_TO_DO in output
    assert run(colleague, "git status --porcelain") == ""
    assert files(colleague) == files(team.owner)


@pytest.mark.soak
def test_missing_files_count_as_unchanged(team: Team, outside: str, tmp_path: Path) -> None:
    colleague = team.clone(tmp_path / "colleague", outside)
    run(colleague, "dvc pull -q")
    output = run(colleague, "dvc repro", check=False)
    assert f"[Errno 2] No such file or directory: '{team.folder / 'outside'}'" in output
    assert not (colleague / "data/raw/landcoverai").exists()
    team.shown(colleague, "dvc checkout")
    assert any((colleague / "data/raw/landcoverai").iterdir())

    output = team.shown(colleague, "dvc repro --allow-missing")
    assert ran(output) == []
    assert NOTHING_TO_DO in output
    assert re.search(rf"deleted: +{team.folder / 'outside'}", run(colleague, "dvc status"))

    shutil.rmtree(colleague / "data/model")
    assert NOTHING_TO_DO in run(colleague, "dvc repro --pull --allow-missing")
    assert not (colleague / "data/model").exists()
    run(colleague, "dvc pull -q data/model")
    assert (colleague / "data/model/model.safetensors").is_file()

    edit(colleague / "params.yaml", "on_error: stop", "on_error: skip")
    output = run(colleague, "dvc repro --allow-missing", check=False)
    assert ran(output) == ["check"]
    assert "failed to reproduce 'download@landcoverai': [Errno 2] No such file or directory" in output
    run(colleague, "git checkout -q params.yaml")
    edit(colleague / "params.yaml", str(team.folder / "outside"), "/somewhere/else")
    output = run(colleague, "dvc repro --allow-missing", check=False)
    assert "check: error: download.landcoverai.path is '/somewhere/else', which is not a folder" in output


@pytest.mark.soak
def test_training_fetches_only_what_it_reads_and_is_shared(team: Team, outside: str, tmp_path: Path) -> None:
    trainer = team.clone(tmp_path / "trainer", outside)
    output = team.shown(trainer, "dvc exp run --pull --allow-missing -n dice -S loss=dice")
    assert ran(output) == ["check", "train", "evaluate"]
    folders = ("raw", "clear", "chips", "split", "own", "archives")
    there = {path.relative_to(trainer).as_posix() for name in folders for path in trainer.glob(f"data/{name}/[!.]*")}
    assert there == {"data/chips/landcoverai", "data/split/landcoverai"}
    cached = sorted(path.stat().st_size for path in (trainer / ".dvc/cache").rglob("*") if path.is_file())
    assert sum(size > 10**7 for size in cached) == 1  # the new model, not the last one
    team.shown(trainer, "dvc exp push origin dice")

    colleague = team.clone(tmp_path / "colleague", outside)
    assert "dice" in team.shown(colleague, "dvc exp list origin")
    team.shown(colleague, "dvc exp pull origin dice")
    team.shown(colleague, "dvc exp apply dice")
    for name in ("data/model/model.safetensors", "metrics/evaluate.json", "params.yaml"):
        assert (colleague / name).read_bytes() == (trainer / name).read_bytes()
    assert run(colleague, "dvc status train evaluate").strip() == NOTHING_TO_DO
    run(colleague, "git branch main origin/main")
    assert "verdict:" in team.shown(colleague, "python -m pipeline.compare main dice")

    run(colleague, "git checkout -q --force main")
    assert "dice" not in run(colleague, "dvc exp list origin")
    assert "dice" in run(colleague, "dvc exp list -A origin")

    run(trainer, "git checkout -q .")
    assert ran(run(trainer, "dvc exp run --pull --allow-missing -S tile.partial=pad tile")) == ["check", "tile"]
    assert (trainer / "data/raw/landcoverai/manifest.csv").is_file()


@pytest.mark.soak
@pytest.mark.parametrize("way", ["environment", "file"])
def test_a_server_that_refuses_checksums_of_parts(
    endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    put(endpoint, f"large-{way}", "", tmp_path / "nothing")
    for command in ("git init -q", "dvc init -q", f"dvc remote add -q -d team s3://large-{way}/files"):
        run(project, command)
    run(project, f"dvc remote modify team endpointurl {endpoint}")
    for megabytes in (99, 100):
        (project / f"{megabytes}").write_bytes(os.urandom(2**20) * megabytes)
        run(project, f"dvc add -q {megabytes}")
    run(project, "dvc push 99")  # in one part
    output = run(project, "dvc push", check=False)
    assert "Checksum Type mismatch occurred" in output
    assert "1 files failed to upload" in output

    if way == "environment":
        assert "export AWS_REQUEST_CHECKSUM_CALCULATION=WHEN_REQUIRED" in PAGE
        monkeypatch.setenv(CHECKSUMS, "WHEN_REQUIRED")
    else:
        (tmp_path / ".aws").mkdir()
        (tmp_path / ".aws/config").write_text("[default]\nrequest_checksum_calculation = when_required\n")
        (tmp_path / ".aws/credentials").write_text("[default]\naws_access_key_id = a\naws_secret_access_key = b\n")
        monkeypatch.setenv("HOME", str(tmp_path))
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert "1 file pushed" in run(project, "dvc push")
    monkeypatch.delenv(CHECKSUMS, raising=False)
    large = (project / "100").read_bytes()
    (project / "100").unlink()
    shutil.rmtree(project / ".dvc/cache")
    run(project, "dvc pull")
    assert (project / "100").read_bytes() == large


@pytest.mark.soak
def test_the_model_is_used_in_another_project(team: Team, tmp_path: Path) -> None:
    team.shown(team.owner, 'git tag -a land-cover@v1.0.0 -m "The first model"')
    team.shown(team.owner, "git push origin land-cover@v1.0.0")
    model = {path.name: path.read_bytes() for path in (team.owner / "data/model").iterdir()}

    def got(folder: Path) -> bool:
        return {path.name: path.read_bytes() for path in folder.iterdir()} == model

    def project(name: str) -> Path:
        (tmp_path / name).mkdir()
        return tmp_path / name

    artifact = project("artifact")
    get = "dvc artifacts get https://git.example.org/land-cover land-cover --rev v1.0.0 -o model"
    team.shown(artifact, get)
    assert got(artifact / "model")
    for revision in ("v2.0.0", "main"):
        output = run(artifact, f"dvc artifacts get {team.hub} land-cover --rev {revision} -o other", check=False)
        assert f"Unable to find artifact 'land-cover @ {revision}'" in output
    with pytest.MonkeyPatch.context() as offline:
        offline.setenv("AWS_ACCESS_KEY_ID", "")
        offline.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
        run(artifact, f"dvc artifacts get {team.owner} land-cover -o offline")
    assert got(artifact / "offline")

    copy_project(artifact)
    shutil.copyfile(team.folder / "images/images/scene 0.tif", artifact / "scene.tif")
    team.shown(artifact, "python -m pipeline.predict scene.tif --model model -o map.tif")
    assert (artifact / "map.tif").is_file()

    plain = project("plain")
    team.shown(plain, "dvc get https://git.example.org/land-cover data/model --rev land-cover@v1.0.0 -o model")
    assert got(plain / "model")
    importer = project("importer")
    run(importer, "git init -q")
    run(importer, "dvc init -q")
    team.shown(importer, "dvc import https://git.example.org/land-cover data/model --rev land-cover@v1.0.0 -o model")
    assert got(importer / "model")
    team.shown(importer, "dvc update model.dvc --rev main")
    assert yaml.safe_load((importer / "model.dvc").read_text())["deps"][0]["repo"]["rev"] == "main"


@pytest.mark.soak
def test_a_conflict_in_the_lock_is_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STARTED", str(tmp_path / "started.txt"))
    clone = make_repository(tmp_path / "repository")
    (clone / "plots/data").mkdir(parents=True)
    (clone / "plots/data/landcoverai.md").touch()
    run(clone, "dvc repro -q")
    commit(clone)
    run(clone, "git checkout -q -b theirs")
    run(clone, "dvc exp run -S loss=dice")
    commit(clone)
    run(clone, "git checkout -q main")
    run(clone, "dvc checkout -q")
    run(clone, "dvc exp run -S train.lr=0.002 -S seed=7")
    commit(clone)

    output = shown(clone, "git merge theirs", check=False)
    assert "CONFLICT (content): Merge conflict in dvc.lock" in output
    assert "CONFLICT (content): Merge conflict in metrics/evaluate.json" in output
    params = (clone / "params.yaml").read_text()
    (clone / "params.yaml").write_text(
        re.sub(r"<<<.*?>>>>>>> theirs\n", "loss: dice\nseed: 7\n", params, flags=re.DOTALL)
    )
    assert "<<<<<<<" in run(clone, "dvc status", check=False)  # DVC cannot read its lock
    shown(clone, "git checkout --ours dvc.lock metrics plots/data")
    shown(clone, "dvc checkout")
    assert ran(shown(clone, "dvc repro")) == ["train", "evaluate"]
    shown(clone, "git add --all")
    shown(clone, 'git commit -m "Merge theirs"')
    assert run(clone, "git status --porcelain") == ""
    assert run(clone, "dvc status").strip() == NOTHING_TO_DO
    assert (clone / "data/model").read_text().startswith("dice 7 ")


@pytest.fixture
def users() -> Iterator[tuple[User, User]]:
    """Two users of a group, by number, a folder for both, and a repository in a git remote."""
    if os.geteuid() != 0:
        pytest.skip("only root can act as two users")
    python = Path(f"/usr/bin/python3.{sys.version_info.minor}")  # .venv's may be in root's home
    if not python.exists():
        pytest.skip(f"no {python} for other users")
    with tempfile.TemporaryDirectory() as name:  # not tmp_path, which is closed to others
        folder = Path(name)
        folder.chmod(0o755)
        shared = folder / "team"
        (shared / "bin").mkdir(parents=True)
        (shared / "bin/python").symlink_to(python)
        (shared / "bin/dvc").write_text('#!/bin/sh\nexec python -W ignore -m dvc "$@"\n')
        (shared / "bin/dvc").chmod(0o755)
        users = User("anna", 60001, 60000, shared), User("bert", 60002, 60000, shared)
        for user in users:
            user.home.mkdir()
            os.chown(user.home, user.number, user.group)
        yield users


@pytest.mark.soak
def test_two_users_share_a_cache(users: tuple[User, User]) -> None:
    anna, bert = users
    shared = anna.shared
    for command in (
        "mkdir /shared/cache",
        "git init --bare --shared=group /shared/land-cover.git",
        "chgrp -R land /shared/cache /shared/land-cover.git",
        "chmod g+rwxs /shared/cache",
    ):
        assert command in PAGE
        run(shared, command.replace(" land ", f" {anna.group} ").replace("/shared/", f"{shared}/"))
    source = make_repository(shared.parent / "source")
    shutil.copyfile(ROOT / ".dvc/config", source / ".dvc/config")
    commit(source)
    run(source, f"git push -q {shared}/land-cover.git main")
    for user in users:
        user.shown("git config --global --add safe.directory /shared/land-cover.git")
        user.run("git clone -q -b main /shared/land-cover.git clone")
        user.shown("dvc cache dir --local /shared/cache")
        user.shown("dvc config --local cache.shared group")

    assert ran(anna.run("dvc repro")) == ["tile", "train", "evaluate"]
    anna.run("git add --all && git commit -qm run && git push -q")
    anna.run("mkdir folder && cp study.yaml folder && dvc add -q folder")
    assert (anna.clone / "folder/study.yaml").stat().st_nlink == 1
    anna.shown("dvc checkout --relink")
    assert (anna.clone / "folder/study.yaml").stat().st_nlink == 2
    anna.run("git reset -q --hard && rm -r folder*")

    bert.run("git pull -q")
    bert.shown("dvc checkout")
    assert NOTHING_TO_DO in bert.run("dvc repro")
    assert (anna.clone / "data/model").stat().st_nlink == 2  # a hard link into the cache
    assert (bert.clone / "data/model").stat().st_nlink == 1
    assert (bert.clone / "data/model").stat().st_uid == bert.number

    bert.run("dvc exp run -n dice -S loss=dice")
    assert "Permission denied" not in bert.run("umask 002 && dvc exp push --no-cache origin dice")
    anna.shown("dvc exp pull --no-cache origin dice")
    anna.shown("dvc exp apply dice")
    assert (anna.clone / "data/model").read_text().startswith("dice")
    anna.run("git checkout -qf main && dvc checkout -q && dvc exp run -n ce -S loss=ce")
    assert "umask 002" in PAGE
    anna.run("umask 002 && dvc exp push --no-cache origin ce")
    folders = [path for path in (shared / "cache").rglob("*") if path.is_dir()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o2775}
    assert {path.stat().st_uid for path in folders} == {anna.number, bert.number}
    cached = [path for path in (shared / "cache/files").rglob("*") if path.is_file()]
    assert {stat.S_IMODE(path.stat().st_mode) for path in cached} == {0o444}

    bert.run("git checkout -qf main")
    bert.shown("dvc config --local cache.type symlink,copy")
    bert.shown("dvc checkout --relink")
    assert (bert.clone / "data/model").is_symlink()
    assert NOTHING_TO_DO in bert.run("dvc repro")
    assert ran(bert.run("dvc exp run -S seed=7")) == ["train", "evaluate"]


@pytest.mark.soak
def test_symbolic_links_need_a_whole_cache(team: Team, tmp_path: Path) -> None:
    clone = team.clone(tmp_path / "clone")
    run(clone, "dvc config --local cache.type symlink,copy")
    run(clone, "dvc pull -q data/chips/landcoverai data/split/landcoverai")
    assert NOTHING_TO_DO not in run(clone, "dvc exp run --allow-missing", check=False)
    broken = clone / "data/clear/landcovernet.csv"
    assert broken.is_symlink()
    assert not broken.exists()
    run(clone, "git checkout -q .")
    run(clone, "dvc pull -q")
    assert NOTHING_TO_DO in run(clone, "dvc repro")
