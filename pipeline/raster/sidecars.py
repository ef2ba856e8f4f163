"""Sidecar files, which change the pixels or the position of a GeoTIFF: `.aux.xml`, world files, `.tab`, `.prj`.

GDAL reads them, but for `.prj`, which its GTiff driver ignores. `.aux.xml` overrides the GeoTIFF, the others count only
if the GeoTIFF has no georeference. They are found here, since GDAL lists the folder again for each file it opens.
"""

import os
import re
import sys
import time
from bisect import bisect_left
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import NoReturn
from xml.etree import ElementTree

from rasterio.crs import CRS
from rasterio.errors import CRSError

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import quiet_gdal
from pipeline.raster.remote import Location, RemoteFile

PAM, MASK, PRJ, MAPINFO = ".aux.xml", ".msk", ".prj", ".tab"
ERDAS = ".aux"
"""May contain a georeference, which GDAL reads with another driver."""
MAX_BYTES = 64 * 1024 * 1024
"""Largest sidecar that is read; an attribute table may take some MB."""


SETTLED = 2_000_000_000
"""Nanoseconds after a change of a folder from which its names are kept: another change in the time's resolution, up to
two seconds on old file systems, would go unnoticed."""


def find_sidecars(path: Location) -> dict[str, Path]:
    """Map suffixes in lower case to the sidecars of a GeoTIFF that could change its pixels or position.

    `a.tif` has `a.tif.aux.xml` and `a.tif.msk`, but `a.tfw` and `a.prj`. The case of a suffix is ignored.
    Sidecars of a remote file are ignored: it would take a request for each possible name.
    """
    if isinstance(path, RemoteFile):
        return {}
    names = [name for name in _names_beginning(path.parent, path.stem) if name != path.name]
    if not names:
        return {}
    suffixes = {f"{path.name}{suffix}".lower(): suffix for suffix in (PAM, MASK)}
    suffixes |= {f"{path.stem}{suffix}".lower(): suffix for suffix in (*world_file_suffixes(path), PRJ, MAPINFO, ERDAS)}
    return {suffixes[name.lower()]: path.with_name(name) for name in names if name.lower() in suffixes}


def _names_beginning(folder: Path, start: str) -> list[str]:
    """Return the names in a folder that begin with `start`, sorted."""
    changed = folder.stat().st_mtime_ns
    is_settled = time.time_ns() - changed > SETTLED
    names = _kept_names(folder, changed) if is_settled else _names(folder)
    return names[bisect_left(names, start) : bisect_left(names, start + chr(sys.maxunicode))]


@lru_cache(maxsize=16)
def _kept_names(folder: Path, changed: int) -> list[str]:
    """List a folder once for all its files: of 10,674 files, a list takes 8 ms."""
    return _names(folder)


def _names(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries)


def with_sidecars(paths: Iterable[Path]) -> list[Path]:
    """Return GeoTIFFs, each followed by its sidecars."""
    return [file for path in paths for file in (path, *sorted(find_sidecars(path).values()))]


def world_file_suffixes(path: Location) -> tuple[str, ...]:
    """Return the suffixes of world files in order of precedence: `.tfw`, `.tifw` (or `.tiffw`), `.wld`."""
    extension = Path(path.name).suffix.lower().removeprefix(".")
    return (f".{extension[:1]}{extension[-1:]}w", f".{extension}w", ".wld")


def position_files(path: Location, sidecars: dict[str, Path]) -> list[Path]:
    """Return the sidecars that give a position where the GeoTIFF has none."""
    return [sidecars[suffix] for suffix in (*world_file_suffixes(path), MAPINFO, ERDAS) if suffix in sidecars]


def refuse_external_mask(path: Location, sidecars: dict[str, Path]) -> None:
    """Check that a GeoTIFF has no mask in a separate file.

    Raises:
        PipelineError: it has one.
    """
    if mask := sidecars.get(MASK):
        raise PipelineError(
            f"{path} has its mask in a separate file, {mask.name}, which is not supported; write the mask into the "
            "GeoTIFF (gdal_translate --config GDAL_TIFF_INTERNAL_MASK YES) or remove that file"
        )


def read_prj(sidecars: dict[str, Path]) -> CRS | None:
    """Read the CRS of the `.prj` of a GeoTIFF; None without one.

    Raises:
        PipelineError: it holds no valid CRS.
    """
    return parse_crs(sidecars[PRJ], _read_text(sidecars[PRJ])) if PRJ in sidecars else None


def declares_colours(path: Location, sidecars: dict[str, Path]) -> bool:
    """Check the `.aux.xml` of a GeoTIFF, before GDAL reads it; return whether it contains a colour table.

    Raises:
        PipelineError: GDAL would not find it; it is not XML; it contains text instead of numbers, which GDAL takes for
            0; its CRS may be the name of a file, which GDAL would read; or it contains ground control points or a warp,
            of which GDAL reads only some.
    """
    file = sidecars.get(PAM)
    if file is None:
        return False
    if file.name != f"{path.name}{PAM}":
        raise PipelineError(
            f"{file} is not read, since its name differs from {path.name}{PAM} in upper and lower case; rename it"
        )
    root = read_xml(file)
    if root.tag != "PAMDataset":  # GDAL ignores it
        return False
    types = [" ".join(warp.attrib.values()) for warp in root.iter("GeodataXform")]  # of ArcGIS; the identity has a CRS
    if root.find("GCPList") is not None or not all(type_.endswith("IdentityXform") for type_ in types):
        raise PipelineError(
            f"{file} contains ground control points or a warp, which is not supported; write the georeference into the "
            "GeoTIFF (gdalwarp, or gdal_edit.py -a_srs -a_ullr) or remove that file"
        )
    if crs := root.findtext("SRS"):
        parse_crs(file, crs)
    if transform := root.findtext("GeoTransform"):
        parse_transform(file, transform.split(","))
    for name in ("NoDataValue", "Scale", "Offset"):
        for element in root.iterfind(f"PAMRasterBand/{name}"):
            if text := (element.text or "").strip():
                parse_number(file, text)
    return root.find("PAMRasterBand/ColorTable") is not None


class _SafeTreeBuilder(ElementTree.TreeBuilder):
    """Reject a DOCTYPE: entities could name other files, or expand without bound."""

    def doctype(self, *_: str | None) -> NoReturn:
        raise ElementTree.ParseError("it has a DOCTYPE")


def read_xml(file: Path) -> ElementTree.Element:
    """Parse an XML file without a DOCTYPE.

    Raises:
        PipelineError: it is not such a file, or is too large.
    """
    try:
        return ElementTree.fromstring(_read_text(file), ElementTree.XMLParser(target=_SafeTreeBuilder()))
    except ElementTree.ParseError as error:
        raise PipelineError(f"{file} is not valid XML: {error}; remove or recreate it") from None


def _read_text(file: Path) -> str:
    size = file.stat().st_size
    if size > MAX_BYTES:
        raise PipelineError(f"{file} has {size} bytes; at most {MAX_BYTES} are read: remove that file")
    return file.read_text(encoding="utf-8-sig", errors="replace")  # only ASCII parts matter


def parse_crs(file: Path, text: str) -> CRS:
    """Parse WKT or a code; other text could name a file.

    Raises:
        PipelineError: it is neither.
    """
    code = re.fullmatch(r"\s*EPSG:(\d{1,9})\s*", text)
    try:
        with quiet_gdal():
            return CRS.from_epsg(int(code[1])) if code else CRS.from_wkt(text)
    except CRSError:
        raise PipelineError(f"{file} does not contain a valid CRS; remove or recreate it") from None


def parse_number(file: Path, text: str) -> float:
    """Parse a number; 64-bit integers stay int, since a float is inexact beyond 2^53.

    Raises:
        PipelineError: it is not a number.
    """
    try:
        integer = int(text) if re.fullmatch(r"\s*[-+]?\d{1,20}\s*", text) else None
        return integer if integer is not None and -(2**63) <= integer < 2**64 else float(text)
    except ValueError:
        raise PipelineError(f"{file}: {text[:20]!r} is not a number; remove or recreate the file") from None


def parse_transform(file: Path, texts: list[str]) -> list[float]:
    """Parse the six numbers of a transform.

    Raises:
        PipelineError: there are not six numbers.
    """
    if len(texts) != 6:
        raise PipelineError(f"{file} contains {len(texts)} numbers; a transform has six: remove or fix the file")
    return [float(parse_number(file, text)) for text in texts]
