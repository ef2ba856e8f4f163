"""The class of each polygon of a vector file, from one of its attributes.

P: polygons.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, USER_CLASSES
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


def resolve(value: Any, rules: LabelRules) -> int | None:
    """Return the class id that a value of an attribute means, `IGNORE`, or None if it is no class.

    `polygons.values` counts first, its keys compared as text; then the exact name of a class; then, for whole numbers
    (1, 1.0 and "1" are one), `remap` and the class ids.
    """
    text = as_text(value)
    targets = {str(key): target for key, target in rules.polygons.values.items()}
    ids = dict(zip(rules.names, rules.ids, strict=True))
    target: int | str | None = None
    if text in targets:
        target = targets[text]
        target = ids.get(target, target) if isinstance(target, str) and target != "ignore" else target
    elif isinstance(value, str) and value in ids:
        target = ids[value]
    elif re.fullmatch(r"0|-?[1-9]\d*", text):
        number = int(text)
        target = rules.remap.get(number, number if number in rules.ids else None)
    if isinstance(target, str):
        return IGNORE
    return target


def as_text(value: Any) -> str:
    """Return a value as text, as in `polygons.values`: whole numbers without a fraction, also those written as text."""
    if value is None or value != value or (isinstance(value, np.datetime64) and np.isnat(value)):  # NaN
        return NULL
    if isinstance(value, bool | np.bool_):
        return str(int(value))
    if isinstance(value, float | np.floating):
        return str(int(value)) if np.isfinite(value) and value == int(value) else str(float(value))
    text = str(value)
    return text.split(".")[0] if re.fullmatch(r"-?\d+\.0+", text) else text


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
    if (name := rules.polygons.attribute) is not None:
        if name not in polygons.attributes:
            near = get_close_matches(name, polygons.attributes, 1)
            raise PipelineError(
                f"{polygons.name} has no attribute {name!r}, which polygons.attribute names"
                f"{f' (nearest: {near[0]})' if near else ''}; {_describe_attributes(polygons.attributes)}"
            )
        return _classes(polygons, name, rules), f"class by attribute {name!r}"
    candidates = {
        name: values_P
        for name, values_P in polygons.attributes.items()
        if name.lower() not in ROW_NUMBERS and set(map(as_text, values_P)) != {NULL}
    }
    if not candidates:
        return _only_class(polygons, rules)
    known = {name: _known(values_P, rules) for name, values_P in candidates.items()}
    complete = [name for name, (some, every) in known.items() if every]
    partial = [name for name, (some, every) in known.items() if some]
    if not complete and len(partial) == 1:
        complete = partial  # its other values are named
    classes = [_classes(polygons, name, rules) for name in complete]
    if classes and all(np.array_equal(classes[0], others) for others in classes):
        return classes[0], f"class by attribute {complete[0]!r}, which was found"
    reason = "no attribute has only values that are classes"
    if complete:
        candidates = {name: candidates[name] for name in complete}
        reason = f"{len(complete)} attributes have values that are all classes, but not the same ones"
    raise PipelineError(
        f"{polygons.name}: {reason}; {_describe_attributes(candidates)}; classes: {', '.join(rules.names)}: name the "
        f"attribute as polygons.attribute in {USER_CLASSES}, and map its values there in polygons.values"
    )


def _only_class(polygons: Polygons, rules: LabelRules) -> tuple[np.ndarray, str]:
    """Return the class of polygons without attributes: the only one besides the background."""
    others = [entry for entry in rules.classes if entry.name != rules.polygons.background]
    if len(others) > 1:
        raise PipelineError(
            f"{polygons.name} has no attribute that could hold the class, and there are {len(others)} classes that its "
            f"polygons could be: {', '.join(entry.name for entry in others)}; add an attribute with the class, or, if "
            f"there is one class and a background, name that as polygons.background in {USER_CLASSES}"
        )
    return np.full(len(polygons.geometries_P), others[0].id, np.uint8), "without attributes"


def _known(values_P: np.ndarray, rules: LabelRules) -> tuple[bool, bool]:
    """Return whether some, and whether all values are classes."""
    known = [resolve(value, rules) is not None for value in _distinct(values_P).values()]
    return any(known), all(known)


def _classes(polygons: Polygons, name: str, rules: LabelRules) -> np.ndarray:
    """Return the class of each polygon, uint8.

    Raises:
        PipelineError: a value is no class; each is named with its count.
    """
    values_P = polygons.attributes[name]
    known = {text: resolve(value, rules) for text, value in _distinct(values_P).items()}
    texts_P = list(map(as_text, values_P))
    unknown = Counter(text for text in texts_P if known[text] is None)
    if not unknown:
        return np.array([known[text] for text in texts_P], np.uint8)
    described, first = [], None
    for text, count in unknown.most_common(MAX_LISTED):
        near = _nearest(text, rules)
        first = first or (text, near)
        label = text if text == NULL else repr(text)
        described.append(f"{label} in {count} polygon{'s' * (count > 1)}{f' (nearest: {near})' if near else ''}")
    assert first is not None
    more = f" and {len(unknown) - MAX_LISTED} more" if len(unknown) > MAX_LISTED else ""
    raise PipelineError(
        f"{polygons.name}: attribute {name!r} has values that are no class: {', '.join(described)}{more}; classes: "
        f"{', '.join(rules.names)}; map each in {USER_CLASSES} to a class or to ignore: polygons: "
        f'{{values: {{"{first[0]}": {first[1] or "ignore"}}}}}'
    )


def _nearest(text: str, rules: LabelRules) -> str | None:
    """Return the class name that is close to a text, whatever the case."""
    lower = {name.lower(): name for name in rules.names}
    near = get_close_matches(text.lower(), lower, 1)
    return lower[near[0]] if near else None


def _distinct(values_P: np.ndarray) -> dict[str, Any]:
    """Return the distinct values by their text, most frequent first."""
    values = dict(zip(map(as_text, values_P), values_P, strict=True))
    return {text: values[text] for text, _ in Counter(map(as_text, values_P)).most_common()}


def _describe_attributes(attributes: Mapping[str, np.ndarray]) -> str:
    if not attributes:
        return "it has no attributes"
    listed = []
    for name, values_P in list(attributes.items())[:MAX_LISTED]:
        texts = list(_distinct(values_P))
        listed.append(f"{name} ({', '.join(texts[:MAX_LISTED])}{', …' * (len(texts) > MAX_LISTED)})")
    more = f" and {len(attributes) - MAX_LISTED} more" if len(attributes) > MAX_LISTED else ""
    return f"attributes: {', '.join(listed)}{more}"


def _shares(classes_P: np.ndarray, rules: LabelRules) -> str:
    """Return the number of polygons of each class."""
    names = dict(zip(rules.ids, rules.names, strict=True)) | {IGNORE: "ignore"}
    ids, counts = np.unique(classes_P, return_counts=True)
    return ", ".join(f"{count} {names[int(number)]}" for number, count in zip(ids, counts, strict=True))
