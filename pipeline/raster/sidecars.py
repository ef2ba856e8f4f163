"""What small text files beside a GeoTIFF say of it: GDAL's `.aux.xml`, world files and `.prj`.

They are parsed here, by the standard library, so that no other driver of GDAL opens anything. As in GDAL, `.aux.xml`
stands above what the GeoTIFF itself says, and world file and `.prj` count only where it says nothing.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

import rasterio
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.session import DummySession
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError

PAM, MASK, PRJ = ".aux.xml", ".msk", ".prj"
UNREAD = (".tab", ".aux")
"""Other files that may hold a georeference: MapInfo's and ERDAS'."""
MOST_BYTES = 64 * 1024 * 1024
"""Of a file beside a GeoTIFF: an attribute table may have some MB."""


@dataclass(frozen=True)
class Pam:
    """What an `.aux.xml` says that changes pixels or their place; bands are counted from 1."""

    nodata: dict[int, float] = field(default_factory=dict)
    scales: dict[int, float] = field(default_factory=dict)
    offsets: dict[int, float] = field(default_factory=dict)
    interpretations: dict[int, str] = field(default_factory=dict)
    """What a band means, in GDAL's words, such as `alpha`."""
    colour_table: Path | None = None
    """The file, if it gives a band a colour table."""
    crs: CRS | None = None
    transform: Affine | None = None


def beside(path: Path) -> dict[str, Path]:
    """From suffix, in lower case, to the file beside a GeoTIFF that could change its pixels or place.

    `a.tif` has `a.tif.aux.xml` and `a.tif.msk`, but `a.tfw` and `a.prj`; case does not matter in a suffix, as to GDAL.
    """
    names = {f"{path.name}{suffix}".lower(): suffix for suffix in (PAM, MASK)}
    names |= {f"{path.stem}{suffix}".lower(): suffix for suffix in (*world_suffixes(path), PRJ, *UNREAD)}
    with os.scandir(path.parent) as entries:
        found = sorted(each.name for each in entries if each.name.lower() in names and each.name.startswith(path.stem))
    return {names[name.lower()]: path.with_name(name) for name in found}


def with_sidecars(paths: Iterable[Path]) -> list[Path]:
    """GeoTIFFs, each followed by the files beside it that count."""
    return [each for path in paths for each in (path, *sorted(beside(path).values()))]


def world_suffixes(path: Path) -> tuple[str, ...]:
    """The suffixes of world files, the first that exists counts: `.tfw`, `.tifw` (or `.tiffw`), `.wld`."""
    kind = path.suffix.lower().removeprefix(".")
    return (f".{kind[:1]}{kind[-1:]}w", f".{kind}w", ".wld")


def refuse_mask(path: Path, files: dict[str, Path]) -> None:
    """Check that no mask lies beside a GeoTIFF.

    Raises:
        PipelineError: there is one.
    """
    if mask := files.get(MASK):
        raise PipelineError(
            f"{path} has its mask in a file beside it, {mask.name}, which is not read; write the mask into the "
            "GeoTIFF (gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES) or remove that file"
        )


def read_pam(file: Path | None) -> Pam:
    """Read an `.aux.xml`; statistics, histograms and attribute tables in it change nothing.

    Raises:
        PipelineError: it is no XML, or says what is not honoured: ground control points, a warp.
    """
    if file is None:
        return Pam()
    root = _xml(file)
    if root.tag != "PAMDataset":
        return Pam()
    if root.find("GCPList") is not None:
        _refuse(file, "holds ground control points")
    nodata: dict[int, float] = {}
    scales: dict[int, float] = {}
    offsets: dict[int, float] = {}
    interpretations: dict[int, str] = {}
    colours = None
    for band in root.findall("PAMRasterBand"):
        if band.get("band") is None:  # GDAL passes over it too
            continue
        number = _band(file, band.get("band", ""))
        for tag, values in (("NoDataValue", nodata), ("Scale", scales), ("Offset", offsets)):
            if text := (band.findtext(tag) or "").strip():
                values[number] = _number(file, text)
        if meaning := band.findtext("ColorInterp"):
            interpretations[number] = meaning.strip().lower()
        colours = file if band.find("ColorTable") is not None else colours
    crs, transform = root.findtext("SRS") or _esri_crs(file, root), root.findtext("GeoTransform")
    return Pam(
        nodata,
        scales,
        offsets,
        interpretations,
        colours,
        _crs(file, crs) if crs else None,
        Affine.from_gdal(*_numbers(file, transform.split(","))) if transform else None,
    )


def read_world(path: Path, files: dict[str, Path]) -> Affine | None:
    """The transform that a world file beside a GeoTIFF gives; None without one.

    Raises:
        PipelineError: it does not hold six numbers.
    """
    found = [files[suffix] for suffix in world_suffixes(path) if suffix in files]
    if not found:
        return None
    # a world file tells of the centre of the first pixel, a geotransform of its corner
    a, d, b, e, x, y = _numbers(found[0], _text(found[0]).replace(",", ".").split())
    return Affine(a, b, x, d, e, y) @ Affine.translation(-0.5, -0.5)


def read_prj(files: dict[str, Path]) -> CRS | None:
    """The CRS that a `.prj` beside a GeoTIFF gives; None without one.

    Raises:
        PipelineError: it holds no CRS.
    """
    return _crs(files[PRJ], _text(files[PRJ])) if PRJ in files else None


def refuse_unread(path: Path, files: dict[str, Path]) -> None:
    """Check that a GeoTIFF without a georeference has none in a file that is not read.

    Raises:
        PipelineError: there is such a file.
    """
    for suffix in UNREAD:
        if suffix in files:
            _refuse(files[suffix], f"may hold the georeference of {path}")


def _esri_crs(file: Path, root: ElementTree.Element) -> str | None:
    """ArcGIS leaves the CRS in a warp that moves nothing."""
    for warp in root.iter("GeodataXform"):
        kinds = [value for key, value in warp.attrib.items() if key.endswith("}type")]
        if not any(kind.endswith("IdentityXform") for kind in kinds):
            _refuse(file, f"holds a warp ({', '.join(kinds) or 'of no type'})")
        return warp.findtext("SpatialReference/WKT")
    return None


def _refuse(file: Path, what: str) -> NoReturn:
    raise PipelineError(
        f"{file} {what}, which is not read; write the georeference into the GeoTIFF (gdalwarp, or gdal_edit.py -a_srs "
        "-a_ullr) or remove that file"
    )


class _Builder(ElementTree.TreeBuilder):
    """Builds a tree of a document that declares no entities: those could name other files, or grow without bound."""

    def doctype(self, *_: str | None) -> NoReturn:
        raise ElementTree.ParseError("it has a DOCTYPE")


def _xml(file: Path) -> ElementTree.Element:
    try:
        return ElementTree.fromstring(_text(file), ElementTree.XMLParser(target=_Builder()))
    except ElementTree.ParseError as error:
        raise PipelineError(f"{file} is no XML as GDAL writes it: {error}; remove it, or write it anew") from None


def _text(file: Path) -> str:
    if file.stat().st_size > MOST_BYTES:
        raise PipelineError(f"{file} has {file.stat().st_size} bytes; at most {MOST_BYTES} are read: remove that file")
    return file.read_text(encoding="utf-8-sig", errors="replace")  # what counts in it is ASCII, whatever else is not


def _crs(file: Path, text: str) -> CRS:
    """Only a CRS that is written out or a code: other text could name a file."""
    code = re.fullmatch(r"\s*EPSG:(\d{1,9})\s*", text)
    try:
        with rasterio.Env(session=DummySession()):  # else GDAL prints what it dislikes
            return CRS.from_epsg(int(code[1])) if code else CRS.from_wkt(text)
    except CRSError:
        raise PipelineError(f"{file} holds no CRS that is known; remove it, or write it anew") from None


def _band(file: Path, text: str) -> int:
    if not re.fullmatch(r"\d{1,9}", text):
        raise PipelineError(f"{file} holds {text[:20]!r} in place of a band's number; remove it, or write it anew")
    return int(text)


def _number(file: Path, text: str) -> float:
    """An int where it is one of 64 bits, which a float could not hold beyond 2^53."""
    try:
        whole = int(text) if re.fullmatch(r"\s*[-+]?\d{1,20}\s*", text) else None
        return whole if whole is not None and -(2**63) <= whole < 2**64 else float(text)
    except ValueError:
        raise PipelineError(f"{file} holds {text[:20]!r} in place of a number; remove it, or write it anew") from None


def _numbers(file: Path, texts: list[str]) -> list[float]:
    if len(texts) != 6:
        raise PipelineError(f"{file} holds {len(texts)} numbers; six say where an image lies: remove it, or mend it")
    return [float(_number(file, text)) for text in texts]
