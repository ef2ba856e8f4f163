"""Suggest a `classes.yaml` for the labels of a folder: the values, colours or attributes that it finds."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import shapely

from pipeline.core.cli import parallel_map
from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, Colour, distinct_colour
from pipeline.importing.polygon_classes import NULL, ROW_NUMBERS, value_text
from pipeline.importing.raster_masks import open_mask
from pipeline.importing.rules import LabelRules
from pipeline.importing.survey import Pair, is_vector
from pipeline.raster.geotiff import is_nodata
from pipeline.shapes.polygons import layer_names, read_layer

MAX_CLASSES = 50
"""Values from which an attribute is taken to hold something else, and colours of a mask to be inexact."""
SMALLEST_SHARE = 0.001
"""Share of the pixels from which an inexact colour may be that of a class."""
CLASS_WORDS = ("class", "klass", "label", "type", "kind", "code", "cover", "use", "name")
"""Parts of the names of attributes that often hold the class."""
TOLERANCE = 30
"""For masks with inexact colours, such as JPEG."""


@dataclass
class Contents:
    """What the labels of a folder contain."""

    values: Counter[int] = field(default_factory=Counter)
    """Pixels of each value in masks with one band."""
    palette: dict[int, Colour] = field(default_factory=dict)
    """Colours of these values, where a mask has a colour table."""
    colours: Counter[Colour] = field(default_factory=Counter)
    """Pixels of each colour in painted masks."""
    attributes: dict[str, Counter[str]] = field(default_factory=dict)
    """Area of each value, by attribute; texts as in `polygons.values`."""

    def add(self, other: "Contents") -> None:
        """Add the contents of another file."""
        self.values += other.values
        self.palette |= other.palette
        self.colours += other.colours
        for name, areas in other.attributes.items():
            self.attributes[name] = self.attributes.get(name, Counter()) + areas


def find_contents(root: Path, pairs: Sequence[Pair], rules: LabelRules) -> Contents:
    """Read all labels of a folder.

    Raises:
        PipelineError: a label cannot be read.
    """
    contents = Contents()
    labels = sorted({root / pair.label for pair in pairs})
    for found in parallel_map(lambda path: read_polygons(path) if is_vector(path) else read_mask(path, rules), labels):
        contents.add(found)
    return contents


def read_mask(path: Path, rules: LabelRules) -> Contents:
    """Count the values, or the colours, of a mask; without its no-data.

    Raises:
        PipelineError: it cannot be read, or has values that are not whole numbers.
    """
    contents = Contents()
    with open_mask(path, rules) as mask:
        for window, own in mask.rows():
            bands_CHW = mask.read(window)[:, own]
            if mask.is_painted:
                colours_CN = bands_CHW[:, bands_CHW[3] > 0] if len(bands_CHW) == 4 else bands_CHW.reshape(3, -1)
                found, counts = np.unique(colours_CN[:3], axis=1, return_counts=True)
                for (red, green, blue), count in zip(found.T.tolist(), counts.tolist(), strict=True):
                    contents.colours[red, green, blue] += count
                continue
            values_N = bands_CHW[0][~is_nodata(bands_CHW[0], mask.file.nodata[0])]
            if (fractions := values_N[values_N != np.floor(values_N)]).size:
                raise PipelineError(f"{path} contains {fractions[0]}, but labels are whole numbers")
            found, counts = np.unique(values_N, return_counts=True)
            contents.values.update(dict(zip(map(int, found), counts.tolist(), strict=True)))
        if mask.file.colour_table is not None:
            table = mask.file.colour_table[:, :3].tolist()
            contents.palette = {v: tuple(table[v]) for v in contents.values if 0 <= v < len(table)}
    return contents


def read_polygons(path: Path) -> Contents:
    """Sum the area of polygons by the values of each attribute, in the units of the file's CRS.

    Raises:
        PipelineError: it cannot be read.
    """
    polygons = read_layer(path, layer_names(path)[0])
    area_P = shapely.area(polygons.geometries_P)
    contents = Contents()
    for name, values_P in polygons.attributes.items():
        areas: Counter[str] = Counter()
        for value, area in zip(map(value_text, values_P), area_P.tolist(), strict=True):
            areas[value] += area
        contents.attributes[name] = areas
    return contents


def suggest(contents: Contents) -> str:
    """Return the text of a `classes.yaml`, to be edited."""
    if contents.colours:
        return "\n".join(_of_colours(contents.colours)) + "\n"
    if contents.values:
        return "\n".join(_of_values(contents.values, contents.palette, "pixels")) + "\n"
    return "\n".join(_of_attributes(contents.attributes)) + "\n"


def _of_values(values: Mapping[int, float], palette: Mapping[int, Colour], unit: str) -> Iterator[str]:
    ids = _ids(values)
    yield from _classes([_Entry(ids[v], f"class {v}", palette.get(v), values[v]) for v in sorted(values)], unit)
    if remap := [f"{value}: {number}" for value, number in sorted(ids.items()) if value != number]:
        yield f"remap: {{{', '.join(remap)}}}"


def _of_colours(colours: Mapping[Colour, int]) -> Iterator[str]:
    total = sum(colours.values())
    is_exact = len(colours) <= MAX_CLASSES
    kept = [c for c, count in sorted(colours.items()) if is_exact or count >= SMALLEST_SHARE * total][:IGNORE]
    entries = [_Entry(number, f"class {number}", colour, colours[colour]) for number, colour in enumerate(kept)]
    yield from _classes(entries, "pixels")
    if not is_exact:
        yield f"# and {len(colours) - len(kept)} rarer colours: keep the colours of classes, remove those between them"
        yield f"colours: {{tolerance: {TOLERANCE}, edges: ignore}}"


def _of_attributes(attributes: Mapping[str, Counter[str]]) -> Iterator[str]:
    name = _class_attribute(attributes)
    if name is None:
        yield from _classes([_Entry(0, "background"), _Entry(1, "object")], "area")
        yield "polygons: {background: background}"
    else:
        yield from _of_attribute(name, attributes[name])
    for other, areas in attributes.items():
        if other != name:
            values = ", ".join(sorted(areas)[:5]) + ", …" * (len(areas) > 5)
            yield f"# another attribute is {_quoted(other)}: {values}"


def _of_attribute(name: str, areas: Counter[str]) -> Iterator[str]:
    by_value = {value: area for value, area in sorted(areas.items()) if value != NULL}
    rules = [f"attribute: {_quoted(name)}"] + [f"values: {{{NULL}: ignore}}"] * (NULL in areas)
    if all(re.fullmatch(r"-?\d+", value) for value in by_value) and len(by_value) > 1:
        yield from _of_values({int(value): area for value, area in by_value.items()}, {}, "area")
    elif len(by_value) > 1:
        yield from _classes([_Entry(k, value, None, area) for k, (value, area) in enumerate(by_value.items())], "area")
    else:
        ((value, area),) = by_value.items()
        yield from _classes([_Entry(0, "background"), _Entry(1, value, None, area)], "area")
        rules.append("background: background")
    yield f"polygons: {{{', '.join(rules)}}}"
    if len(by_value) > 1:
        yield "# what no polygon covers is ignored; to make it a class, add it above, and background: NAME to polygons"


def _class_attribute(attributes: Mapping[str, Counter[str]]) -> str | None:
    """Return the attribute that most likely holds the class; None if none does."""
    fitting = [
        name
        for name, areas in attributes.items()
        if name.lower() not in ROW_NUMBERS and set(areas) != {NULL} and len(areas) <= MAX_CLASSES
    ]
    is_named = {name: any(word in name.lower() for word in CLASS_WORDS) for name in fitting}
    return min(fitting, key=lambda name: (not is_named[name], len(attributes[name])), default=None)


def _ids(values: Iterable[int]) -> dict[int, int]:
    """Return an id for each value: the value itself, or the next free one where that cannot be an id."""
    values = sorted(values)
    fitting = {value for value in values if 0 <= value < IGNORE}
    others = [value for value in values if value not in fitting]
    free = [number for number in range(IGNORE) if number not in fitting]
    if len(others) > len(free):
        raise PipelineError(f"the masks have {len(values)} values, more than the {IGNORE} classes that there can be")
    return {value: value for value in fitting} | dict(zip(others, free, strict=False))


@dataclass(frozen=True)
class _Entry:
    """A class to suggest."""

    id: int
    name: str
    colour: Colour | None = None
    amount: float | None = None
    """Pixels, or area."""


def _classes(entries: list[_Entry], unit: str) -> Iterator[str]:
    """Yield the key `classes`, with the share of each class."""
    if len(entries) == 1:
        entries = [*entries, _Entry(entries[0].id + 1, "another class")]
    total = sum(entry.amount or 0 for entry in entries)
    yield "classes:"
    for position, entry in enumerate(entries):
        colour = "#{:02x}{:02x}{:02x}".format(*(entry.colour or distinct_colour(position)))
        share = "" if entry.amount is None else f"  # {100 * entry.amount / total:.2f} % of the {unit}"
        yield f"  - {{id: {entry.id}, name: {_quoted(entry.name)}, colour: {_quoted(colour)}}}{share}"


def _quoted(text: str) -> str:
    """Return a YAML string; JSON is YAML."""
    return json.dumps(text, ensure_ascii=False)
