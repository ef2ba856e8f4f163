"""The user's `classes.yaml`: the classes, and how masks in colours and polygons become class ids."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from pydantic import Field, field_validator, model_validator

from pipeline.core.params import Params
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.datasets import DatasetName

ClassName = Annotated[str, Field(min_length=1)]


class ColourRules(Params):
    """`colours`: masks that are painted."""

    tolerance: int = Field(default=0, ge=0, le=255)
    """Largest difference of red, green and blue from the colour of a class, as in masks saved as JPEG."""
    edges: Literal["refuse", "ignore"] = "refuse"
    """ignore: antialiased edges, whose colours are mixtures of those of two to four classes within 8 px, one of them
    within 2 px, become *ignore*."""


class PolygonRules(Params):
    """`polygons`: labels in vector files."""

    attribute: ClassName | None = None
    """The attribute that holds the class; None: the only one whose values are all classes."""
    layer: ClassName | None = None
    """The layer of a file with several."""
    values: dict[str | int, str | int] = {}
    """From values of the attribute to a class, by name or id, or to `ignore`; a missing value is NULL."""
    order: tuple[ClassName, ...] = ()
    """Classes, and `ignore`, where polygons overlap, the one on top first; without it, overlaps are refused."""
    background: ClassName | None = None
    """The class of what no polygon covers; None: *ignore*."""
    all_touched: bool = False
    """Whether a polygon covers each pixel that it touches, not only those whose centre is in it."""
    annotated: Path | None = None
    """A vector file with the areas that were annotated; what is outside is *ignore*."""

    @field_validator("annotated")
    @classmethod
    def _require_inside(cls, annotated: Path | None) -> Path | None:
        """Refuse files elsewhere: their changes would not be noticed."""
        if annotated is not None and (annotated.is_absolute() or ".." in annotated.parts or not annotated.name):
            raise ValueError(f"{str(annotated)!r} is not below the folder of classes.yaml; copy it there")
        return annotated

    @field_validator("values", mode="before")
    @classmethod
    def _name_null(cls, values: Any) -> Any:
        """Take YAML's null, which `NULL` is without quotes, for its name."""
        if not isinstance(values, dict):
            return values
        return {"NULL" if key is None else key: target for key, target in values.items()}


class LabelRules(ClassTable):
    """Contents of a user's `classes.yaml`."""

    masks: Literal["auto", "values", "colours"] = "auto"
    """Whether pixels of masks with a colour table are read as values or as colours; auto: as the one that fits."""
    colours: ColourRules = ColourRules()
    polygons: PolygonRules = PolygonRules()

    @model_validator(mode="after")
    def _require_known_classes(self) -> Self:
        if "ignore" in self.names:
            raise ValueError("ignore is not a class; leave it out, and map its values in remap, or in polygons.values")
        polygons, names = self.polygons, (*self.names, "ignore")
        for key, targets, known in (
            ("order", polygons.order, names),
            ("background", (polygons.background,), (*self.names, None)),
            ("values", polygons.values.values(), (*names, *self.ids)),
        ):
            if unknown := [target for target in targets if target not in known]:
                raise ValueError(
                    f"polygons.{key} contains {unknown[0]!r}, which is not a class; classes: {list(self.names)}"
                )
        return self

    @property
    def label_name_of(self) -> dict[int, str]:
        """From class id or `IGNORE` to its name in `polygons.order` and `polygons.values`."""
        return self.name_of | {IGNORE: "ignore"}

    @property
    def id_of(self) -> dict[str, int]:
        """The reverse of `label_name_of`."""
        return {name: number for number, name in self.label_name_of.items()}

    @property
    def raw_values(self) -> np.ndarray:
        """The value in files of each class id and of `IGNORE`, which `remap` maps back; of the smallest dtype."""
        value_of = {number: self.raw_value(number) for number in self.ids} | {IGNORE: self.ignored_value}
        values = np.zeros(IGNORE + 1, np.result_type(*map(np.min_scalar_type, value_of.values())))
        values[list(value_of)] = list(value_of.values())
        return values

    @property
    def table(self) -> ClassTable:
        """The classes with their remap."""
        return ClassTable(classes=self.classes, remap=self.remap)


def rules_kind(dataset: DatasetName, source: str) -> type[ClassTable]:
    """Return what the `classes.yaml` of a source may contain: rules for labels only where labels are imported."""
    return LabelRules if (dataset, source) == ("landcoverai", "local") else ClassTable
