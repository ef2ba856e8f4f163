"""Label values of an archive to class ids."""

from pathlib import Path

import numpy as np

from pipeline.classes import IGNORE, ClassTable
from pipeline.errors import PipelineError


def to_mask(values_HW: np.ndarray, table: ClassTable, path: Path, nodata: float | None = None) -> np.ndarray:
    """Class ids as uint8 (height, width), `IGNORE` where there is none.

    A value that the table remaps is remapped; a class of the table stays, even where the file declares it as
    no-data (LandCover.ai's background is a class, whatever a tool wrote); other declared no-data is ignored.

    Args:
        values_HW: labels in any dtype; floats must hold whole numbers.
        table: the classes, with the remap for this archive.
        path: the file, for messages.
        nodata: what the file declares as no-data.

    Raises:
        PipelineError: NaN, a fraction, or a value that is neither class nor remapped.
    """
    missing_HW = _equals(values_HW, nodata)
    if np.issubdtype(values_HW.dtype, np.floating):
        _refuse_fractions(values_HW[~missing_HW], path)
    mask_HW = np.full(values_HW.shape, IGNORE, np.uint8)
    known_HW = missing_HW
    for value, target in ({value: value for value in table.ids} | table.remap).items():
        here_HW = values_HW == value
        mask_HW[here_HW] = IGNORE if target == "ignore" else target
        known_HW = known_HW | here_HW
    _refuse_unknown(values_HW[~known_HW], table, path)
    return mask_HW


def _equals(values_HW: np.ndarray, nodata: float | None) -> np.ndarray:
    if nodata is None:
        return np.zeros(values_HW.shape, bool)
    same_HW: np.ndarray = np.isnan(values_HW) if np.isnan(nodata) else values_HW == nodata
    return same_HW


def _refuse_fractions(values: np.ndarray, path: Path) -> None:
    bad = values[~np.isfinite(values) | (values != np.floor(values))]
    if bad.size:
        raise PipelineError(
            f"{path} holds {bad[0]} among its labels, in {bad.size} pixels NaN or a fraction; "
            "a label is a whole number: was it resampled with interpolation?"
        )


def _refuse_unknown(values: np.ndarray, table: ClassTable, path: Path) -> None:
    if not values.size:
        return
    found, counts = np.unique(values, return_counts=True)
    listed = ", ".join(f"{int(value)} in {count} px" for value, count in zip(found[:5], counts[:5], strict=True))
    raise PipelineError(
        f"{path} holds label values outside the class table: {listed}; classes are {list(table.ids)}: "
        "add the value to classes.yaml in the source folder, or remap it there to a class or to ignore"
    )
