"""The command that suggests a classes.yaml prints only that, and copes with an empty or unfinished one."""

from pathlib import Path

import pytest
import yaml

from pipeline.classes import main, run
from pipeline.core.errors import PipelineError
from pipeline.importing.rules import LabelRules
from tests.importing.world import MASK_HW, write_picture, write_tif, write_vector


def test_the_suggestion_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write_tif(tmp_path / "images/a.tif")
    write_picture(tmp_path / "masks/a.png", 255 * MASK_HW)
    monkeypatch.setattr("sys.argv", ["classes", str(tmp_path)])
    main()
    printed = capsys.readouterr()
    assert printed.err == "classes: reading the labels of 1 image\n"
    assert LabelRules.model_validate(yaml.safe_load(printed.out)).remap == {255: 1}


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
