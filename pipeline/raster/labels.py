"""Masks of an archive: their values to class ids."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.raster.geotiff import GeoTiff, equals

LISTED = 5
"""Values outside the table that a message names."""


@dataclass(frozen=True)
class Labels:
    """A part of a label file."""

    mask_HW: np.ndarray
    """Class ids as uint8, `IGNORE` where there is none."""
    declared: dict[str, int]
    """From class id, as JSON writes it, to the pixels of it whose value the file declares as no-data."""


def read_labels(file: GeoTiff, table: ClassTable, window: Window | None = None) -> Labels:
    """Class ids of a file's first band: `to_mask`, and *ignore* where the file's own mask hides a pixel.

    Raises:
        PipelineError: see `to_mask` and `require_codes`; or its pixels cannot be decoded.
    """
    require_codes(file)
    values_HW, nodata = file.read((1,), window)[0], file.nodata[0]
    mask_HW = to_mask(values_HW, table, file.path, nodata, file.shown(window))
    kept = mask_HW[equals(values_HW, nodata) & (mask_HW != IGNORE)]
    return Labels(mask_HW, {str(kept[0]): int(kept.size)} if kept.size else {})


def require_codes(file: GeoTiff) -> None:
    """Check that a file's values are codes.

    Raises:
        PipelineError: it declares a scale or an offset, by which they stand for other values.
    """
    if file.is_scaled((1,)):
        raise PipelineError(
            f"{file.path} declares scale {file.scales[0]:g} and offset {file.offsets[0]:g}, but codes such as class "
            "ids stand for themselves; remove them: gdal_edit.py -unsetscale -unsetoffset"
        )


def declared_in_words(found: Iterable[dict[str, int]]) -> str:
    """What a stage's summary says of classes that files declare as no-data, over all `Labels.declared`."""
    total: Counter[str] = Counter()
    for each in found:
        total.update(each)
    counted = ", ".join(f"{pixels} px of class {class_id}" for class_id, pixels in sorted(total.items()))
    return f", {counted} stay that class although their files declare it as no-data" if total else ""


def to_mask(
    values_HW: np.ndarray,
    table: ClassTable,
    path: Path,
    nodata: float | None = None,
    shown_HW: np.ndarray | None = None,
) -> np.ndarray:
    """Class ids as uint8 (height, width), `IGNORE` where there is none.

    A value that the table remaps is remapped; a class of the table stays, even where the file declares it as
    no-data (LandCover.ai's background is a class, whatever a tool wrote); other declared no-data is ignored.

    Args:
        values_HW: labels in any dtype; floats must hold whole numbers.
        table: the classes, with the remap for this archive.
        path: the file, for messages.
        nodata: what the file declares as no-data.
        shown_HW: bool; False where the file's own mask hides a pixel, which then is ignored, whatever it holds.

    Raises:
        PipelineError: NaN, a fraction, or a value that is neither class nor remapped.
    """
    shown_HW = np.ones(values_HW.shape, bool) if shown_HW is None else shown_HW
    mask_HW, strays = _translated(values_HW, table, nodata, shown_HW)
    _refuse([strays], table, path)
    return mask_HW


def refuse_strays(mask: GeoTiff, table: ClassTable, among: Iterable[Window]) -> None:
    """Say what of a file `read_labels` cannot translate, and in how many pixels, reading window by window.

    Args:
        mask: the file; its first band holds the labels.
        table: the classes.
        among: windows that cover the file.

    Raises:
        PipelineError: there is such a value.
    """
    windows = ((mask.read((1,), each)[0], mask.shown(each)) for each in among)
    _refuse((_translated(values, table, mask.nodata[0], shown)[1] for values, shown in windows), table, mask.path)


def _translated(
    values_HW: np.ndarray, table: ClassTable, nodata: float | None, shown_HW: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mask, and the values that are neither hidden nor class nor remapped nor declared as no-data."""
    known_HW = equals(values_HW, nodata) | ~shown_HW
    mask_HW = np.full(values_HW.shape, IGNORE, np.uint8)
    for value, target in ({value: value for value in table.ids} | table.remap).items():
        here_HW = values_HW == value
        mask_HW[here_HW & shown_HW] = IGNORE if target == "ignore" else target
        known_HW = known_HW | here_HW
    return mask_HW, values_HW[~known_HW]


def _refuse(found: Iterable[np.ndarray], table: ClassTable, path: Path) -> None:
    """Raise for the first fraction among the strays, or else for the lowest few of them, with counts over all."""
    lowest: Counter[int] = Counter()
    broken: list[float] = []
    in_pixels = 0
    for strays in found:
        whole = np.isfinite(strays)
        whole[whole] = strays[whole] == np.floor(strays[whole])  # NaN of some bits makes floor warn
        broken += strays[~whole][:1].tolist()
        in_pixels += int((~whole).sum())
        for value, count in zip(*np.unique(strays[whole], return_counts=True), strict=True):
            lowest[int(value)] += int(count)
        lowest = Counter(dict(sorted(lowest.items())[:LISTED]))  # a float raster may hold millions
    if broken:
        raise PipelineError(
            f"{path} holds {broken[0]} among its labels, in {in_pixels} pixels NaN or a fraction; "
            "a label is a whole number: was it resampled with interpolation?"
        )
    if lowest:
        raise PipelineError(
            f"{path} holds label values outside the class table: "
            f"{', '.join(f'{value} in {count} px' for value, count in lowest.items())}; classes are {list(table.ids)}: "
            "add the value to classes.yaml in the source folder, or remap it there to a class or to ignore"
        )
