"""The table of land-cover classes: ids, names, colours, and what becomes of the ids in files."""

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator, model_validator

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, write_json
from pipeline.core.params import Params, read_yaml, validated

IGNORE = 255
"""The mask value of a pixel that no loss and no score counts: padding, no-data, unlabelled."""
IGNORE_COLOUR = (255, 255, 255)
OWN_CLASSES = "classes.yaml"
"""Beside the files of a person who brings other classes."""

ClassId = Annotated[int, Field(ge=0, lt=IGNORE)]
FileId = Annotated[int, Field(ge=-(2**31), lt=2**32)]
"""A pixel value of somebody's mask: what 32 bits hold."""
Channel = Annotated[int, Field(ge=0, le=255)]
Colour = tuple[Channel, Channel, Channel]


class LandCoverClass(Params):
    """One class."""

    id: ClassId
    """The pixel value in masks."""
    name: str = Field(min_length=1)
    colour: Colour
    """Red, green, blue, 0 to 255."""

    @field_validator("name")
    @classmethod
    def _readable(cls, name: str) -> str:
        """Names stand in tables and messages."""
        if not name.strip() or not name.isprintable():
            raise ValueError(f"{name!r} is no name; write one of letters, on one line")
        return name

    @field_validator("colour", mode="before")
    @classmethod
    def _hexadecimal(cls, value: Any) -> Any:
        """`"#00ff7f"` is a colour too."""
        if not isinstance(value, str):
            return value
        digits = value.removeprefix("#")
        if len(digits) != 6 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise ValueError(f"{value!r} is no colour; write '#00ff7f' or [0, 255, 127]")
        return tuple(bytes.fromhex(digits))


class ClassTable(Params):
    """The classes of a dataset, in the order of the model's outputs, sorted by id."""

    classes: tuple[LandCoverClass, ...] = Field(min_length=2)
    remap: dict[FileId, ClassId | Literal["ignore"]] = {}
    """From an id in the archive's masks to one of `classes` or to *ignore*; ids not named here stay."""

    @field_validator("classes")
    @classmethod
    def _sorted(cls, classes: tuple[LandCoverClass, ...]) -> tuple[LandCoverClass, ...]:
        for what in ("id", "name"):
            values = [getattr(each, what) for each in classes]
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"the {what} {twice[0]!r} occurs twice; each class has its own")
        return tuple(sorted(classes, key=lambda each: each.id))

    @model_validator(mode="after")
    def _remap_ends_in_the_table(self) -> Self:
        for source, target in self.remap.items():
            if target != "ignore" and target not in self.ids:
                raise ValueError(f"remap sends {source} to {target}, which is no class; classes are {list(self.ids)}")
        return self

    @property
    def ids(self) -> tuple[int, ...]:
        """Pixel values, ascending."""
        return tuple(each.id for each in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Names in the order of the ids."""
        return tuple(each.name for each in self.classes)

    @property
    def palette(self) -> bytes:
        """256 colours as 768 bytes: the colour of class id `i` at `3 * i`."""
        colours = {each.id: each.colour for each in self.classes} | {IGNORE: IGNORE_COLOUR}
        return b"".join(bytes(colours.get(value, (0, 0, 0))) for value in range(256))

    def without_remap(self) -> "ClassTable":
        """The table for masks in which every pixel is a class of the table or *ignore*."""
        return ClassTable(classes=self.classes)


def read_classes(path: Path) -> ClassTable:
    """Read a `classes.json` that a stage wrote, or a person's `classes.yaml`.

    Raises:
        PipelineError: naming the file, the wrong key and what it may be.
    """
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; every raw and chips folder holds its table of classes")
    return validated(ClassTable, read_json(path) if path.suffix == ".json" else read_yaml(path), path)


def own_classes(folder: Path, known_as: Path) -> ClassTable | None:
    """The table of the archive in `folder`, which its owner knows by another path; None if it brings none.

    Raises:
        PipelineError: it is not as it should be, or has a name like the right one.
    """
    for found in folder.iterdir() if folder.is_dir() else ():
        if found.name.lower() in ("classes.yaml", "classes.yml"):
            if found.name != OWN_CLASSES:
                raise PipelineError(f"{known_as / found.name} is not read; call it {OWN_CLASSES}, or take it away")
            try:
                return read_classes(found)
            except PipelineError as error:
                raise PipelineError(str(error).replace(str(found), str(known_as / OWN_CLASSES))) from None
    return None


def write_classes(path: Path, table: ClassTable) -> None:
    """Write the table as JSON."""
    write_json(path, table.model_dump(mode="json", exclude_defaults=True))
