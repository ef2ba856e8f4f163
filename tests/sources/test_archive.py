"""A zip from a server or disk has its checksum before it is unpacked; chips that were cut before reach the split."""

import hashlib
import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure
from pipeline.core.files import read_json
from pipeline.download import DownloadParams, download
from pipeline.formats.chips import read_chips
from pipeline.formats.png import read_image, read_mask
from pipeline.sources.archive import fetch_archive
from pipeline.sources.base import Fetched
from pipeline.split import SplitParams, split
from pipeline.tile import TileParams, tile
from tests.sources.faulty import Fault, Server, served
from tests.sources.world import files_below, request
from tests.world import orthophoto, params


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    for scene in ("N-33", "M-34"):
        orthophoto(folder, scene)
    (folder / "train.txt").write_text("N-33_1\n")
    path = tmp_path / "served" / "landcover.ai.v1.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, body in files_below(folder).items():
            zipped.writestr(name, body)
    return path


def fetch(
    raw: Path, sha256: str, url: str = "http://127.0.0.1:9/gone.zip", path: Path | str = "data"
) -> list[Fetched | Failure]:
    raw.mkdir()
    changes = {"archive": {"url": url, "sha256": sha256}, "path": str(path)}
    requested = request("landcoverai", **{f"download.landcoverai.{key}": value for key, value in changes.items()})
    return list(fetch_archive(requested, raw))


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_zip_is_fetched_once_checked_and_unpacked(archive: Path, tmp_path: Path) -> None:
    with served(Server(archive.parent)) as server:
        server.faults["/landcover.ai.v1.zip"] = [Fault("drop", 500), Fault("status", 503), Fault("drop", 100)]
        fetched = fetch(tmp_path / "raw", checksum(archive), f"{server.url}/landcover.ai.v1.zip")
        requests = len(server.received)
        fetch(tmp_path / "again", checksum(archive), f"{server.url}/landcover.ai.v1.zip")
        assert len(server.received) == requests
    assert files_below(tmp_path / "again") == files_below(tmp_path / "raw")
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "archive")
    assert [file.origin for file in fetched if isinstance(file, Fetched)] == sorted(files_below(tmp_path / "archive"))


def test_a_zip_on_disk_is_unpacked_if_its_checksum_matches(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.writestr("../evil.tif", b"evil")
    fetched = fetch(tmp_path / "raw", checksum(archive), path=archive)
    assert [result.file for result in fetched if isinstance(result, Failure)] == ["../evil.tif"]
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "archive")
    shutil.rmtree(tmp_path / "raw")
    message = (
        f"landcover.ai.v1.zip has the SHA-256 {checksum(archive)}; download.landcoverai.archive.sha256 is {'0' * 64}: "
    )
    with pytest.raises(PipelineError, match=message):
        fetch(tmp_path / "raw", "0" * 64, path=archive)


def test_another_zip_is_refused_and_removed(archive: Path, tmp_path: Path, own_cache: Path) -> None:
    with served(Server(archive.parent)) as server:
        url = f"{server.url}/landcover.ai.v1.zip"
        origin = rf"^landcover.ai.v1.zip of {urlsplit(url).netloc} \(download.landcoverai.archive.url\)"
        with pytest.raises(PipelineError, match=rf"{origin}: sha256 is \w+, expected 0+; removed"):
            fetch(tmp_path / "1", "0" * 64, url)
    assert [path for path in own_cache.rglob("*") if path.is_file()] == []


def test_messages_contain_no_password_and_no_query_of_the_url(tmp_path: Path) -> None:
    with served(Server()) as server, pytest.raises(PipelineError) as error:
        host = server.url.removeprefix("http://")
        fetch(tmp_path / "raw", "0" * 64, f"http://me:secret@{host}/a.zip?key=secret")
    assert str(error.value) == f"a.zip of {host} (download.landcoverai.archive.url): HTTP 404 Not Found"


CUT = {"N-33-60-D-c-4-2_3": "train", "N-33-60-D-c-4-2_4": "val", "M-34-51-C-b-2-1_7": "test", "M-34-51-C-b-2-1_8": ""}
"""Chips of two sheets, and the list that names each."""


def cut_archive(path: Path, top: str, side: int) -> Path:
    """A zip of chips that LandCover.ai's script has cut: JPEG, and masks in three equal bands."""
    folder = path.parent / "cut" / top
    (folder / "output").mkdir(parents=True)
    for number, chip in enumerate(CUT):
        noise_HWC = np.random.default_rng(number).integers(0, 256, (side, side, 3), np.uint8)
        Image.fromarray(noise_HWC).save(folder / "output" / f"{chip}.jpg")
        mask_HW = np.arange(side * side).reshape(side, side) % 5
        Image.fromarray(np.stack([mask_HW] * 3, -1).astype(np.uint8)).save(folder / "output" / f"{chip}_m.png")
    for part in ("train", "val", "test"):
        (folder / f"{part}.txt").write_text("".join(f"{chip}\n" for chip, listed in CUT.items() if listed == part))
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as zipped:
        for name, body in files_below(path.parent / "cut").items():
            zipped.writestr(name, body)
        zipped.writestr("__MACOSX/output/._a_1.jpg", b"")
    return path


@pytest.mark.parametrize(("top", "size"), [("landcoverai100", 32), ("", 64)])
def test_chips_that_were_cut_before_go_through_download_tile_and_split(tmp_path: Path, top: str, size: int) -> None:
    zipped = cut_archive(tmp_path / "served" / "cut.zip", top, side=64)
    given = {"source": "archive", "path": str(zipped), "archive.sha256": checksum(zipped)}
    changes = {f"download.landcoverai.{key}": value for key, value in given.items()}
    summary = download("landcoverai", tmp_path / "raw", tmp_path / "failed.csv", params(DownloadParams, **changes))
    assert summary.startswith("11 files") and summary.endswith("; an excerpt, not for benchmarking")
    chips = tmp_path / "chips"
    tile(tmp_path / "raw", chips, tmp_path / "failed.csv", params(TileParams, **{"tile.size": size}))
    frame = read_chips(chips)
    assert frame["unit"].tolist() == [scene.rpartition("_")[0] for scene in frame["scene"]]
    assert dict(zip(frame["scene"], frame["official"], strict=True)) == CUT
    assert len(frame) == 4 * (64 // size) ** 2
    for chip in frame.itertuples():
        window = np.s_[chip.row : chip.row + size, chip.column : chip.column + size]
        source = tmp_path / "served" / "cut" / top / "output"
        with Image.open(source / f"{chip.scene}.jpg") as image, Image.open(source / f"{chip.scene}_m.png") as mask:
            assert np.array_equal(read_image(chips / "images" / f"{chip.id}.png"), np.asarray(image)[window])
            assert np.array_equal(read_mask(chips / "masks" / f"{chip.id}.png"), np.asarray(mask)[window][..., 0])
    names = ("lists", "metrics.json", "card.md", "card.png")
    split(
        "landcoverai",
        chips,
        *(tmp_path / name for name in names),
        params(SplitParams, **{"split.strategy": "official"}),
    )
    groups = pd.read_csv(tmp_path / "lists" / "groups.csv")["group"]
    assert groups.tolist() == frame["unit"].tolist()
    assert (tmp_path / "lists" / "val.txt").read_text().splitlines()[0].startswith("N-33-60-D-c-4-2_4")
    assert read_json(tmp_path / "metrics.json")["leak_share"] is None
    assert "| origin | source `archive, an excerpt, not for benchmarking` |" in (tmp_path / "card.md").read_text()
