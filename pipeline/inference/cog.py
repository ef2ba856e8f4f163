"""Write the layers of a map as Cloud-Optimised GeoTIFFs, with GDAL's own driver."""

from dataclasses import dataclass, field
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.windows import Window

from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.inference.layers import Layer
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.georeference import Georeference

ROWS = 512
"""Side of a block."""
OPTIONS = {
    "driver": "COG",
    "COMPRESS": "DEFLATE",
    "BLOCKSIZE": ROWS,
    "NUM_THREADS": "ALL_CPUS",
    "BIGTIFF": "IF_SAFER",
}


@dataclass(frozen=True)
class Band:
    """Description of one band."""

    name: str
    tags: dict[str, str] = field(default_factory=dict)
    unit: str = ""


@dataclass(frozen=True)
class Raster:
    """What a GeoTIFF holds besides its pixels."""

    georeference: Georeference
    bands: tuple[Band, ...]
    table: ClassTable | None = None
    """Classes whose colours become the colour table; overviews then take the most frequent class, else the mean."""
    tags: dict[str, str] = field(default_factory=dict)


def describe_layers(
    georeference: Georeference, map_table: ClassTable, model_table: ClassTable, tags: dict[str, str]
) -> dict[str, Raster]:
    """Describe each layer of a map for its file: class names are tags of the band, colours the colour table.

    Args:
        georeference: of the map.
        map_table: the classes of the map, with that of undecided pixels if there are any.
        model_table: the classes in the order of the probabilities.
        tags: of every file.
    """
    names = {f"CLASS_{entry.id}": entry.name for entry in map_table.classes}
    probabilities = (Band(entry.name, {"CLASS": str(entry.id)}, "percent") for entry in model_table.classes)
    return {
        "classes": Raster(georeference, (Band("class", names),), map_table, tags),
        "confidence": Raster(georeference, (Band("confidence", unit="percent"),), tags=tags),
        "probabilities": Raster(georeference, tuple(probabilities), tags=tags),
    }


def write_cog(path: Path, layer: Layer, raster: Raster) -> None:
    """Write a layer as a Cloud-Optimised GeoTIFF, no-data 255.

    GDAL reads the layer's file through a VRT beside it, block by block. It reports a full disk only now and then, and
    else leaves a damaged file, so the file is read once more.

    Raises:
        PipelineError: GDAL cannot write it.
    """
    vrt = layer.path.with_suffix(".vrt")
    vrt.write_text(vrt_xml(layer, raster), encoding="utf-8")
    resampling = "MODE" if raster.table else "AVERAGE"
    with file_errors(path, "cannot be written"), rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"):
        rasterio.shutil.copy(vrt, path, OVERVIEW_RESAMPLING=resampling, **OPTIONS)
        _require_written(path, layer)


def _require_written(path: Path, layer: Layer) -> None:
    """Compare a file with its layer, and decode its overviews.

    Raises:
        ValueError: the pixels differ.
        RasterioError: a block cannot be decoded.
    """
    with open_dataset(path) as dataset:
        for start in range(0, layer.height, ROWS):
            stop = min(start + ROWS, layer.height)
            rows_CHW = dataset.read(window=Window(0, start, layer.width, stop - start))
            if not np.array_equal(rows_CHW, layer.read(start, stop)):
                raise ValueError("it differs from what was written")
        levels = len(dataset.overviews(1))
    for level in range(levels):
        with open_dataset(path, overview_level=level) as overview:
            for _, window in overview.block_windows(1):
                overview.read(window=window)


def vrt_xml(layer: Layer, raster: Raster) -> str:
    """Describe a layer's file for GDAL."""
    crs, transform = raster.georeference.crs, raster.georeference.transform.to_gdal()
    parts = [f'<VRTDataset rasterXSize="{layer.width}" rasterYSize="{layer.height}">']
    if crs is not None:
        parts.append(f"<SRS>{escape(crs)}</SRS>")
    if raster.georeference.is_known:
        parts.append(f"<GeoTransform>{','.join(map(repr, map(float, transform)))}</GeoTransform>")
    parts.append(_metadata(raster.tags))
    for index, band in enumerate(raster.bands):
        parts.append(f'<VRTRasterBand dataType="Byte" band="{index + 1}" subClass="VRTRawRasterBand">')
        parts.append(f"<Description>{escape(band.name)}</Description>{_metadata(band.tags)}")
        parts.append(f"<NoDataValue>{IGNORE}</NoDataValue><UnitType>{escape(band.unit)}</UnitType>")
        parts.append(_colours(raster.table))
        parts.append(f'<SourceFilename relativetoVRT="1">{escape(layer.path.name)}</SourceFilename>')
        parts.append(f"<ImageOffset>{index * layer.width}</ImageOffset><PixelOffset>1</PixelOffset>")
        parts.append(f"<LineOffset>{layer.bands * layer.width}</LineOffset></VRTRasterBand>")
    return "".join([*parts, "</VRTDataset>"])


def _metadata(tags: dict[str, str]) -> str:
    items = "".join(f"<MDI key={quoteattr(key)}>{escape(value)}</MDI>" for key, value in tags.items())
    return f"<Metadata>{items}</Metadata>" if items else ""


def _colours(table: ClassTable | None) -> str:
    if table is None:
        return "<ColorInterp>Gray</ColorInterp>"
    palette = table.palette
    entries = ('<Entry c1="{}" c2="{}" c3="{}"/>'.format(*palette[3 * value : 3 * value + 3]) for value in range(256))
    return f"<ColorInterp>Palette</ColorInterp><ColorTable>{''.join(entries)}</ColorTable>"
