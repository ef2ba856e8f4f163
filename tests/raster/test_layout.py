"""Scenes, items, labels and lists are found in a raw folder in each naming that copies of the archives use."""

from datetime import date
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.raster.layout import RawFolder, Scene, SourceItem, asset, write_source

SOURCE = "ref_landcovernet_af_v1_source_sentinel_2"
ITEM = f"{SOURCE}_31PGS_01_20180101"
LABELS = "ref_landcovernet_af_v1_labels"


def touch(root: Path, *names: str) -> Path:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def test_items_are_found_in_their_collections_and_sorted_by_chip_and_date(tmp_path: Path) -> None:
    names = ("31PGS_01_20180102", "31PGS_01_20180101", "30ABC_07_20190101")
    touch(tmp_path, *(f"{SOURCE}/{SOURCE}_{name}/B04.tif" for name in names), f"{LABELS}/{LABELS}_31PGS_01/labels.tif")
    items = RawFolder("landcovernet", tmp_path).items
    assert [item.id for item in items] == ["30ABC_07_20190101", "31PGS_01_20180101", "31PGS_01_20180102"]
    assert items[0] == SourceItem("30ABC_07", date(2019, 1, 1), tmp_path / SOURCE / f"{SOURCE}_30ABC_07_20190101")
    assert RawFolder("landcovernet", tmp_path).labels == {"31PGS_01": tmp_path / LABELS / f"{LABELS}_31PGS_01"}


def test_items_are_found_without_a_collections_folder(tmp_path: Path) -> None:
    touch(tmp_path, "su_african_crops_ghana_source_s2_000001_2016_01_13/source.tif")
    touch(tmp_path, "su_african_crops_ghana_labels_000001/labels.tif")
    assert [item.id for item in RawFolder("ghana", tmp_path).items] == ["000001_20160113"]
    assert list(RawFolder("ghana", tmp_path).labels) == ["000001"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            (),
            r"contains no folder named like ref_landcovernet_\*_source_sentinel_2_CHIP_DATE; is it the archive's root",
        ),
        (
            (f"{SOURCE}_31PGS_01_20181332/B04.tif",),
            "31PGS_01_20181332: 20181332 is not a date; expected year, month, day",
        ),
        ((f"{ITEM}/B04.tif", f"{SOURCE}/{ITEM}/B04.tif"), "are two folders for one chip and date; keep one"),
        ((f"{ITEM}/B04.tif",), r"no folder named like ref_landcovernet_\*_labels_CHIP; is it the archive's root"),
        (
            (f"{ITEM}/B04.tif", f"a/{LABELS}_31PGS_01/labels.tif", f"b/{LABELS}_31PGS_01/labels.tif"),
            "are two labels for one chip; keep one",
        ),
    ],
)
def test_missing_ambiguous_or_undated_items_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        RawFolder("landcovernet", touch(tmp_path, *names)).require_layout()


@pytest.mark.parametrize(
    ("key", "name"),
    [
        ("B04", "B04.tif"),
        ("B04", "B04.TIFF"),
        ("B04", "31PGS_01_20180101_B04_10m.tif"),
        ("B04", "red.tif"),
        ("B05", "Vegetation Red Edge.tif"),
        ("SCL", "Scene Classification Layer.tif"),
        ("labels", "labels.tif"),
    ],
)
def test_an_asset_is_found_in_each_naming(tmp_path: Path, key: str, name: str) -> None:
    others = ("B4.tif", "B040.tif", "XB04.tif", "stac.json", "B04.tif.aux.xml", "infrared.tif", "B04_10m.png")
    touch(tmp_path, name, *others)
    assert asset("landcovernet", tmp_path, key) == tmp_path / name


def test_a_missing_asset_is_refused_with_the_files_present(tmp_path: Path) -> None:
    touch(tmp_path, "B02.tif", "B03.tif")
    with pytest.raises(PipelineError) as error:
        asset("landcovernet", tmp_path, "B04")
    assert str(error.value) == (
        f"{tmp_path} has no file for B04; expected one of B04.tif, *_B04_10m.tif, red.tif; it has B02.tif, B03.tif"
    )


def test_two_files_for_one_asset_are_refused(tmp_path: Path) -> None:
    touch(tmp_path, "B04.tif", "red.tif")
    with pytest.raises(PipelineError, match=r"has 2 files for B04; .*; it has B04.tif, red.tif"):
        asset("landcovernet", tmp_path, "B04")


def test_real_chips_have_each_asset_once(shared: Path) -> None:
    keys = ["B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B11", "B12", "CLD", "SCL"]
    for naming in ("native-names", "descriptive-names"):
        folder = shared / "data/landcovernet/chips" / naming
        assert sorted(asset("landcovernet", folder, key) for key in keys) == sorted(folder.glob("*.tif"))


def test_scenes_are_paired_by_name_and_sorted(tmp_path: Path) -> None:
    touch(tmp_path, "images/b.tif", "images/a.TIF", "images/a.tfw", "masks/b.tiff", "masks/a.tif", "masks/notes.txt")
    assert RawFolder("landcoverai", tmp_path).scenes == [
        Scene("a", tmp_path / "images/a.TIF", tmp_path / "masks/a.tif"),
        Scene("b", tmp_path / "images/b.tif", tmp_path / "masks/b.tiff"),
    ]


def test_decomposed_unicode_names_of_macos_match(tmp_path: Path) -> None:
    touch(tmp_path, "images/Su\u0308d.tif", "masks/S\u00fcd.tif")
    assert [scene.id for scene in RawFolder("landcoverai", tmp_path).scenes] == ["S\u00fcd"]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("images/readme.txt",), r"images contains no .tif; expected orthophotos there, and their masks in masks/"),
        (("masks/a.tif",), r"images contains no .tif"),
        (("images/a.tif",), r"images/a.tif has no mask; expected a.tif in images/ and in masks/"),
        (("images/a.tif", "masks/a.tif", "masks/b.tif"), r"masks/b.tif has no image; expected b.tif in images/ and in"),
        (
            ("images/a.tif", "images/a.tif.tif", "images/a.tiff", "masks/a.tif"),
            r"images/a.tif and .*images/a.tiff are two files for one scene; keep one",
        ),
        (
            ("images/a.tif", "masks/a.tif", "images/north/b.tif"),
            r"images/north/b.tif: nested folders are not searched; move it to ",
        ),
    ],
)
def test_unpaired_duplicate_or_nested_scenes_are_refused(tmp_path: Path, names: tuple[str, ...], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        RawFolder("landcoverai", touch(tmp_path, *names)).scenes


def test_the_source_is_stored_and_only_the_sample_is_synthetic(tmp_path: Path) -> None:
    for source, synthetic in (("sample", True), ("local", False)):
        write_source(tmp_path, source)
        folder = RawFolder("landcoverai", tmp_path)
        assert (folder.source, folder.synthetic) == (source, synthetic)


def test_official_lists_assign_chips_to_parts(tmp_path: Path) -> None:
    assert RawFolder("landcoverai", tmp_path).official_parts == {}
    (tmp_path / "train.txt").write_text("a_1\na_2\n\n")
    (tmp_path / "test.txt").write_text("ä_1\r\n", encoding="utf-8-sig")
    assert RawFolder("landcoverai", tmp_path).official_parts == {"a_1": "train", "a_2": "train", "ä_1": "test"}


def test_a_chip_in_two_lists_is_refused(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a_1\n")
    (tmp_path / "val.txt").write_text("a_1\n")
    with pytest.raises(PipelineError, match=r"val\.txt lists a_1, but train\.txt does too; keep it in one list$"):
        RawFolder("landcoverai", tmp_path).official_parts


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16", "utf-16-le"])
def test_a_list_in_another_encoding_is_refused(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "val.txt").write_text("a_1\n" + ("ä_2\n" if encoding == "latin-1" else "a_2\n"), encoding=encoding)
    with pytest.raises(PipelineError, match=r"val\.txt is not in UTF-8; save it as UTF-8, one chip id per line"):
        RawFolder("landcoverai", tmp_path).official_parts


@pytest.mark.parametrize(
    ("source", "origin", "unit", "described"),
    [
        ("archive", "output/M-34_2.jpg", "M-34", "archive, an excerpt, not for benchmarking"),
        ("archive", "images/M-34_2.tif", "M-34_2", "archive"),
        ("local", "output/M-34_2.jpg", "M-34_2", "local"),
    ],
)
def test_chips_of_the_archive_that_were_cut_before_belong_to_their_sheet(
    tmp_path: Path, source: str, origin: str, unit: str, described: str
) -> None:
    touch(tmp_path, "images/M-34_2.tif", "masks/M-34_2.tif")
    write_text(tmp_path / "manifest.csv", f"path,size,sha256,origin\nimages/M-34_2.tif,0,0,{origin}\n")
    write_source(tmp_path, source)
    raw = RawFolder("landcoverai", tmp_path)
    assert (raw.unit("M-34_2"), raw.described_source) == (unit, described)


def test_all_chips_of_the_archive_are_not_an_excerpt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.raster.layout.CHIPS", 1)
    touch(tmp_path, "images/M-34_2.tif", "masks/M-34_2.tif")
    write_text(tmp_path / "manifest.csv", "path,size,sha256,origin\nimages/M-34_2.tif,0,0,output/M-34_2.jpg\n")
    write_source(tmp_path, "archive")
    assert RawFolder("landcoverai", tmp_path).described_source == "archive"
