"""What the labels of a folder contain: values, colours or attributes, with their amounts."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from pipeline.core.errors import PipelineError
from pipeline.core.parallel import parallel_map
from pipeline.formats.classes import Colour
from pipeline.importing.colour_space import pack, unpack
from pipeline.importing.mask_kinds import RasterMask, require_bands
from pipeline.importing.pairing import Pair
from pipeline.importing.polygon_classes import value_text
from pipeline.importing.raster_masks import open_mask, require_8bit_colours, require_exact
from pipeline.importing.rules import LabelRules
from pipeline.importing.survey import is_vector
from pipeline.raster.geotiff import is_nodata
from pipeline.shapes.polygons import layer_names, read_layer


@dataclass
class Contents:
    """What the labels of a folder contain."""

    values: Counter[int] = field(default_factory=Counter)
    """Pixels of each value in masks with one band."""
    palette: dict[int, Colour] = field(default_factory=dict)
    """Colours of these values, where a mask has a colour table."""
    colours: Counter[Colour] = field(default_factory=Counter)
    """Pixels of each colour in painted masks."""
    is_exact: bool = True
    """False for colours that were changed by compression."""
    nodata: Counter[str] = field(default_factory=Counter)
    """Pixels of each declared no-data value."""
    attributes: dict[str, Counter[str]] = field(default_factory=dict)
    """Area of each value, by attribute; texts as in `polygons.values`."""
    layers: tuple[str, ...] = ()
    """Of a vector file with several layers, the one that was read, then the others."""

    def add(self, other: "Contents") -> None:
        """Add the contents of another file."""
        self.values += other.values
        self.palette |= other.palette
        self.colours += other.colours
        self.is_exact &= other.is_exact
        self.nodata += other.nodata
        self.layers = self.layers or other.layers
        for name, areas in other.attributes.items():
            self.attributes[name] = self.attributes.get(name, Counter()) + areas


def find_contents(root: Path, pairs: Sequence[Pair], rules: LabelRules) -> Contents:
    """Read all labels of a folder.

    Raises:
        PipelineError: a label cannot be read.
    """

    def read(label: Path) -> Contents:
        return read_polygons(label, rules.polygons.layer) if is_vector(label) else read_mask(label, rules)

    contents = Contents()
    for found in parallel_map(read, sorted({root / pair.label for pair in pairs})):
        contents.add(found)
    return contents


def read_mask(path: Path, rules: LabelRules) -> Contents:
    """Count the values, or the colours, of a mask; without what is declared no-data, transparent or hidden.

    Raises:
        PipelineError: it cannot be read, is a JPEG of values, or has values that are not whole numbers.
    """
    contents = Contents()
    with open_mask(path, rules) as mask:
        require_bands(mask)
        is_painted = mask.is_painted and rules.masks != "values"
        if is_painted:
            require_8bit_colours(mask)
        else:
            require_exact(mask)
        contents.is_exact = not mask.is_jpeg
        for window, _ in mask.rows():
            bands_CHW, visible_HW = mask.read(window), mask.file.internal_mask(window)
            if mask.file.alpha_band:
                visible_HW &= bands_CHW[mask.file.alpha_band - 1] > 0
            _count(contents, mask, bands_CHW[:, visible_HW], is_painted)
        if mask.file.colour_table is not None:
            table = mask.file.colour_table[:, :3].tolist()
            contents.palette = {v: tuple(table[v]) for v in contents.values if 0 <= v < len(table)}
    return contents


def _count(contents: Contents, mask: RasterMask, bands_CN: np.ndarray, is_painted: bool) -> None:
    """Add the visible pixels of a part of a mask, (bands, pixels)."""
    if is_painted:
        found_U, count_U = np.unique(pack(*bands_CN[:3]), return_counts=True)
        contents.colours.update(dict(zip(map(tuple, unpack(found_U).tolist()), count_U.tolist(), strict=True)))
        return
    nodata = mask.file.nodata[0]
    is_nodata_N = is_nodata(bands_CN[0], nodata)
    if empty := int(is_nodata_N.sum()):
        contents.nodata[f"{nodata:g}"] += empty
    values_N = bands_CN[0][~is_nodata_N]
    if (fractions := values_N[values_N != np.floor(values_N)]).size:
        advice = "; if it means no label, declare it as no-data: gdal_edit.py -a_nodata nan"
        raise PipelineError(
            f"{mask.file.path} contains {fractions[0]}, but labels are whole numbers"
            f"{advice if np.isnan(fractions[0]) else ''}"
        )
    found_U, count_U = np.unique(values_N, return_counts=True)
    contents.values.update(dict(zip(map(int, found_U), count_U.tolist(), strict=True)))


def read_polygons(path: Path, layer: str | None = None) -> Contents:
    """Sum the area of polygons by the values of each attribute, in the units of the file's CRS.

    Args:
        path: a vector file.
        layer: the one to read; if the file has none of this name, the first.

    Raises:
        PipelineError: it cannot be read.
    """
    names = layer_names(path)
    chosen = layer if layer in names else names[0]
    polygons = read_layer(path, chosen)
    area_P = shapely.area(polygons.geometries_P)
    others = [name for name in names if name != chosen]
    contents = Contents(layers=(chosen, *others) if others else ())
    for name, values_P in polygons.attributes.items():
        areas: Counter[str] = Counter()
        for value, area in zip(map(value_text, values_P), area_P.tolist(), strict=True):
            areas[value] += area
        contents.attributes[name] = areas
    return contents
