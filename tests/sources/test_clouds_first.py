import shutil
from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, partition_results
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources import transfer as transfers
from pipeline.sources.clouds_first import ItemFetcher
from pipeline.sources.remote import RemoteItem
from pipeline.sources.transfer import Remote, Transfer, new_session
from tests.sources.faulty import Fault, Server, served
from tests.sources.world import DAYS, files_below, request, small_ghana, small_landcovernet

SOURCE, LABELS = "ref_landcovernet_af_v1_source_sentinel_2", "ref_landcovernet_af_v1_labels"


def items(server: Server, archive: Path) -> list[RemoteItem]:
    dated = []
    for day in DAYS:
        folder = Path(SOURCE, f"{SOURCE}_31PGS_01_{day:%Y%m%d}")
        dated.append(RemoteItem("31PGS_01", day, folder, remotes(server, archive, folder)))
    folder = Path(LABELS, f"{LABELS}_31PGS_01")
    return [*dated, RemoteItem("31PGS_01", None, folder, remotes(server, archive, folder))]


def remotes(server: Server, archive: Path, folder: Path) -> dict[str, Remote]:
    paths = sorted((archive / folder).glob("*.tif"))
    return {path.stem: Remote(f"{server.url}/{folder}/{path.name}", f"{folder}/{path.name}") for path in paths}


def item_fetcher(store: Path, dates: int = 2) -> ItemFetcher:
    requested = request("landcovernet", **{"download.landcovernet.clouds_first.dates": dates})
    return ItemFetcher(requested, Transfer(new_session(4), requested.statistics), store)


def test_cloud_masks_are_fetched_first_then_bands_of_clear_dates(tmp_path: Path) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    with served(Server(archive)) as server:
        list(item_fetcher(tmp_path / "store").fetch(items(server, archive), tmp_path / "raw"))
        names = [Path(received.path).stem for received in server.gets()]
    assert sorted(names[:5]) == ["SCL"] * 4 + ["labels"]
    assert sorted(names[5:]) == ["B02"] * 2 + ["B03"] * 2 + ["B04"] * 2


def test_only_the_bands_that_are_used_are_fetched_each_once(tmp_path: Path) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    for path in archive.rglob("B04.tif"):
        for name in ("B08", "B11"):
            shutil.copy(path, path.with_name(f"{name}.tif"))
    requested = request("landcovernet", **{"bands.landcovernet": ["B04", "B03", "B02", "B08", "B04"]})
    with served(Server(archive)) as server:
        fetcher = ItemFetcher(requested, Transfer(new_session(4), requested.statistics), tmp_path / "store")
        list(fetcher.fetch(items(server, archive), tmp_path / "raw"))
        names = [Path(received.path).stem for received in server.gets()]
    assert sorted(names[5:]) == ["B02"] * 2 + ["B03"] * 2 + ["B04"] * 2 + ["B08"] * 2


def test_the_estimate_multiplies_the_size_of_the_first_asset(tmp_path: Path) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    with served(Server(archive)) as server:
        all_items = items(server, archive)
        size = {key: len((archive / all_items[0].folder / f"{key}.tif").read_bytes()) for key in ("SCL", "B04")}
        label = len((archive / all_items[-1].folder / "labels.tif").read_bytes())
        assert item_fetcher(tmp_path).estimate(all_items) == label + 4 * size["SCL"] + 2 * 3 * size["B04"]


def test_a_disk_too_small_is_refused_before_anything_is_fetched(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    monkeypatch.setattr(transfers, "SPARE", 10**18)
    with served(Server(archive)) as server:
        with pytest.raises(PipelineError, match="GB are needed; free disk space"):
            list(item_fetcher(tmp_path / "store").fetch(items(server, archive), tmp_path / "raw"))
        assert server.gets() == []


def test_an_item_without_its_cloud_mask_fails(tmp_path: Path) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    with served(Server(archive)) as server:
        all_items = items(server, archive)
        del all_items[0].assets["SCL"]
        _, failures = partition_results(item_fetcher(tmp_path / "store").fetch(all_items, tmp_path / "raw"))
    reason = f"{all_items[0].folder} has no asset SCL; it has B02, B03, B04, CLD"
    assert failures == [Failure(str(all_items[0].folder), reason)]


def test_a_date_whose_band_fails_leaves_its_place_to_the_next_clearest(tmp_path: Path) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    with served(Server(archive)) as server:
        all_items = items(server, archive)
        server.faults[f"/{all_items[0].folder}/B03.tif"] = [Fault("status", 404)]
        fetcher = item_fetcher(tmp_path / "store", dates=1)
        _, failures = partition_results(fetcher.fetch(all_items, tmp_path / "raw"))
    assert [failure.file for failure in failures] == [str(all_items[0].folder)]
    assert [path.parent.name for path in (tmp_path / "raw").rglob("B04.tif")] == [all_items[2].folder.name]


def test_files_are_linked_from_the_store_and_not_copied(tmp_path: Path) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    with served(Server(archive)) as server:
        list(item_fetcher(tmp_path / "store").fetch(items(server, archive), tmp_path / "raw"))
    for name in files_below(tmp_path / "raw"):
        assert (tmp_path / "raw" / name).stat().st_ino == (tmp_path / "store" / name).stat().st_ino


def test_a_cloud_mask_of_another_size_than_the_bands_excludes_its_item(tmp_path: Path) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    with served(Server(archive)) as server:
        all_items = items(server, archive)
        write_geotiff(archive / all_items[0].folder / "SCL.tif", np.full((1, 8, 8), 4, np.uint8))
        _, (failure,) = partition_results(item_fetcher(tmp_path / "store").fetch(all_items, tmp_path / "raw"))
    assert "differ in size" in failure.reason
    assert not (tmp_path / "store" / all_items[0].folder).exists()


def test_without_cloud_masks_bands_are_fetched_until_enough_dates_have_data(tmp_path: Path) -> None:
    archive = small_ghana(tmp_path / "archive", ("000001",))
    name = "su_african_crops_ghana_source_s2"
    folders = [Path(name, f"{name}_000001_{day:%Y_%m_%d}") for day in DAYS]
    write_geotiff(archive / folders[0] / "source.tif", np.zeros((10, 16, 16), np.uint16))
    label = Path("su_african_crops_ghana_labels", "su_african_crops_ghana_labels_000001")
    requested = request("ghana", **{"download.ghana.clouds_first.clouds": "none"})
    with served(Server(archive)) as server:
        all_items = [
            RemoteItem("000001", day, folder, remotes(server, archive, folder))
            for day, folder in zip([*DAYS, None], [*folders, label], strict=True)
        ]
        fetcher = ItemFetcher(requested, Transfer(new_session(4), requested.statistics), tmp_path / "store")
        _, failures = partition_results(fetcher.fetch(all_items, tmp_path / "raw"))
        names = [Path(received.path).name for received in server.gets()]
    assert failures == []
    assert sorted(names) == ["labels.tif", "source.tif", "source.tif", "source.tif"]  # the first is black
    assert sorted(path.parent for path in (tmp_path / "raw").rglob("source.tif")) == [
        tmp_path / "raw" / folder for folder in folders[:3]
    ]
    assert not (tmp_path / "raw" / folders[3]).exists()
