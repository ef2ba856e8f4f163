"""The class of each polygon of a vector file, from one of its attributes.

P: polygons.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.core.params import flow_yaml
from pipeline.formats.classes import USER_CLASSES, LandCoverClass
from pipeline.importing.rules import LabelRules
from pipeline.shapes.polygons import Polygons, layer_names, read_layer

ROW_NUMBERS = {"fid", "id", "gid", "objectid", "ogc_fid", "osm_id", "osm_way_id"}
"""Attributes in lower case by which GIS programs number features: classes only if the user names them."""
NULL = "NULL"
"""A missing value in messages, and as a key of `polygons.values`."""
MAX_LISTED = 5
"""Values or attributes that a message lists."""


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
    polygons = read_layer(path, _layer(path, rules.polygons.layer))
    classes_P, basis = _classify(polygons, rules)
    areas = None if annotated is None else read_layer(annotated, _layer(annotated, None), with_attributes=False)
    notes = [*polygons.notes, f"{path}: {len(classes_P)} polygons, {basis}: {_shares(classes_P, rules)}"]
    return LabelledPolygons(polygons, classes_P, areas, notes + ([] if areas is None else areas.notes))


def resolve(text: str, rules: LabelRules) -> int | None:
    """Return the class id that a value of an attribute means, `IGNORE`, or None if it is no class.

    `polygons.values` counts first, then the exact name of a class, then, for whole numbers, `remap` and the class ids.

    Args:
        text: the value as by `value_text`: 1, 1.0 and "1" are one.
        rules: the user's `classes.yaml`.
    """
    targets = {value_text(key): target for key, target in rules.polygons.values.items()}
    id_of_text = {value_text(name): number for name, number in zip(rules.names, rules.ids, strict=True)}
    if text in targets or text in id_of_text:
        target = targets.get(text, id_of_text.get(text))
    elif re.fullmatch(r"0|-?[1-9]\d*", text):
        target = rules.remap.get(int(text), int(text) if int(text) in rules.ids else None)
    else:
        return None
    return rules.id_of[target] if isinstance(target, str) else target


def value_text(value: Any) -> str:
    """Return a value of an attribute as text: whole numbers without a fraction, true, false, and `NULL` for none.

    Of texts, Unicode is composed, and blanks around them are dropped.
    """
    if value is None:
        return NULL
    if isinstance(value, bool | np.bool_):
        return str(bool(value)).lower()  # not a class id: any column of yes and no would fit the classes 0 and 1
    if isinstance(value, float | np.floating):
        return NULL if np.isnan(value) else str(int(value)) if value.is_integer() else str(float(value))
    return unicodedata.normalize("NFC", str(value)).strip()  # macOS decomposes ü; neither shows in a message


def _layer(path: Path, name: str | None) -> str:
    layers = layer_names(path)
    if name is None and len(layers) == 1:
        return layers[0]
    if name in layers:
        return str(name)
    if name is None:
        raise PipelineError(
            f"{path} has {len(layers)} layers: {', '.join(layers)}; name one as polygons.layer in {USER_CLASSES}, or "
            "save it to a file of its own"
        )
    raise PipelineError(f"{path} has no layer {name!r}, which polygons.layer names; it has: {', '.join(layers)}")


def _classify(polygons: Polygons, rules: LabelRules) -> tuple[np.ndarray, str]:
    """Return the class of each polygon, and what it is based on."""
    texts = {name: list(map(value_text, values_P)) for name, values_P in polygons.attributes.items()}
    if (name := rules.polygons.attribute) is not None:
        if name not in texts:
            near = get_close_matches(name, texts, 1)
            raise PipelineError(
                f"{polygons.name} has no attribute {name!r}, which polygons.attribute names"
                f"{f' (nearest: {near[0]})' if near else ''}; {_describe(texts)}"
            )
        return _classes(polygons.name, name, texts[name], rules), f"class by attribute {name!r}"
    candidates = {
        name: texts_P for name, texts_P in texts.items() if name.lower() not in ROW_NUMBERS and {*texts_P} != {NULL}
    }
    others = [entry for entry in rules.classes if entry.name != rules.polygons.background]
    if not candidates:
        return _only_class(polygons, others), "without attributes"
    keys = {*map(value_text, (*rules.names, *rules.polygons.values))}
    # an attribute with a name of a class, even beside unknown ones, goes before numbers that happen to be ids
    candidates = {name: texts_P for name, texts_P in candidates.items() if keys & {*texts_P}} or candidates
    known = {name: [resolve(text, rules) is not None for text in {*texts_P}] for name, texts_P in candidates.items()}
    fitting = [name for name in candidates if all(known[name])]
    partial = [name for name in candidates if any(known[name])]
    # the only attribute, with few values, is the class, with names of others
    is_only_choice = len(known) == 1 and all(len(are_known) <= MAX_LISTED for are_known in known.values())
    if not fitting and (len(partial) == 1 or is_only_choice):
        fitting = partial or list(candidates)  # its other values are named
    classes = [_classes(polygons.name, name, candidates[name], rules) for name in fitting]
    if classes and all(np.array_equal(classes[0], found_P) for found_P in classes):
        return classes[0], f"class by attribute {fitting[0]!r}, which was found"
    if fitting:
        candidates = {name: candidates[name] for name in fitting}
        reason, advice = f"{len(fitting)} attributes have values that are all classes, but not the same ones", ""
    else:
        reason, advice = "no attribute has only values that are classes", ", and map its values in polygons.values"
        if len(others) == 1:
            advice += (
                f"; or, if all polygons are {others[0].name}, save them without attributes: ogr2ogr -select '' "
                f"one.gpkg {quote(polygons.name)}"
            )
    raise PipelineError(
        f"{polygons.name}: {reason}; {_describe(candidates)}; classes: {', '.join(rules.names)}: name the attribute as "
        f"polygons.attribute in {USER_CLASSES}{advice}"
    )


def _only_class(polygons: Polygons, others: Sequence[LandCoverClass]) -> np.ndarray:
    """Return the class of polygons without attributes: the only one besides the background."""
    if len(others) > 1:
        raise PipelineError(
            f"{polygons.name} has no attribute that could hold the class, and there are {len(others)} classes that its "
            f"polygons could be: {', '.join(entry.name for entry in others)}; add an attribute with the class, or, if "
            f"there is one class and a background, name that as polygons.background in {USER_CLASSES}"
        )
    return np.full(len(polygons.geometries_P), others[0].id, np.uint8)


def _classes(file: str, attribute: str, texts_P: Sequence[str], rules: LabelRules) -> np.ndarray:
    """Return the class of each polygon, uint8.

    Raises:
        PipelineError: a value is no class; each is named with its count.
    """
    known = {text: resolve(text, rules) for text in {*texts_P}}
    unknown = Counter(text for text in texts_P if known[text] is None).most_common()
    if not unknown:
        return np.array([known[text] for text in texts_P], np.uint8)
    described = []
    for text, count in unknown[:MAX_LISTED]:
        near = _nearest(text, rules)
        value = NULL if text == NULL else repr(text)
        described.append(f"{value} in {count} polygon{'s' * (count > 1)}{f' (nearest: {near})' if near else ''}")
    more = f" and {len(unknown) - MAX_LISTED} more" if len(unknown) > MAX_LISTED else ""
    first = unknown[0][0]
    raise PipelineError(
        f"{file}: attribute {attribute!r} has values that are no class: {', '.join(described)}{more}; classes: "
        f"{', '.join(rules.names)}; map each in {USER_CLASSES} to a class or to ignore: polygons: "
        + flow_yaml({"values": {first: _nearest(first, rules) or "ignore"}})
    )


def _nearest(text: str, rules: LabelRules) -> str | None:
    """Return the class name that is close to a text, whatever the case."""
    lower = {name.lower(): name for name in rules.names}
    near = get_close_matches(text.lower(), lower, 1)
    return lower[near[0]] if near else None


def _describe(attributes: Mapping[str, list[str]]) -> str:
    """List attributes with their most frequent values."""
    if not attributes:
        return "it has no attributes"
    listed = []
    for name, texts_P in list(attributes.items())[:MAX_LISTED]:
        counts = Counter(texts_P)
        values = ", ".join(text for text, _ in counts.most_common(MAX_LISTED))
        listed.append(f"{name} ({values}{', …' * (len(counts) > MAX_LISTED)})")
    more = f" and {len(attributes) - MAX_LISTED} more" if len(attributes) > MAX_LISTED else ""
    return f"attributes: {', '.join(listed)}{more}"


def _shares(classes_P: np.ndarray, rules: LabelRules) -> str:
    """Return the number of polygons of each class."""
    names = rules.label_name_of
    ids, counts = np.unique(classes_P, return_counts=True)
    return ", ".join(f"{count} {names[int(number)]}" for number, count in zip(ids, counts, strict=True))
