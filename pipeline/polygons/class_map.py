"""A map of class ids that is turned into polygons: a GeoTIFF with class names and colours, and its confidence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.core.params import validate
from pipeline.formats.classes import IGNORE, ClassTable, read_classes
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.raster.labels import UnknownLabelsError, read_labels
from pipeline.raster.remote import Location

CLASS_TAG = re.compile("CLASS_(0|[1-9][0-9]{0,8})")
"""Names of band 1's tags that hold the class names, as `pipeline.predict` writes them."""
GIVE_CLASSES = "classes.yaml or classes.json: --classes FILE"
LEAVE_OUT = "leave it out: --no-confidence"
MODEL_TAG = "MODEL_SHA256"
TIFF_TAGS = ("AREA_OR_POINT", "OVR_RESAMPLING_ALG")
"""Tags that GDAL adds to any file."""


@dataclass(frozen=True)
class ClassMap:
    """An open map of class ids."""

    file: GeoTiff
    table: ClassTable
    confidence_file: GeoTiff | None
    """In per cent, on the same grid."""
    tags: dict[str, str]
    """Of the file, by which a map is traced to its model; without those of TIFF itself."""

    @property
    def georeference(self) -> Georeference:
        """CRS and transform."""
        return self.file.georeference

    def read(self, window: Window) -> np.ndarray:
        """Read class_HW, uint8 ids, 255 where there is no class.

        Raises:
            PipelineError: pixels cannot be decoded, or are not ids of the table.
        """
        try:
            return read_labels(self.file, self._with_no_class, window).mask_HW
        except UnknownLabelsError as error:
            raise PipelineError(f"{error.problem}; give a table with all of them, {GIVE_CLASSES}") from None

    @property
    def _with_no_class(self) -> ClassTable:
        """The table with 255 as no class, also where the file no longer declares it as no-data."""
        return self.table.model_copy(update={"remap": {IGNORE: "ignore"} | self.table.remap})

    def read_confidence(self, window: Window, mapped_HW: np.ndarray) -> np.ndarray | None:
        """Read confidence_HW in per cent, uint8; None for a map without.

        Args:
            window: in pixels of the map.
            mapped_HW: bool; where pixels of the window have a class; elsewhere the confidence is any value.

        Raises:
            PipelineError: pixels cannot be decoded, or a pixel with a class has no confidence.
        """
        if self.confidence_file is None:
            return None
        confidence_HW: np.ndarray = self.confidence_file.read((1,), window)[0]
        if wrong := int((confidence_HW[mapped_HW] > 100).sum()):
            raise PipelineError(
                f"{self.confidence_file.path} has no confidence (0 to 100) in {wrong} px that have a class in "
                f"{self.file.path}; map the scene again, or {LEAVE_OUT}"
            )
        return confidence_HW


@contextmanager
def open_class_map(path: Path, confidence: Path | None = None, classes: Path | None = None) -> Iterator[ClassMap]:
    """Open a map of class ids.

    Args:
        path: a GeoTIFF of one band of class ids.
        confidence: of the same map; None for none.
        classes: `classes.yaml` or `classes.json`; None for the names and colours in the map.

    Raises:
        PipelineError: a file is missing, damaged, has no class names, or the confidence is of another map.
    """
    with open_geotiff(path) as file:
        if file.count != 1:
            raise PipelineError(
                f"{path} has {file.count} bands, and a map has one, of class ids: give the file that pipeline.predict "
                "wrote, or one band: gdal_translate -b N"
            )
        table = class_table(path) if classes is None else read_classes(classes)
        with nullcontext() if confidence is None else open_geotiff(confidence) as confidence_file:
            if confidence_file is not None:
                _require_same_map(file, confidence_file)
            yield ClassMap(file, table, confidence_file, _own_tags(path))


def layer_file(path: Path, name: str) -> Path:
    """Return the GeoTIFF of another layer of a map, such as `map.confidence.tif`."""
    return path.with_suffix(f".{name}{path.suffix}")


def confidence_beside(path: Path) -> Path | None:
    """Return the confidence layer that `pipeline.predict` wrote with a map; None if there is none."""
    confidence = layer_file(path, "confidence")
    return confidence if confidence.is_file() else None


def class_table(path: Path) -> ClassTable:
    """Return the classes of a map by the tags and the colour table of its first band.

    Raises:
        PipelineError: it has no class names and colours, or they are no table of classes.
    """
    with file_errors(path, "is not a readable GeoTIFF"), open_dataset(path) as dataset:
        tags = dataset.tags(1)
        colours = dataset.colormap(1) if dataset.colorinterp[0].name == "palette" else {}
    names = {int(found[1]): name for key, name in tags.items() if (found := CLASS_TAG.fullmatch(key))}
    if not names or not colours:
        raise PipelineError(
            f"{path} has no class names and colours, as pipeline.predict writes them; give a table of its classes, "
            f"{GIVE_CLASSES}"
        )
    classes = [
        {"id": number, "name": name, "colour": colours[number][:3] if number in colours else None}
        for number, name in sorted(names.items())
    ]
    try:
        return validate(ClassTable, {"classes": classes}, path)
    except PipelineError as error:
        raise PipelineError(f"{error}; give another table of its classes, {GIVE_CLASSES}") from None


def _require_same_map(file: GeoTiff, confidence: GeoTiff) -> None:
    try:
        require_same_grid(file, confidence, "confidence layer", "the map")
    except PipelineError as error:
        raise PipelineError(f"{error}; or {LEAVE_OUT}") from None
    if confidence.dtypes != ("uint8",):
        raise PipelineError(
            f"{confidence.path} is {confidence.dtypes[0]} with {confidence.count} bands, no confidence in per cent as "
            f"pipeline.predict writes it (one band, uint8); {LEAVE_OUT}"
        )
    if _own_tags(file.path).get(MODEL_TAG) != _own_tags(confidence.path).get(MODEL_TAG):
        raise PipelineError(
            f"{confidence.path} is of another model than {file.path}; map the scene again, or {LEAVE_OUT}"
        )


def _own_tags(path: Location) -> dict[str, str]:
    with file_errors(path, "is not a readable GeoTIFF"), open_dataset(path) as dataset:
        return {name: value for name, value in dataset.tags().items() if name not in TIFF_TAGS}
