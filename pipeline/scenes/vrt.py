"""GDAL's `.vrt` mosaics, resolved to the files they name, each opened by the GTiff driver alone.

The format is that of https://gdal.org/en/stable/drivers/raster/vrt.html. Mosaics by `gdalbuildvrt` and windows by
`gdal_translate -of VRT` are read; whatever resamples or computes is refused.
"""

import re
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shlex import quote
from xml.etree.ElementTree import Element

from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.grids import Grid
from pipeline.raster.sidecars import parse_number, parse_transform, read_xml
from pipeline.scenes.geotiff_scene import open_band_files, open_scene
from pipeline.scenes.mosaic import Mosaic, OpenFile, PlacedFile, Placement, open_mosaic
from pipeline.scenes.mosaic_files import MAX_SIDE, is_local_file, refuse, remote_url, stated_grid
from pipeline.scenes.scene import ReadOptions

MAX_SHIFT = 0.01
"""Largest deviation of a rectangle from whole pixels."""
VRT = ".vrt"
SOURCES = {"SimpleSource", "ComplexSource"}
PARTS = {"SourceFilename", "SourceBand", "SourceProperties", "SrcRect", "DstRect", "NODATA", "UseMaskBand"}
"""Elements of a source that are read, or have no effect on pixels."""


@dataclass(frozen=True)
class _Source:
    """A source of one band."""

    file: str
    band: int
    placement: Placement
    nodata: float | None
    """Value that is not drawn, or else the no-data value of the VRT's band; None for that of the file."""


def open_vrt(path: Path, options: ReadOptions) -> AbstractContextManager[Mosaic]:
    """Open a VRT as one scene.

    A source with NODATA or UseMaskBand covers those before it where the file has data, others everywhere. Unlike GDAL,
    a pixel counts as a whole: where some of its bands are NODATA, GDAL combines bands of different files.

    Raises:
        PipelineError: it is damaged, or needs more than placing GeoTIFFs on its grid; or a file cannot be opened.
    """
    root = read_xml(path)
    grid = _read_grid(path, root)
    return open_mosaic(grid, _read_files(path, root, options), len(options.imagery.bands))


def _read_grid(path: Path, root: Element) -> Grid:
    if root.tag != "VRTDataset":
        raise PipelineError(f"{path} is not a VRT: its root element is {root.tag[:40]}, not VRTDataset")
    if kind := root.get("subClass"):
        refuse(path, f"is a {kind[:40]}, which resamples or computes pixels")
    width, height = (parse_number(path, root.get(name, "")) for name in ("rasterXSize", "rasterYSize"))
    crs, transform = root.findtext("SRS"), root.findtext("GeoTransform")
    if root.find("GCPList") is not None and not transform:
        raise PipelineError(
            f"{path} is georeferenced by ground control points, which are not supported; warp it first: gdalwarp "
            f"{quote(str(path))} warped.tif"
        )
    affine = Affine.from_gdal(*parse_transform(path, transform.split(","))) if transform else Affine.identity()
    return stated_grid(path, width, height, affine, crs)


def _read_files(path: Path, root: Element, options: ReadOptions) -> list[PlacedFile]:
    """Combine the sources of the model's bands, which must match one by one."""
    bands = _find_bands(path, root, options)
    sources_by_band = [_read_sources(path, band) for band in bands]
    if len({len(sources) for sources in sources_by_band}) > 1:
        refuse(path, "has bands of different files")
    return [_place(path, sources, options) for sources in zip(*sources_by_band, strict=True)]


def _place(path: Path, sources: tuple[_Source, ...], options: ReadOptions) -> PlacedFile:
    first, files = sources[0], tuple(source.file for source in sources)
    if len({(source.placement, str(source.nodata)) for source in sources}) > 1:
        refuse(path, f"places the bands of {first.file} differently")
    options = replace(options, nodata=first.nodata, bands=tuple(source.band for source in sources))
    if len(set(files)) == 1:
        open_file: OpenFile = partial(open_scene, first.file, options)
    elif len(set(files)) == len(files) and set(options.bands or ()) == {1}:
        open_file = partial(open_band_files, files, options)
    else:
        refuse(path, f"combines bands of several files ({', '.join(files)})")
    return PlacedFile(open_file, first.placement, (f"nodata {options.nodata}", f"bands {options.bands}"))


def _find_bands(path: Path, root: Element, options: ReadOptions) -> list[Element]:
    """Return the model's bands: by number, by name, or all bands where there are as many, without a name."""
    bands = root.findall("VRTRasterBand")
    by_name = {name: band for band in bands if (name := (band.findtext("Description") or "").strip())}
    by_name |= {str(number): band for number, band in enumerate(bands, 1)}
    wanted = options.imagery.bands
    if all(name in by_name for name in wanted):
        return [by_name[name] for name in wanted]
    if len(bands) == len(wanted) and len(by_name) == len(bands) and not any(name.isdecimal() for name in wanted):
        return bands
    if len(bands) == 1 and bands[0].find("ColorTable") is not None:
        raise PipelineError(
            f"{path} has a colour table, which is not supported in a VRT; write its colours to a GeoTIFF: "
            f"gdal_translate -expand rgb -co TILED=YES -co COMPRESS=DEFLATE {quote(str(path))} {quote(path.stem)}.tif"
        )
    raise PipelineError(
        f"{path} has the bands {', '.join(by_name)}, and the model needs {', '.join(wanted)}, in this order: build it "
        "from their files with gdalbuildvrt -separate, or use --bands"
    )


def _read_sources(path: Path, band: Element) -> list[_Source]:
    if kind := band.get("subClass"):
        refuse(path, f"has a {kind[:40]}, which computes pixels")
    is_hidden = (band.findtext("HideNoDataValue") or "0").strip() not in ("0", "false")
    nodata = None if is_hidden else _parse_nodata(path, band, "NoDataValue")
    elements = [element for element in band if element.tag.endswith("Source")]
    return [_read_source(path, element, nodata) for element in elements]


def _read_source(path: Path, element: Element, nodata: float | None) -> _Source:
    """Read a source in a band whose no-data value is `nodata`."""
    if element.tag not in SOURCES:
        refuse(path, f"has a {element.tag[:40]}, which computes pixels")
    if unknown := [part.tag for part in element if part.tag not in PARTS]:
        refuse(path, f"changes the values of a source ({unknown[0][:40]})")
    source, target = (_parse_rectangle(path, element.find(name)) for name in ("SrcRect", "DstRect"))
    if source[2:] != target[2:]:
        refuse(path, f"resamples {source[2]} x {source[3]} px to {target[2]} x {target[3]}")
    is_complex = element.tag == "ComplexSource"
    own_nodata = _parse_nodata(path, element, "NODATA") if is_complex else None
    has_mask = is_complex and (element.findtext("UseMaskBand") or "").strip().lower() in ("1", "true", "yes", "on")
    (column, row, width, height), (source_column, source_row) = target, source[:2]
    is_opaque = own_nodata is None and not has_mask
    placement = Placement(row, column, height, width, source_row, source_column, is_opaque)
    number = (element.findtext("SourceBand") or "1").strip()
    if not re.fullmatch(r"[1-9]\d{0,5}", number):
        refuse(path, f"reads the band {number[:20]!r} of a source")
    nodata = own_nodata if is_complex and (has_mask or own_nodata is not None) else nodata
    return _Source(_find_file(path, element), int(number), placement, nodata)


def _find_file(path: Path, element: Element) -> str:
    """Return the path or URL of a source."""
    node = element.find("SourceFilename")
    name = ("" if node is None else node.text or "").strip()
    if url := remote_url(name):
        return url
    if not is_local_file(name):
        refuse(path, f"has the source {name[:80]!r}, which is not the name of a GeoTIFF")
    if name.lower().endswith(".vrt"):
        refuse(path, f"has another VRT as a source, {name}")
    is_relative = node is not None and node.get("relativeToVRT") == "1"
    return str(path.parent / name if is_relative else Path(name))


def _parse_rectangle(path: Path, element: Element | None) -> tuple[int, int, int, int]:
    """Return xOff, yOff, xSize, ySize."""
    if element is None:
        refuse(path, "has a source without SrcRect or DstRect")
    values = [float(parse_number(path, element.get(name, ""))) for name in ("xOff", "yOff", "xSize", "ySize")]
    if not all(abs(value) <= MAX_SIDE and abs(value - round(value)) <= MAX_SHIFT for value in values):
        refuse(path, f"places a source at fractions of a pixel ({', '.join(f'{value:.9g}' for value in values)})")
    x, y, width, height = map(round, values)
    if width < 1 or height < 1:
        refuse(path, f"has a source of {width} x {height} px")
    return x, y, width, height


def _parse_nodata(path: Path, element: Element, tag: str) -> float | None:
    text = (element.findtext(tag) or "").strip()
    return parse_number(path, text) if text else None
