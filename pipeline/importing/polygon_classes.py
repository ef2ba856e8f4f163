"""The class of each polygon of a vector file, from one of its attributes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from pipeline.importing.rules import LabelRules
from pipeline.shapes.polygons import Polygons


@dataclass(frozen=True)
class LabelledPolygons:
    """Polygons of a vector file with their classes."""

    polygons: Polygons
    classes_P: np.ndarray
    """Class id of each, or `IGNORE`; uint8."""
    annotated: Polygons | None
    """The areas that were annotated; None: everywhere."""
    notes: list[str]
    """What the user should read about the file, such as the attribute that was found, one line each."""


def read_labelled(path: Path, rules: LabelRules, annotated: Path | None = None) -> LabelledPolygons:
    """Read polygons and the class of each, once for all images.

    Args:
        path: a GeoPackage, GeoJSON, Shapefile or FlatGeobuf.
        rules: the user's `classes.yaml`.
        annotated: the vector file that `polygons.annotated` names.

    Raises:
        PipelineError: a file is unreadable, has no polygons or other geometries; the attribute of the class is missing
            or not clear, or has values that are no class.
    """
    raise NotImplementedError
