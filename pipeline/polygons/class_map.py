"""A map of class ids that is turned into polygons: a GeoTIFF with class names and colours, and its confidence."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import ClassTable, LandCoverClass, read_classes
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.raster.labels import read_labels

CLASS_TAG = "CLASS_"
"""Start of the names of band 1's tags that hold the class names, as `pipeline.predict` writes them."""
MODEL_TAG = "MODEL_SHA256"


@dataclass(frozen=True)
class ClassMap:
    """An open map of class ids."""

    file: GeoTiff
    table: ClassTable
    confidence_file: GeoTiff | None
    """In per cent, on the same grid."""

    @property
    def georeference(self) -> Georeference:
        """CRS and transform."""
        return self.file.georeference

    def read(self, window: Window) -> np.ndarray:
        """Read class_HW, uint8 ids, 255 where there is no class.

        Raises:
            PipelineError: pixels cannot be decoded, or are not ids of the table.
        """
        return read_labels(self.file, self.table, window).mask_HW

    def read_confidence(self, window: Window) -> np.ndarray | None:
        """Read confidence_HW in per cent, uint8; None for a map without.

        Raises:
            PipelineError: pixels cannot be decoded.
        """
        return None if self.confidence_file is None else self.confidence_file.read((1,), window)[0]


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
        table = class_table(path) if classes is None else read_classes(classes)
        with nullcontext() if confidence is None else open_geotiff(confidence) as confidence_file:
            if confidence_file is not None:
                _require_same_map(file, confidence_file)
            yield ClassMap(file, table, confidence_file)


def confidence_beside(path: Path) -> Path | None:
    """Return the confidence that `pipeline.predict` wrote with a map; None if it did not."""
    confidence = path.with_suffix(f".confidence{path.suffix}")
    return confidence if confidence.is_file() else None


def class_table(path: Path) -> ClassTable:
    """Return the classes of a map by the tags and the colour table of its first band.

    Raises:
        PipelineError: it has no class names.
    """
    with file_errors(path, "is not a readable GeoTIFF"), open_dataset(path) as dataset:
        tags = dataset.tags(1)
        colours = dataset.colormap(1) if dataset.colorinterp[0].name == "palette" else {}
    names = {name.removeprefix(CLASS_TAG): value for name, value in tags.items() if name.startswith(CLASS_TAG)}
    if not names or not colours:
        raise PipelineError(
            f"{path} has no class names and colours, as pipeline.predict writes them; give a table of its classes, "
            "classes.yaml or classes.json: --classes FILE"
        )
    ids = sorted(map(int, names))
    return ClassTable(
        classes=tuple(LandCoverClass(id=number, name=names[str(number)], colour=colours[number][:3]) for number in ids)
    )


def _require_same_map(file: GeoTiff, confidence: GeoTiff) -> None:
    require_same_grid(file, confidence, "confidence layer", "the map")
    models = []
    for path in (file.path, confidence.path):
        with file_errors(path, "is not a readable GeoTIFF"), open_dataset(path) as dataset:
            models.append(dataset.tags().get(MODEL_TAG))
    if models[0] != models[1]:
        raise PipelineError(
            f"{confidence.path} is of another model than {file.path}; map the scene again, or leave it out: "
            "--no-confidence"
        )
