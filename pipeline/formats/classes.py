"""The table of land-cover classes: ids, names, colours, and how label values map to ids."""

import colorsys
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import Field, field_validator, model_validator

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, write_json
from pipeline.core.params import Params, parse_yaml, validate

IGNORE = 255
"""Mask value excluded from loss and scores: padding, no-data, unlabelled."""
IGNORE_COLOUR = (255, 255, 255)
USER_CLASSES = "classes.yaml"
"""Class table that users put into a folder with their own classes."""

ClassId = Annotated[int, Field(ge=0, lt=IGNORE)]
FileId = Annotated[int, Field(ge=-(2**31), lt=2**32)]
"""A pixel value in a label file: any 32-bit integer, signed or unsigned."""
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
    def _require_printable(cls, name: str) -> str:
        if not name.strip() or not name.isprintable():  # names are printed in tables and messages
            raise ValueError(f"{name!r} is not a valid name; use printable characters on one line")
        return name

    @field_validator("colour", mode="before")
    @classmethod
    def _parse_hex(cls, value: Any) -> Any:
        """Accept `"#00ff7f"` too."""
        if value is None:
            raise ValueError("a colour needs quotes, as in '#00ff7f': for YAML, a comment begins with #")
        if not isinstance(value, str):
            return value
        digits = value.removeprefix("#")
        if len(digits) != 6 or any(digit not in "0123456789abcdefABCDEF" for digit in digits):
            raise ValueError(f"{value!r} is not a colour; write '#00ff7f' or [0, 255, 127]")
        return tuple(bytes.fromhex(digits))


class ClassTable(Params):
    """The classes of a dataset, in the order of the model's outputs, sorted by id."""

    classes: tuple[LandCoverClass, ...] = Field(min_length=2)
    """In a user's file also `[NAME, …]`, with ids from 0, or `{ID: NAME, …}`; a class may lack its colour."""
    remap: dict[FileId, ClassId | Literal["ignore"]] = {}
    """Maps label values to an id of `classes` or to *ignore*; other values are unchanged."""

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, values: Any) -> Any:
        """Accept the short forms of `classes`, and add colours."""
        if not isinstance(values, dict) or "classes" not in values or isinstance(values["classes"], tuple):
            return values
        entries = _long_form(values["classes"])
        _require_small_ids([entry.get("id") for entry in entries], values.get("remap"))
        return values | {"classes": [{"colour": distinct_colour(k)} | entry for k, entry in enumerate(entries)]}

    @field_validator("classes")
    @classmethod
    def _sort(cls, classes: tuple[LandCoverClass, ...]) -> tuple[LandCoverClass, ...]:
        for key in ("id", "name"):
            values = [getattr(entry, key) for entry in classes]
            if duplicates := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"duplicate {key} {duplicates[0]!r}; every class needs its own")
        return tuple(sorted(classes, key=lambda entry: entry.id))

    @model_validator(mode="after")
    def _require_known_targets(self) -> Self:
        for source, target in self.remap.items():
            if target != "ignore" and target not in self.ids:
                raise ValueError(f"remap maps {source} to {target}, which is not a class; classes: {list(self.ids)}")
        return self

    @property
    def ids(self) -> tuple[int, ...]:
        """Class ids, ascending."""
        return tuple(entry.id for entry in self.classes)

    @property
    def names(self) -> tuple[str, ...]:
        """Class names, in the order of the ids."""
        return tuple(entry.name for entry in self.classes)

    @property
    def name_of(self) -> dict[int, str]:
        """From id to name."""
        return dict(zip(self.ids, self.names, strict=True))

    @property
    def palette(self) -> bytes:
        """256 colours as 768 bytes: RGB of class id `i` at `3 * i`."""
        colours = {entry.id: entry.colour for entry in self.classes} | {IGNORE: IGNORE_COLOUR}
        return b"".join(bytes(colours.get(value, (0, 0, 0))) for value in range(256))

    @property
    def ignored_value(self) -> int:
        """A label value that can be declared as no-data: it is neither a class nor remapped."""
        return int(next(value for value in (IGNORE, *range(2**16 - 1, IGNORE, -1)) if value not in self.remap))

    def raw_value(self, class_id: int) -> int:
        """Return a label value that `remap` maps to a class, or the id itself where `remap` merges it into another."""
        if self.remap.get(class_id, class_id) == class_id:
            return class_id
        return next((value for value, target in self.remap.items() if target == class_id), class_id)

    def without_remap(self) -> "ClassTable":
        """Return the table for masks that are already remapped."""
        return ClassTable(classes=self.classes)


T = TypeVar("T", bound=ClassTable)


def distinct_colour(number: int) -> Colour:
    """Return a colour for the class at a position: hues apart by the golden ratio, so that any number differ."""
    red, green, blue = (round(255 * level) for level in colorsys.hsv_to_rgb(number * 0.618034 % 1, 0.7, 0.9))
    return red, green, blue


def hex_colour(colour: Colour) -> str:
    """Return a colour as `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def _long_form(classes: Any) -> list[dict[str, Any]]:
    """Return the long form of `classes`.

    Raises:
        ValueError: it has no known form, or a single class.
    """
    if isinstance(classes, list) and len(classes) > 1 and all(isinstance(entry, dict) for entry in classes):
        return classes
    given = classes if isinstance(classes, dict) else dict(enumerate(classes if isinstance(classes, list) else ()))
    if len(given) > 1 and all(isinstance(name, str) for name in given.values()):
        return [{"id": number, "name": name} for number, name in given.items()]
    problem = f"classes is {classes!r}"
    if any(isinstance(name, bool) for name in given.values()):
        problem = "YAML reads yes, no, on and off as true and false: put such names in quotes"
    elif len(given) == 1:
        problem += ", a single class, but there are two or more: give the rest of the pixels a name too"
    raise ValueError(f"{problem}; write classes: [other, building], or with ids, classes: {{0: other, 1: building}}")


def _require_small_ids(ids: list[Any], remap: Any) -> None:
    """Refuse ids above 254 with the `remap` that gives them others."""
    if large := [number for number in ids if isinstance(number, int) and number >= IGNORE]:
        free = (number for number in range(IGNORE) if number not in ids)
        others = dict(zip(large, free, strict=False))
        pasted = remap | others if isinstance(remap, dict) else others
        pairs = ", ".join(f"{value}: {target}" for value, target in pasted.items())
        renamed = ", ".join(f"id {target} instead of {value}" for value, target in others.items())
        raise ValueError(
            f"class ids are 0 to {IGNORE - 1}, because masks have 8 bits and {IGNORE} is ignored; write {renamed}, "
            f"and add the line: remap: {{{pairs}}}"
        )


def read_classes(path: Path) -> ClassTable:
    """Read a `classes.json` written by a stage, or a user's `classes.yaml`.

    Raises:
        PipelineError: the file does not exist or is invalid, with the key and what is allowed.
    """
    return _read(path, ClassTable)


def user_classes(folder: Path, known_as: Path, kind: type[T]) -> T | None:
    """Read the `classes.yaml` in `folder`; None if there is none.

    Args:
        folder: where to look.
        known_as: the user's own path of that folder, for messages.
        kind: the keys that are allowed.

    Raises:
        PipelineError: the table is invalid, or its file name is slightly different.
    """
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name.lower() in ("classes.yaml", "classes.yml"):
            if path.name != USER_CLASSES:
                raise PipelineError(f"{known_as / path.name} is not read; rename it to {USER_CLASSES}, or remove it")
            try:
                return _read(path, kind)
            except PipelineError as error:
                raise PipelineError(str(error).replace(str(path), str(known_as / USER_CLASSES))) from None
    return None


def _read(path: Path, kind: type[T]) -> T:
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; every raw and chips folder needs a class table: run `dvc repro`")
    try:
        values = read_json(path) if path.suffix == ".json" else _with_key(parse_yaml(path))
    except ValueError as error:
        raise PipelineError(f"{path} is not valid JSON: {error}") from None
    return validate(kind, values, path)


def _with_key(values: Any) -> Any:
    """Accept a file that contains the value of `classes` only."""
    is_long = isinstance(values, dict) and not all(str(key).isdecimal() for key in values)
    return values if is_long else {"classes": values}


def write_classes(path: Path, table: ClassTable) -> None:
    """Write the classes and their remap as JSON."""
    write_json(path, table.model_dump(mode="json", exclude_defaults=True, include={"classes", "remap"}))
