"""Suggest a `classes.yaml` for the labels of a folder: the values, colours or attributes that it finds."""

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, Colour, distinct_colour, hex_colour
from pipeline.importing.label_contents import Contents
from pipeline.importing.polygon_classes import NULL, ROW_NUMBERS

MAX_CLASSES = 50
"""Values from which an attribute is taken to hold something else, and colours of a mask to be inexact."""
SMALLEST_SHARE = 0.001
"""Share of the pixels from which an inexact colour may be that of a class."""
CLASS_WORDS = ("class", "klass", "label", "type", "kind", "code", "cover", "use", "name")
"""Parts of the names of attributes that often hold the class."""
BINARY = ("background", "foreground")
"""Names of the values 0 and 255 in masks without others."""
TYPO_SHARE = 0.1
"""Share of a value's area below which a value of nearly the same text may be a typo."""
MAX_LISTED = 5
"""Values that a comment lists."""
TOLERANCE = 30
"""For masks with inexact colours, such as JPEG."""


def suggest(contents: Contents) -> str:
    """Return the text of a `classes.yaml`, to be edited.

    Raises:
        PipelineError: there are too many values or colours for classes, or there is nothing but no-data.
    """
    if contents.colours:
        lines = [*_of_colours(contents.colours, contents.is_exact)]
        if contents.values:
            values = ", ".join(map(str, sorted(contents.values)[:MAX_LISTED]))
            lines.append(f"# other masks hold values, such as {values}: they must be the ids above, or in remap")
    elif contents.values:
        lines = [*_of_values(contents.values, contents.palette, "pixels")]
    elif contents.attributes or not contents.nodata:
        lines = [*_of_attributes(contents.attributes, contents.layers)]
    else:
        raise PipelineError(f"the masks contain only no-data, declared as {', '.join(contents.nodata)}")
    total = sum(contents.values.values()) + sum(contents.nodata.values())
    for value, count in contents.nodata.items():
        lines.append(f"# {value} is declared no-data, in {100 * count / total:.2f} %: ignored, unless made a class")
    return "\n".join(lines) + "\n"


def _of_values(values: Mapping[int, float], palette: Mapping[int, Colour], unit: str) -> Iterator[str]:
    ids = _ids(values)
    names = dict(zip(sorted(values), BINARY, strict=True)) if set(values) == {0, 255} else {}
    entries = [_Entry(ids[v], names.get(v, f"class {v}"), palette.get(v), values[v]) for v in sorted(values)]
    yield from _classes(entries, unit)
    if remap := [f"{value}: {number}" for value, number in sorted(ids.items()) if value != number]:
        yield f"remap: {{{', '.join(remap)}}}"


def _of_colours(colours: Counter[Colour], is_exact: bool) -> Iterator[str]:
    is_exact = is_exact and len(colours) <= MAX_CLASSES
    kept = sorted(colours if is_exact else _frequent(colours))
    entries = [_Entry(number, f"class {number}", colour, colours[colour]) for number, colour in enumerate(kept)]
    yield from _classes(entries, "pixels")
    if not is_exact:
        yield f"# and {len(colours) - len(kept)} rarer colours: keep the colours of classes, remove those between them"
        yield f"colours: {{tolerance: {TOLERANCE}, edges: ignore}}"


def _frequent(colours: Counter[Colour]) -> list[Colour]:
    """Return the frequent colours; a rarer one only if no colour is within the tolerance of both."""
    kept: list[Colour] = []
    for colour, count in colours.most_common(IGNORE):
        if count < SMALLEST_SHARE * colours.total():
            break
        if all(max(abs(a - b) for a, b in zip(colour, other, strict=True)) > 2 * TOLERANCE for other in kept):
            kept.append(colour)
    if not kept:
        raise PipelineError(
            f"the masks have {len(colours)} colours, none in {SMALLEST_SHARE:.1%} of the pixels; masks have one for "
            "each class: are these images?"
        )
    return kept


def _of_attributes(attributes: Mapping[str, Counter[str]], layers: Sequence[str]) -> Iterator[str]:
    name = _class_attribute(attributes)
    areas = attributes[name] if name else Counter({"object": 0})
    by_value = {value: area for value, area in sorted(areas.items()) if value != NULL}
    rules = [f"layer: {_quoted(layers[0])}"] if layers else []
    rules += [f"attribute: {_quoted(name)}"] if name else []
    rules += [f"values: {{{NULL}: ignore}}"] if NULL in areas else []
    is_single = len(by_value) == 1
    if is_single:
        ((value, area),) = by_value.items()
        yield from _classes([_Entry(0, "background"), _Entry(1, value, None, area or None)], "area")
        rules.append("background: background")
    elif all(re.fullmatch(r"-?\d+", value) for value in by_value):
        yield from _of_values({int(value): area for value, area in by_value.items()}, {}, "area")
    else:
        yield from _classes([_Entry(k, value, None, area) for k, (value, area) in enumerate(by_value.items())], "area")
        for value, right in _typos(by_value):
            yield f"# {_quoted(value)} may be a typo: remove its line, and add to polygons values: {{{value}: {right}}}"
    yield f"polygons: {{{', '.join(rules)}}}"
    if not is_single:
        yield "# what no polygon covers is ignored; to make it a class, such as other, add that above, and write"
        yield f"# polygons: {{{', '.join([*rules, 'background: other'])}}}"
    if layers:
        yield f"# other layers are {', '.join(map(_quoted, layers[1:]))}"
    for other, areas in attributes.items():
        if other != name:
            values = ", ".join(sorted(areas)[:MAX_LISTED]) + ", …" * (len(areas) > MAX_LISTED)
            yield f"# another attribute is {_quoted(other)}: {values}"


def _typos(areas: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Yield values that are nearly those of much larger areas, with these."""
    for value, area in areas.items():
        larger = [other for other, other_area in areas.items() if area < TYPO_SHARE * other_area]
        yield from ((value, right) for right in get_close_matches(value, larger, 1, cutoff=0.8))


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
        raise PipelineError(
            f"the masks have {len(values)} values, more than the {IGNORE} classes that there can be; "
            "labels are classes: classify measurements, such as heights, first"
        )
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
        colour = hex_colour(entry.colour or distinct_colour(position))
        share = "" if entry.amount is None else f"  # {100 * entry.amount / total:.2f} % of the {unit}"
        yield f"  - {{id: {entry.id}, name: {_quoted(entry.name)}, colour: {_quoted(colour)}}}{share}"


def _quoted(text: str) -> str:
    """Return a YAML string; JSON is YAML."""
    return json.dumps(text, ensure_ascii=False)
