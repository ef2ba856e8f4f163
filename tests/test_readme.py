"""The commands of README and docs run, in a clone in a folder with a space and a quote, and do what is said of them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import shapely
import yaml

from pipeline.core.files import read_json
from pipeline.formats.classes import user_classes
from pipeline.importing.rules import LabelRules
from pipeline.raster.geotiff import write_geotiff
from tests.importing.world import MASK_HW, write_picture, write_tif, write_vector
from tests.pages import PAGES, ROOT, blocks, commands
from tests.sources.world import small_ghana, small_landcovernet

EXPERIMENT = "dvc exp run -S loss=dice"
CLASSES = blocks(PAGES["docs/data.md"], "yaml")
SUGGEST = "python -m pipeline.classes /path/to/folder > /path/to/folder/classes.yaml"
IMPORT = """dvc exp run -S download.landcoverai.source=local -S "download.landcoverai.path='/path/to/folder'\""""
TABLE = "dvc exp show --only-changed --drop 'data/|pipeline'"


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in a folder whose name has a space and a quote, set to train one epoch on 20 small scenes."""
    root = tmp_path_factory.mktemp("clone") / "land 'cover"
    copy_project(root)
    scenes = root.parent / 'my "own" scenes'
    write_scenes(scenes)
    params = yaml.safe_load((root / "params.yaml").read_text())
    chips = tuple(str(number) for number in range(100000, 100012))
    sources = {
        "landcoverai": scenes,
        "landcovernet": small_landcovernet(root.parent / "landcovernet", tuple(f"31PGS_{chip}" for chip in chips)),
        "ghana": small_ghana(root.parent / "ghana", chips),
    }
    for dataset, folder in sources.items():  # far fewer files than the samples have
        params["download"][dataset] |= {"source": "local", "path": str(folder)}
    params["tile"]["size"] = 64
    params["train"] |= {"epochs": 1, "batch_size": 4}
    (root / "params.yaml").write_text(yaml.safe_dump(params, sort_keys=False))
    run(root, "git init -q")
    commit(root)
    return root


def copy_project(root: Path) -> None:
    """Copy the files that git tracks, with uncommitted changes."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, root / name)


def write_scenes(folder: Path) -> None:
    """Write twenty scenes of 64 px with the classes in docs/data.md, and its `classes.yaml`."""
    for number in range(20):
        write_scene(folder, number)
    (folder / "classes.yaml").write_text(next(text for text in CLASSES if "remap" in text))


def write_scene(folder: Path, number: int) -> None:
    rng = np.random.default_rng(number)
    mask_HW = rng.choice([1, 2, 3, 5, 9], (2, 2)).repeat(32, 0).repeat(32, 1).astype(np.uint8)
    image_CHW = np.stack([25 * mask_HW + 20] * 3)
    for kind, pixels_CHW in (("images", image_CHW), ("masks", mask_HW[None])):
        write_geotiff(folder / kind / f"scene {number}.tif", pixels_CHW)


def run(root: Path, command: str, check: bool = True) -> str:
    identity = {f"GIT_{role}_{key}": "tests@localhost" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    path = {"PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment = os.environ | identity | path
    arguments = shlex.split(command)
    done = subprocess.run(arguments, cwd=root, env=environment, capture_output=True, text=True, check=False)
    output = done.stdout + done.stderr
    assert not check or done.returncode == 0, output
    return output


def commit(root: Path) -> None:
    run(root, "git add -A")
    run(root, "git commit -qm run --allow-empty")


def ran(output: str) -> list[str]:
    return re.findall(r"^Running stage '(.+)':", output, re.MULTILINE)


def test_the_commands_run_here_are_shown() -> None:
    run_here = ["make repro", "make test", "dvc repro", EXPERIMENT, "dvc metrics diff", "dvc queue start", TABLE]
    assert [command for command in run_here if command not in commands()] == []


def test_the_pipeline_runs_compares_and_keeps_good_results(project: Path) -> None:
    assert ran(run(project, "dvc repro"))[-2:] == ["train", "evaluate"]
    assert ran(run(project, "dvc repro")) == []
    assert list(read_json(project / "metrics/evaluate.json")["iou"]) == ["building", "tree", "other"]
    assert [entry["id"] for entry in read_json(project / "data/model/model.json")["classes"]] == [1, 2, 5]
    commit(project)

    output = run(project, EXPERIMENT)
    assert ran(output) == ["check", "train", "evaluate"]
    assert "mean_iou" in run(project, "dvc metrics diff --all")
    assert "dice" in run(project, f"{TABLE} --no-pager --csv")
    compared = run(project, "python -m pipeline.compare HEAD workspace").splitlines()
    assert compared[-1].startswith("verdict: undecided: ")

    kept = read_json(project / "metrics" / "evaluate.json")
    output = run(project, "dvc exp run -S loss=dcie", check=False)
    assert "loss is 'dcie'; did you mean 'dice'?" in output
    assert "Traceback" not in output
    assert read_json(project / "metrics" / "evaluate.json") == kept
    assert (project / "data" / "model" / "model.safetensors").is_file()


@pytest.mark.parametrize("kind", ["pictures", pytest.param("polygons", marks=[pytest.mark.soak, pytest.mark.short])])
def test_two_commands_lead_from_a_folder_to_scores(project: Path, tmp_path: Path, kind: str) -> None:
    shown = [command.split("     #")[0] for command in commands()]
    assert {SUGGEST, IMPORT} <= set(shown)
    squares = [shapely.box(500000 + 4 * n, 1000000 - 16, 500016 + 4 * n, 1000000 - 4) for n in range(4)]
    for number in range(20):
        if kind == "pictures":
            write_picture(tmp_path / f"images/{number}.png")
            write_picture(tmp_path / f"masks/{number}_mask.png", 255 * MASK_HW)
        else:
            write_tif(tmp_path / f"images/{number}.tif")
    if kind == "polygons":
        write_vector(tmp_path / "labels.gpkg", *squares, use=["building"] * 2 + ["road"] * 2)
    suggest, load = (command.replace("/path/to/folder", str(tmp_path)) for command in (SUGGEST, IMPORT))
    run(project, "git checkout -q .")
    run(project, f"sh -c {shlex.quote(suggest)}")
    if kind == "polygons":  # as the text of the file advises: overlaps need an order
        text = (tmp_path / "classes.yaml").read_text()
        (tmp_path / "classes.yaml").write_text(text.replace('"use"', '"use", order: [road, building]'))
    run(project, load)
    classes = ["background", "foreground"] if kind == "pictures" else ["building", "road"]
    assert list(read_json(project / "metrics/evaluate.json")["iou"]) == classes
    run(project, "git checkout -q .")


@pytest.mark.parametrize("text", CLASSES)
def test_the_class_tables_of_the_docs_are_valid(tmp_path: Path, text: str) -> None:
    table = text if text.startswith("classes") else f"classes: [other, building]\n{text}"
    (tmp_path / "classes.yaml").write_text(table)
    assert user_classes(tmp_path, tmp_path, LabelRules)


def test_a_scene_added_to_the_folder_is_noticed(project: Path) -> None:
    write_scene(project.parent / 'my "own" scenes', 20)
    try:
        assert re.search(r"download@landcoverai:\s+changed deps", run(project, "dvc status download@landcoverai"))
    finally:
        for path in (project.parent / 'my "own" scenes').rglob("scene 20.tif"):
            path.unlink()


def test_an_infeasible_split_keeps_the_model_and_does_not_affect_other_datasets(project: Path) -> None:
    run(project, "git checkout -q .")
    run(project, "dvc repro")
    commit(project)
    kept = [(project / name).read_bytes() for name in ("data/model/model.safetensors", "metrics/evaluate.json")]

    output = run(project, "dvc exp run -S split.strategy=official", check=False)
    assert "split landcoverai: error: split.strategy is official" in output
    assert "Traceback" not in output
    assert {"train", "evaluate"}.isdisjoint(ran(output))
    assert kept == [(project / name).read_bytes() for name in ("data/model/model.safetensors", "metrics/evaluate.json")]
    run(project, "git checkout -q .")
    run(project, "dvc checkout --force")

    skewed = "dvc exp run -S split.skew.class=building -S split.skew.share=0.1 split@landcoverai split@ghana"
    assert {"split@landcoverai", "split@ghana"} <= set(ran(run(project, skewed)))
    assert read_json(project / "metrics/split/ghana.json")["refused"].startswith("split.skew.class is 'building'; ")


@pytest.mark.soak
def test_queued_experiments_run(project: Path) -> None:
    run(project, "git checkout -q params.yaml")
    run(project, next(command for command in commands() if "--queue" in command))
    run(project, "dvc queue start")
    deadline = time.monotonic() + 1800
    while re.search("Queued|Running", status := run(project, "dvc queue status")):
        assert time.monotonic() < deadline, status
        time.sleep(5)
    assert status.count("Success") == 6, status
    table = run(project, f"{TABLE} --no-pager --csv")
    assert table.count("resnet34") >= 3
