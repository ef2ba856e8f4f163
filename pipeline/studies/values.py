"""Values of params and metrics: nested mappings of what YAML and JSON have."""

from typing import Any


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
