"""Fuzzing with flipped and missing bytes: no traceback, no hang, no file outside the folder, no silently wrong chip."""

import io
import json
import random
import re
import shutil
import signal
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.dtypes import dtype_rev

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure
from pipeline.core.files import sha256
from pipeline.raster import integrity
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.layout import MANIFEST
from pipeline.sources.stac import parse_item
from pipeline.sources.unpack import read_tar, unzip
from pipeline.tile import TileParams, tile
from tests.sources.hub import tar
from tests.sources.test_stac import BASE, item
from tests.sources.world import files_below
from tests.world import TWO_CLASSES, archive, at, gradient, halves, landcovernet_item, orthophoto, params

FEW, MANY = range(10), range(10, 2510)
SECONDS = 20


def damaged(body: bytes, rng: random.Random) -> bytes:
    """Flip a few bytes, mostly near the start, where formats have their headers; or truncate or delete some."""
    text = bytearray(body)
    for _ in range(rng.choice((1, 1, 2, 4, 16))):
        reach = rng.choice((16, 64, 512, len(text)))
        text[rng.randrange(min(reach, len(text)))] = rng.choice((0, 1, 127, 128, 255, rng.randrange(256)))
    kind = rng.randrange(4)
    if kind == 0:
        del text[rng.randrange(len(text)) :]
    elif kind == 1:
        start = rng.randrange(len(text))
        del text[start : start + rng.randrange(1, 64)]
    return bytes(text) if bytes(text) != body else body[:-1]


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    def expire(*_: object) -> None:
        raise TimeoutError(f"still running after {seconds} s")

    before = signal.signal(signal.SIGALRM, expire)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def fuzz_scene(folder: Path, rng: random.Random) -> None:
    """A scene that was changed after its download is refused; one that was not gives chips or a PipelineError."""
    raw = archive(folder / "raw", "landcoverai", TWO_CLASSES)
    tiled = {"compress": "deflate", "tiled": True, "blockxsize": 32, "blockysize": 32}
    options = rng.choice(({}, {"compress": "lzw"}, tiled))
    scene = orthophoto(raw, "a")
    path = rng.choice((scene.image, scene.mask))
    path.unlink()
    write_geotiff(path, gradient(64, 96) if path == scene.image else halves(64, 96)[None], at(pixel=0.5), **options)
    rows = "path,size,sha256,origin\n"
    rows += "".join(f"{file.relative_to(raw)},1,{sha256(file)},x\n" for file in (scene.image, scene.mask))
    path.write_bytes(damaged(path.read_bytes(), rng))
    given = params(TileParams, on_error="stop")
    try:
        tile(raw, folder / "chips", folder / "failures.csv", given)
    except PipelineError:
        assert not (folder / "chips").exists()
    shutil.rmtree(folder / "chips", ignore_errors=True)
    (raw / MANIFEST).write_text(rows)
    with pytest.raises(PipelineError, match="was changed after the download: its SHA-256 is "):
        tile(raw, folder / "chips", folder / "failures.csv", given)
    (raw / MANIFEST).unlink()
    assert {name.split("/")[0] for name in files_below(folder)} <= {"raw", "failures.csv"}


DTYPES = (*integrity.DTYPES, "complex_int16", "complex64", "complex128")


def fuzz_dtype(folder: Path, rng: random.Random) -> None:
    """A scene with random samples of any dtype affects no other scene."""
    raw = archive(folder / "raw", "landcoverai", TWO_CLASSES)
    for scene in "ab":
        orthophoto(raw, scene)
    dtype = rng.choice([dtype for dtype in DTYPES if dtype in dtype_rev])
    kind = np.dtype("complex64" if dtype == "complex_int16" else dtype)
    count = rng.choice((1, 3, 4))
    bits = np.frombuffer(rng.randbytes(count * 64 * 96 * kind.itemsize), kind).reshape(count, 64, 96)
    with np.errstate(invalid="ignore"), warnings.catch_warnings():  # NaN cast to integer
        warnings.simplefilter("ignore")
        write_samples(raw / rng.choice(("images", "masks")) / "b.tif", bits, dtype, rng)
    stretch = rng.choice(("none", [0.0, 255.0], [0.0, 4000.0], [-1e30, 1e30]))
    changes = {"on_error": "skip", "tile.stretch": stretch, "tile.bands": rng.choice(([1, 2, 3], [1, 1, 1]))}
    try:
        tile(raw, folder / "chips", folder / "failures.csv", params(TileParams, **changes))
    except PipelineError as error:
        assert "2 files failed" in str(error)  # the good one too: its dtype or bands do not fit the stretch
    assert {name.split("/")[0] for name in files_below(folder)} <= {"raw", "chips", "failures.csv"}


def write_samples(path: Path, bands_CHW: np.ndarray, dtype: str, rng: random.Random) -> None:
    place = at(pixel=0.5)
    shape = dict(zip(("count", "height", "width"), bands_CHW.shape, strict=True))
    with rasterio.open(
        path, "w", driver="GTiff", dtype=dtype, crs=place.crs, transform=place.transform, **shape
    ) as dataset:
        dataset.write(bands_CHW)
        if rng.random() < 0.5:
            dataset.nodata = rng.choice((0, 1, 77))
        if rng.random() < 0.3:
            dataset.scales = [rng.choice((1.0, 1e-4, 1e300, 0.0))] * len(bands_CHW)


def fuzz_item(folder: Path, rng: random.Random) -> None:
    raw = archive(folder / "raw", "landcovernet")
    landcovernet_item(raw, "31PGS_01", date(2020, 1, 1))
    bad = landcovernet_item(raw, "31PGS_01", date(2020, 1, 2)).folder / f"{rng.choice(('B04', 'SCL'))}.tif"
    bad.write_bytes(damaged(bad.read_bytes(), rng))
    given = params(CloudFilterParams, on_error="skip")
    cloud_filter("landcovernet", raw, folder / "clear.csv", folder / "failures.csv", given)
    assert "31PGS_01_20200101" in (folder / "clear.csv").read_text()
    assert {name.split("/")[0] for name in files_below(folder)} == {"raw", "failures.csv", "clear.csv"}


MEMBERS = {f"images/{name}.tif": name.encode() * 3000 for name in "abc"} | {"train.txt": b"a_1\n"}


def fuzz_zip(folder: Path, rng: random.Random) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))) as zipped:
        for name, body in MEMBERS.items():
            zipped.writestr(name, body)
    (folder / "a.zip").write_bytes(damaged(packed.getvalue(), rng))
    (folder / "out").mkdir()
    try:
        for name in unzip(folder / "a.zip", folder / "out"):
            if not isinstance(name, Failure):
                assert (folder / "out" / name).read_bytes() in MEMBERS.values()
    except PipelineError:
        pass
    assert all(name == "a.zip" or name.startswith("out/") for name in files_below(folder))


def fuzz_tar(folder: Path, rng: random.Random) -> None:
    (folder / "a.tar.gz").write_bytes(damaged(tar(MEMBERS), rng))
    try:
        members = list(read_tar(folder / "a.tar.gz", 10**5))
    except PipelineError:
        members = []
    assert all(isinstance(member, Failure) or member[1] in MEMBERS.values() for member in members)
    assert list(files_below(folder)) == ["a.tar.gz"]


def fuzz_stac(folder: Path, rng: random.Random) -> None:
    try:
        parsed = parse_item(damaged(json.dumps(item()).encode(), rng), "landcovernet", BASE)
    except PipelineError:
        return
    if parsed is not None:
        assert re.fullmatch(r"\w+/ref_landcovernet_\w+", parsed.folder.as_posix())
        assert all(remote.url.startswith(("http://", "https://")) for remote in parsed.assets.values())


Fuzzer = Callable[[Path, random.Random], None]
SLOW: list[Fuzzer] = [fuzz_scene, fuzz_dtype, fuzz_item]
FAST: list[Fuzzer] = [fuzz_zip, fuzz_tar, fuzz_stac]


def run(fuzz: Fuzzer, seeds: range, tmp_path: Path) -> None:
    for seed in seeds:
        folder = tmp_path / "case"
        folder.mkdir()
        print(f"{fuzz.__name__}, seed {seed}")  # pytest shows it on failure
        with time_limit(SECONDS):
            fuzz(folder, random.Random(seed))
        shutil.rmtree(folder)


@pytest.mark.parametrize("seeds", [FEW, pytest.param(MANY, marks=pytest.mark.soak)], ids=["few", "many"])
@pytest.mark.parametrize(
    "fuzz", [*SLOW, *(pytest.param(fuzz, marks=pytest.mark.short) for fuzz in FAST)], ids=lambda fuzz: fuzz.__name__
)
def test_damaged_files_are_refused_or_read(fuzz: Fuzzer, seeds: range, tmp_path: Path) -> None:
    run(fuzz, seeds, tmp_path)


@pytest.mark.parametrize(("fuzz", "seed"), [(fuzz_scene, 78), (fuzz_scene, 554), (fuzz_dtype, 161)])
def test_scenes_that_raised_other_errors(fuzz: Fuzzer, seed: int, tmp_path: Path) -> None:
    run(fuzz, range(seed, seed + 1), tmp_path)
