"""Cloud masks come first, then only bands that are used of clear dates; a bad item fails alone and is fetched again."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, partition_results
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources import transfer as transfers
from pipeline.sources.clouds_first import ItemFetcher
from pipeline.sources.remote import RemoteItem
from pipeline.sources.transfer import Remote, Transfer, new_session
from tests.sources.faulty import Server, served
from tests.sources.world import DAYS, files_below, request, small_ghana, small_landcovernet


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return small_landcovernet(tmp_path / "archive", ("31PGS_01",))


@pytest.fixture
def server(archive: Path) -> Iterator[Server]:
    with served(Server(archive)) as running:
        yield running


def items(server: Server, chip: str = "31PGS_01") -> list[RemoteItem]:
    """The item of each day, then the label."""
    assert server.root
    names = sorted(path.relative_to(server.root) for path in server.root.rglob("*.tif"))
    label, *dated = dict.fromkeys(name.parent for name in names)
    return [
        RemoteItem(chip, day, folder, {name.stem: remote(server, name) for name in names if name.parent == folder})
        for day, folder in zip([*DAYS, None], [*dated, label], strict=True)
    ]


def remote(server: Server, name: Path) -> Remote:
    return Remote(f"{server.url}/{name}", str(name))


def item_fetcher(store: Path, dataset: str = "landcovernet", **changes: Any) -> ItemFetcher:
    requested = request(dataset, **{f"download.{dataset}.clouds_first.{key}": value for key, value in changes.items()})
    return ItemFetcher(requested, Transfer(new_session(4), requested.statistics), store)


def test_cloud_masks_come_first_then_the_bands_that_are_used_of_clear_dates_each_once(
    server: Server, archive: Path, tmp_path: Path
) -> None:
    for path in archive.rglob("B04.tif"):
        for name in ("B08", "B11"):
            shutil.copy(path, path.with_name(f"{name}.tif"))
    requested = request("landcovernet", **{"bands.landcovernet": ["B04", "B03", "B02", "B08", "B04"]})
    fetcher = ItemFetcher(requested, Transfer(new_session(4), requested.statistics), tmp_path / "store")
    list(fetcher.fetch(items(server), tmp_path / "raw"))
    names = [Path(received.path).stem for received in server.gets()]
    assert sorted(names[:5]) == ["SCL"] * 4 + ["labels"]
    assert sorted(names[5:]) == ["B02"] * 2 + ["B03"] * 2 + ["B04"] * 2 + ["B08"] * 2
    for name in files_below(tmp_path / "raw"):  # linked and not copied
        assert (tmp_path / "raw" / name).stat().st_ino == (tmp_path / "store" / name).stat().st_ino


def test_the_estimate_multiplies_the_size_of_the_first_asset(server: Server, archive: Path, tmp_path: Path) -> None:
    all_items = items(server)
    mask, band = ((archive / all_items[0].folder / f"{key}.tif").stat().st_size for key in ("SCL", "B04"))
    label = (archive / all_items[-1].folder / "labels.tif").stat().st_size
    assert item_fetcher(tmp_path).estimate(all_items) == label + 4 * mask + 2 * 3 * band


def test_a_disk_too_small_is_refused_before_anything_is_fetched(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "SPARE", 10**18)
    with pytest.raises(PipelineError, match="GB are needed; free disk space"):
        list(item_fetcher(tmp_path / "store").fetch(items(server), tmp_path / "raw"))
    assert server.gets() == []


def test_an_item_without_its_cloud_mask_fails(server: Server, tmp_path: Path) -> None:
    all_items = items(server)
    del all_items[0].assets["SCL"]
    _, failures = partition_results(item_fetcher(tmp_path / "store").fetch(all_items, tmp_path / "raw"))
    reason = f"{all_items[0].folder} has no asset SCL; it has B02, B03, B04, CLD"
    assert failures == [Failure(str(all_items[0].folder), reason)]


def test_a_cloud_mask_of_another_size_than_the_bands_excludes_its_item(
    server: Server, archive: Path, tmp_path: Path
) -> None:
    all_items = items(server)
    write_geotiff(archive / all_items[0].folder / "SCL.tif", np.full((1, 8, 8), 4, np.uint8))
    _, (failure,) = partition_results(item_fetcher(tmp_path / "store").fetch(all_items, tmp_path / "raw"))
    assert "differ in size" in failure.reason
    assert not (tmp_path / "store" / all_items[0].folder).exists()


def test_without_cloud_masks_bands_are_fetched_until_enough_dates_have_data(tmp_path: Path) -> None:
    with served(Server(small_ghana(tmp_path / "archive", ("000001",)))) as server:
        all_items = items(server, "000001")
        write_geotiff(tmp_path / "archive" / all_items[0].folder / "source.tif", np.zeros((10, 16, 16), np.uint16))
        fetcher = item_fetcher(tmp_path / "store", "ghana", clouds="none")
        _, failures = partition_results(fetcher.fetch(all_items, tmp_path / "raw"))
        names = [Path(received.path).name for received in server.gets()]
    assert failures == []
    assert sorted(names) == ["labels.tif", "source.tif", "source.tif", "source.tif"]  # the first is black
    folders = [tmp_path / "raw" / item.folder for item in all_items[:4]]
    assert sorted(path.parent for path in (tmp_path / "raw").rglob("source.tif")) == folders[:3]
    assert not folders[3].exists()
