"""Values of params and metrics: nested mappings of what YAML and JSON have, and overrides of them."""

import re
from collections.abc import Mapping
from typing import Any

import yaml

from pipeline.core.choices import unknown_key
from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE

Overrides = dict[str, Any]
"""From dotted key of params.yaml to value."""


def look_up(values: Any, *keys: str) -> Any:
    """Return a value of nested mappings; None if there is none."""
    for key in keys:
        values = values.get(key) if isinstance(values, dict) else None
    return values


def same(first: Any, second: Any) -> bool:
    """Compare values, text of a number as the number: DVC writes 1e-05 for 1e-5, which PyYAML reads as text."""
    if isinstance(first, dict) and isinstance(second, dict):
        return first.keys() == second.keys() and all(same(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(same, first, second))
    if isinstance(first, bool) or isinstance(second, bool):
        return first is second
    try:
        return bool(first == second or float(first) == float(second))
    except (TypeError, ValueError):
        return False


def merged(params: Mapping[str, Any], overrides: Overrides) -> dict[str, Any]:
    """Return params.yaml with overrides by dotted key.

    Raises:
        PipelineError: params.yaml has no such key; names the closest one.
    """
    result = dict(params)
    for dotted, value in overrides.items():
        inner, (*sections, last) = result, dotted.split(".")
        for section in sections:
            if not isinstance(inner.get(section), dict):
                raise PipelineError(f"{PARAMS_FILE}: {unknown_key(dotted, inner)}")
            inner[section] = dict(inner[section])
            inner = inner[section]
        if last not in inner:
            raise PipelineError(f"{PARAMS_FILE}: {unknown_key(dotted, inner)}")
        inner[last] = value
    return result


def override_texts(overrides: Overrides) -> list[str]:
    """Return overrides as DVC's `-S` takes them."""
    return [f"{key}={hydra(value)}" for key, value in overrides.items()]


def hydra(value: Any) -> str:
    """Return a value in the grammar of Hydra's overrides, which DVC's `-S` has.

    Raises:
        PipelineError: it is null, or of another type than the values of params.yaml.
    """
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return "'" + re.sub(r"(\\*)(?='|$)", r"\1\1", value).replace("'", "\\'") + "'"
        case list():
            return f"[{','.join(map(hydra, value))}]"
        case dict():
            return "{" + ",".join(f"{key}:{hydra(inner)}" for key, inner in value.items()) + "}"
    raise PipelineError(
        f"{yaml.safe_dump(value).split(chr(10))[0]} is no value of a parameter; write none for nothing, "
        "and dates in quotes"
    )
