import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.classes import parser, run
from pipeline.core.errors import PipelineError
from pipeline.importing.importer import read_rules
from tests.importing.world import MASK_HW, run_import, write_picture, write_tif

ROOT = Path(__file__).parents[1]


def test_the_suggestion_imports_the_labels_that_it_was_made_from(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    write_tif(mine / "images/a.tif")
    write_picture(mine / "masks/a.png", 255 * MASK_HW)
    command = [sys.executable, "-m", "pipeline.classes", str(mine)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert result.stderr == "classes: reading the labels of 1 images\n"
    (mine / "classes.yaml").write_text(result.stdout)
    assert read_rules(mine).remap == {255: 1}
    assert run_import(mine, tmp_path / "raw")[1] == []


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_a_folder_without_images_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(PipelineError, match=r"gone is not a folder|empty/images contains no .tif, .png or .jpg"):
        run(tmp_path / name)


def test_the_folder_is_required() -> None:
    assert parser().parse_args(["mine"]).folder == Path("mine")
    with pytest.raises(SystemExit):
        parser().parse_args([])
