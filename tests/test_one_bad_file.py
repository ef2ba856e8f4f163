"""A bad file does not stop a data stage from processing the others, and they are not processed again."""

import csv
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.errors import PipelineError
from pipeline.core.stage_cache import StageCache
from pipeline.formats.chips import read_chips
from pipeline.tif_to_png import TifToPngParams, tif_to_png
from pipeline.tile import TileParams, tile
from tests.world import (
    TWO_CLASSES,
    archive,
    ghana_item,
    ghana_label,
    landcovernet_item,
    landcovernet_label,
    orthophoto,
    params,
)

ROOT = Path(__file__).parents[1]
DAYS = [date(2020, 1, day) for day in range(1, 7)]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the results that are built rather than reused, in any order."""
    names: list[str] = []
    get = StageCache.get

    def counted(self: StageCache, name: str, inputs: Any, build: Callable[[Path], Any]) -> tuple[Path, Any]:
        def counting(folder: Path) -> Any:
            names.append(name)
            return build(folder)

        return get(self, name, inputs, counting)

    monkeypatch.setattr(StageCache, "get", counted)
    return names


def listed(path: Path) -> list[str]:
    with path.open(newline="") as reader:
        return [row["file"] for row in csv.DictReader(reader)]


def scenes(raw: Path) -> Path:
    archive(raw, "landcoverai", TWO_CLASSES)
    for name in "abcd":
        orthophoto(raw, name)
    (raw / "masks/b.tif").write_bytes(b"not an image")
    (raw / "images/c.tif").write_bytes((raw / "images/c.tif").read_bytes()[:-100])
    return raw


def cut(raw: Path, **changes: Any) -> str:
    return tile(raw, raw.parent / "chips", raw.parent / "failures.csv", params(TileParams, **changes))


def test_tile_processes_only_the_bad_scenes_again(tmp_path: Path, built: list[str]) -> None:
    raw = scenes(tmp_path / "raw")
    with pytest.raises(PipelineError, match="^2 files failed, as listed above; finished work is kept") as error:
        cut(raw)
    assert [line.split()[0] for line in error.value.table] == ["images/b.tif", "images/c.tif"]
    assert "masks/b.tif is not a readable GeoTIFF" in error.value.table[0]
    assert not (tmp_path / "chips").exists()
    for name in "bc":
        orthophoto(raw, name)
    built.clear()
    assert cut(raw).startswith("4 scenes in, 24 chips kept")
    assert sorted(built) == ["b", "c"]
    assert listed(tmp_path / "failures.csv") == []


def test_tile_skips_bad_scenes_on_request(tmp_path: Path) -> None:
    summary = cut(scenes(tmp_path / "raw"), on_error="skip")
    assert summary == (
        "4 scenes in, 12 chips kept, dropped: 0 partial, 0 without a label; "
        f"2 failed and skipped, see {tmp_path / 'failures.csv'}"
    )
    assert listed(tmp_path / "failures.csv") == ["images/b.tif", "images/c.tif"]
    assert set(read_chips(tmp_path / "chips")["scene"]) == {"a", "d"}


def test_results_of_other_params_are_not_reused(tmp_path: Path, built: list[str]) -> None:
    raw = scenes(tmp_path / "raw")
    for changes in ({}, {"tile.partial": "pad"}, {"tile.size": 64, "tile.partial": "pad"}):
        with pytest.raises(PipelineError):
            cut(raw, **changes)
    assert sorted(built) == sorted("abcd" * 3)


def test_a_resumed_run_gives_the_same_output(tmp_path: Path) -> None:
    raw = scenes(tmp_path / "raw")
    with pytest.raises(PipelineError):
        cut(raw)
    for name in "bc":
        orthophoto(raw, name)
    cut(raw)
    resumed = {path.name: path.read_bytes() for path in (tmp_path / "chips").rglob("*") if path.is_file()}
    cut(raw)
    assert {path.name: path.read_bytes() for path in (tmp_path / "chips").rglob("*") if path.is_file()} == resumed


def dates(raw: Path) -> Path:
    archive(raw, "landcovernet")
    landcovernet_label(raw, "31PGS_01")
    for day in DAYS[:4]:
        landcovernet_item(raw, "31PGS_01", day)
    folder = landcovernet_item(raw, "31PGS_01", DAYS[4]).folder
    (folder / "SCL.tif").unlink()
    return raw


def filter_dates(raw: Path, **changes: Any) -> str:
    failures = raw.parent / "failures.csv"
    return cloud_filter("landcovernet", raw, raw.parent / "clear.csv", failures, params(CloudFilterParams, **changes))


def test_cloud_filter_processes_only_the_bad_date_again(tmp_path: Path, built: list[str]) -> None:
    raw = dates(tmp_path / "raw")
    with pytest.raises(PipelineError, match=r"has no file for SCL; .* \(finished work is kept"):
        filter_dates(raw)
    assert not (tmp_path / "clear.csv").exists()
    assert filter_dates(raw, on_error="skip").endswith("1 failed and skipped, see " + str(tmp_path / "failures.csv"))
    assert len(built) == 5 + 1  # the bad one twice
    (name,) = listed(tmp_path / "failures.csv")
    assert name.endswith("_31PGS_01_20200105")


def test_cloud_filter_reuses_its_results_under_other_thresholds(tmp_path: Path, built: list[str]) -> None:
    raw = dates(tmp_path / "raw")
    for most in (0.1, 0.2):
        with pytest.raises(PipelineError):
            filter_dates(raw, **{"cloud_filter.landcovernet.max_cloud": most})
    assert len(built) == 5 + 1


def without_bands(raw: Path, day: date, **clouds: int) -> None:
    folder = landcovernet_item(archive(raw, "landcovernet"), "31PGS_01", day, **clouds).folder
    for name in ("B02", "B03", "B04"):
        (folder / f"{name}.tif").unlink()


@pytest.mark.parametrize("on_error", ["stop", "skip"])
def test_a_clear_date_without_its_bands_is_refused(tmp_path: Path, on_error: str) -> None:
    without_bands(tmp_path / "raw", DAYS[0])
    with pytest.raises(
        PipelineError, match=r"is clear enough to be kept, but has none of B04, B03, B02; add them or remove"
    ):
        filter_dates(tmp_path / "raw", on_error=on_error)
    assert not (tmp_path / "clear.csv").exists()
    (tmp_path / "raw/source.json").unlink()  # a folder that download did not write
    with pytest.raises(PipelineError, match="; add them or remove the folder"):
        filter_dates(tmp_path / "raw", on_error=on_error)


def test_a_clear_date_without_its_bands_is_replaced_by_the_next(tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    for day in DAYS[:2]:
        without_bands(raw, day)
    for day, hidden in zip(DAYS[2:], (1, 2, 3, 200), strict=True):
        landcovernet_item(raw, "31PGS_01", day, scl=9, hidden=hidden)
    summary = filter_dates(raw, on_error="skip")
    assert summary.startswith("4 dates of 1 chips in, 2 kept, dropped: 1 clearer dates, 1 cloud; 2 failed and skipped")
    assert [name[-8:] for name in listed(tmp_path / "failures.csv")] == ["20200101", "20200102"]
    with pytest.raises(PipelineError, match="2 files failed, as listed above"):
        filter_dates(raw)


def test_a_cloudy_date_without_its_bands_is_rejected_by_its_mask(tmp_path: Path) -> None:
    raw = archive(tmp_path / "raw", "landcovernet")
    landcovernet_item(raw, "31PGS_01", DAYS[0])
    without_bands(raw, DAYS[1], scl=9, hidden=200)
    assert filter_dates(raw) == "2 dates of 1 chips in, 1 kept, dropped: 1 cloud"


def convert(raw: Path, **changes: Any) -> str:
    clear, failures = raw.parent / "clear.csv", raw.parent / "failures.csv"
    cloud_filter("ghana", raw, clear, failures, params(CloudFilterParams))
    return tif_to_png("ghana", raw, clear, raw.parent / "chips", failures, params(TifToPngParams, **changes))


def test_tif_to_png_processes_only_the_bad_items_again(tmp_path: Path, built: list[str]) -> None:
    raw = archive(tmp_path / "raw", "ghana")
    for chip in ("000001", "000002", "000003"):
        ghana_item(raw, chip, DAYS[0])
        ghana_label(raw, chip)
    bad = raw / "su_african_crops_ghana_labels/su_african_crops_ghana_labels_000002/labels.tif"
    bad.write_bytes(b"")
    with pytest.raises(PipelineError, match=r"labels.tif is empty \(0 bytes\)"):
        convert(raw)
    assert not (tmp_path / "chips").exists()
    assert "; 1 failed and skipped, see " in convert(raw, on_error="skip")
    assert read_chips(tmp_path / "chips")["scene"].tolist() == ["000001", "000003"]
    ghana_label(raw, "000002")
    with pytest.raises(PipelineError):
        (raw / "su_african_crops_ghana_labels/su_african_crops_ghana_labels_000001/labels.tif").write_bytes(b"")
        convert(raw)
    built.clear()
    ghana_label(raw, "000001")
    convert(raw)
    assert [name for name in built if name.startswith("000001")] == ["000001_20200101"] * 2  # once by each stage
