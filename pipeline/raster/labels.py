"""Convert label rasters to masks of class ids."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from shlex import quote

import cv2
import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.raster.geotiff import GeoTiff, is_nodata
from pipeline.raster.remote import Location

MAX_LISTED = 5
"""Unknown values that an error lists."""
MAX_COUNTED = 256
"""Unknown values, the lowest ones, that are counted."""


class LabelError(PipelineError):
    """Values of labels that are no class ids."""


class UnknownLabelsError(LabelError):
    """Values that are neither classes nor remapped."""

    def __init__(self, problem: str, advice: str) -> None:
        super().__init__(f"{problem}: {advice}")
        self.problem = problem
        """The message without advice, which is for a folder of training data."""


@dataclass(frozen=True)
class Labels:
    """Labels of a file or window."""

    mask_HW: np.ndarray
    """Class ids as uint8, `IGNORE` where there is none."""
    nodata_HW: np.ndarray
    """Bool: where the file declares the value as no-data."""

    @property
    def nodata_classes(self) -> dict[str, int]:
        """From class id, as text, to the labelled pixels of it that the file declares as no-data."""
        ids, counts = np.unique(self.mask_HW[self.nodata_HW & (self.mask_HW != IGNORE)], return_counts=True)
        return {str(class_id): int(count) for class_id, count in zip(ids, counts, strict=True)}


def read_labels(file: GeoTiff, table: ClassTable, window: Window | None = None) -> Labels:
    """Read class ids from a file's first band with `to_mask`; *ignore* where the internal mask hides a pixel.

    Raises:
        PipelineError: see `to_mask` and `require_unscaled`; or pixels cannot be decoded.
    """
    require_unscaled(file)
    values_HW, nodata = file.read((1,), window)[0], file.nodata[0]
    mask_HW = to_mask(values_HW, table, file.path, nodata, file.internal_mask(window))
    return Labels(mask_HW, is_nodata(values_HW, nodata))


def require_unscaled(file: GeoTiff) -> None:
    """Check that the first band declares no scale or offset, since codes are not quantities.

    Raises:
        PipelineError: it does.
    """
    if file.is_scaled((1,)):
        raise PipelineError(
            f"{file.path} declares scale {file.scales[0]:g} and offset {file.offsets[0]:g}, but codes such as class "
            "ids must not be scaled; remove both: gdal_edit.py -unsetscale -unsetoffset"
        )


def nodata_classes_summary(counts: Iterable[dict[str, int]]) -> str:
    """Summarise `Labels.nodata_classes` over all files for the stage's summary; empty if there are none."""
    total: Counter[str] = Counter()
    for count in counts:
        total.update(count)
    pixels = ", ".join(f"{pixels} px of class {class_id}" for class_id, pixels in sorted(total.items()))
    return f", {pixels} kept although their files declare it as no-data" if total else ""


def to_mask(
    values_HW: np.ndarray,
    table: ClassTable,
    path: Location,
    nodata: float | None = None,
    visible_HW: np.ndarray | None = None,
) -> np.ndarray:
    """Convert label values to class ids, uint8 (height, width), `IGNORE` where there is none.

    Values in the table's remap are remapped. A class of the table is kept even where the file declares it as no-data:
    LandCover.ai's background is a class, whatever a tool wrote. Other no-data is ignored.

    Args:
        values_HW: labels in any dtype; floats must be whole numbers.
        table: the classes, with the remap for this archive.
        path: the file, for messages.
        nodata: declared no-data value.
        visible_HW: bool; False where the internal mask hides a pixel, which is then ignored, whatever its value.

    Raises:
        LabelError: NaN, a fraction, or a value that is neither a class nor remapped.
    """
    visible_HW = np.ones(values_HW.shape, bool) if visible_HW is None else visible_HW
    mask_HW, unknown = _remap(values_HW, table, nodata, visible_HW)
    if len(unknown):
        _refuse([(mask_HW, unknown)], table, path)
    return mask_HW


def refuse_unknown_labels(mask: GeoTiff, table: ClassTable, windows: Iterable[Window]) -> None:
    """Report the values that `read_labels` cannot convert, counted over the whole file, window by window.

    Args:
        mask: the file; its first band holds the labels.
        table: the classes.
        windows: windows that cover the file.

    Raises:
        LabelError: there is such a value.
    """
    parts = ((mask.read((1,), window)[0], mask.internal_mask(window)) for window in windows)
    remapped = (_remap(values_HW, table, mask.nodata[0], visible_HW) for values_HW, visible_HW in parts)
    _refuse(remapped, table, mask.path)


def _remap(
    values_HW: np.ndarray, table: ClassTable, nodata: float | None, visible_HW: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mask, and all visible values that are neither a class nor remapped nor no-data."""
    if values_HW.dtype == np.uint8:  # cv2.LUT takes an eighth of the time of np.take
        ids_V, known_V = _class_ids(np.arange(256, dtype=np.uint8), table, nodata)
        mask_HW, known_HW = cv2.LUT(values_HW, ids_V), cv2.LUT(values_HW, known_V.view(np.uint8)).view(bool)
    else:
        mask_HW, known_HW = _class_ids(values_HW, table, nodata)
    mask_HW[~visible_HW] = IGNORE
    return np.asarray(mask_HW), values_HW[visible_HW & ~known_HW]


def _class_ids(values: np.ndarray, table: ClassTable, nodata: float | None) -> tuple[np.ndarray, np.ndarray]:
    """Return class ids, uint8, of the same shape, and whether each value is a class, remapped, or no-data."""
    known, ids = is_nodata(values, nodata), np.full(values.shape, IGNORE, np.uint8)
    for value, target in ({value: value for value in table.ids} | table.remap).items():
        equal = values == value
        ids[equal] = IGNORE if target == "ignore" else target
        known |= equal
    return ids, known


def _refuse(parts: Iterable[tuple[np.ndarray, np.ndarray]], table: ClassTable, path: Location) -> None:
    """Raise for the first fraction among unknown values, or else for the lowest few, counted over all parts.

    Args:
        parts: masks and their unknown values.
        table: the classes.
        path: the file, for messages.
    """
    lowest: Counter[int] = Counter()
    fractions: list[float] = []
    fraction_pixels = 0
    unseen = set(table.ids)
    for mask_HW, unknown in parts:
        unseen -= set(np.flatnonzero(np.bincount(mask_HW.ravel())).tolist())
        whole = np.isfinite(unknown)
        whole[whole] = unknown[whole] == np.floor(unknown[whole])  # floor warns of a signalling NaN
        fractions += unknown[~whole][:1].tolist()
        fraction_pixels += int((~whole).sum())
        for value, count in zip(*np.unique(unknown[whole], return_counts=True), strict=True):
            lowest[int(value)] += int(count)
        lowest = Counter(dict(sorted(lowest.items())[:MAX_COUNTED]))  # a float raster may hold millions
    if fractions:
        advice = "was it resampled with interpolation?"
        if np.isnan(fractions).all():
            advice = f"if NaN means no label, declare it as no-data: gdal_edit.py -a_nodata nan {quote(str(path))}"
        raise LabelError(
            f"{path} contains the label {fractions[0]}; {fraction_pixels} pixels are NaN or a fraction, but labels are "
            f"whole numbers: {advice}"
        )
    if lowest:
        listed = ", ".join(f"{value} in {count} px" for value, count in list(lowest.items())[:MAX_LISTED])
        more = " and others" if len(lowest) > MAX_LISTED else ""
        raise UnknownLabelsError(
            f"{path} contains label values outside the class table: {listed}{more}; classes are {list(table.ids)}",
            _remap_advice(list(lowest), sorted(unseen), table),
        )


def _remap_advice(unknown: list[int], unseen: list[int], table: ClassTable) -> str:
    """Return a `remap` to paste: of the unknown values to the classes without pixels, if there are as many of these."""
    targets: dict[int, int | str] = dict(table.remap)
    if len(unknown) == len(unseen):
        names = table.name_of
        meaning = " and ".join(f"{value} is {names[target]!r}" for value, target in zip(unknown, unseen, strict=True))
        condition, choice = f"if {meaning}, ", " (else another class, or ignore)"
        targets |= dict(zip(unknown, unseen, strict=True))
    else:
        condition, choice = "", f", where CLASS is one of {list(table.ids)}, or ignore"
        targets |= dict.fromkeys(unknown[:MAX_LISTED], "CLASS")
    pairs = ", ".join(f"{value}: {target}" for value, target in targets.items())
    advice = f"{condition}write in classes.yaml of the source folder: remap: {{{pairs}}}{choice}"
    is_id = unknown[0] >= 0 and unknown[-1] < IGNORE
    return f"{advice}; or add the values to its classes" if is_id else advice
