import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.classes import parser, run
from pipeline.core.errors import PipelineError
from pipeline.importing.importer import read_rules
from tests.importing.world import MASK_HW, run_import, write_picture, write_tif, write_vector

ROOT = Path(__file__).parents[1]


def test_the_suggestion_imports_the_labels_that_it_was_made_from(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    write_tif(mine / "images/a.tif")
    write_picture(mine / "masks/a.png", 255 * MASK_HW)
    command = [sys.executable, "-m", "pipeline.classes", str(mine)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr == "classes: reading the labels of 1 image\n"
    (mine / "classes.yaml").write_text(result.stdout)
    assert read_rules(mine).remap == {255: 1}
    assert run_import(mine, tmp_path / "raw")[1] == []


def test_an_existing_file_tells_what_to_read(tmp_path: Path) -> None:
    write_tif(tmp_path / "images/a.tif")
    write_vector(tmp_path / "labels/a.gpkg", kind=["building"])
    write_vector(tmp_path / "labels/areas.gpkg")
    (tmp_path / "classes.yaml").write_text("classes: [a, b]\npolygons: {annotated: labels/areas.gpkg}\n")
    assert 'name: "building"' in run(tmp_path)
    (tmp_path / "labels/areas.gpkg").unlink()
    (tmp_path / "classes.yaml").write_text("")
    assert 'name: "building"' in run(tmp_path)


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_a_folder_without_images_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match=r"gone is not a folder|empty/images contains no .tif, .png or .jpg"):
        run(tmp_path / name)


def test_the_folder_is_required() -> None:
    assert parser().parse_args(["mine"]).folder == Path("mine")
    with pytest.raises(SystemExit):
        parser().parse_args([])
