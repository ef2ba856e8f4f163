"""A raw file that was changed or added after the download is refused."""

import hashlib
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.raster.layout import RawFolder, write_source


def test_a_file_changed_after_the_download_is_refused(tmp_path: Path) -> None:
    write_source(tmp_path, "mlhub")
    path, right = tmp_path / "images/a.tif", hashlib.sha256(b"a").hexdigest()
    write_text(path, "a")
    write_text(tmp_path / "manifest.csv", f"path,size,sha256,origin\nimages/a.tif,1,{right},images/a.tif\n")
    assert RawFolder("landcoverai", tmp_path).checksums(path) == right
    write_text(path, "b")
    message = f"^.*images/a.tif was changed after the download: its SHA-256 is .* has {right}; remove a.tif and run "
    with pytest.raises(PipelineError, match=message):
        RawFolder("landcoverai", tmp_path).checksums(path)


def test_a_sidecar_added_to_a_copy_is_refused(tmp_path: Path) -> None:
    write_source(tmp_path, "local")
    write_text(tmp_path / "images/a.tif.aux.xml", "<PAMDataset/>")
    write_text(tmp_path / "manifest.csv", "path,size,sha256,origin\nimages/a.tif,1,0,images/a.tif\n")
    with pytest.raises(
        PipelineError, match=r"a\.tif\.aux\.xml was added after the download; put it next to the original"
    ):
        RawFolder("landcoverai", tmp_path).checksums(tmp_path / "images/a.tif.aux.xml")
