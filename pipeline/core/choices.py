"""Error messages for values and keys that are not allowed, with the closest match."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

MAX_LISTED = 15
"""The longest list of choices shown in full; of longer ones only the closest are shown."""


def invalid_choice(name: str, given: object, choices: Iterable[str], alternative: str = "") -> str:
    """Describe an invalid value: parameter, value, closest match, allowed values.

    Args:
        name: the parameter.
        given: its value.
        choices: allowed values.
        alternative: what else is allowed, appended to the list of choices.
    """
    allowed = list(choices)
    if len(allowed) > MAX_LISTED:
        closest = get_close_matches(str(given), allowed, n=5, cutoff=0.0)
        return f"{name} is {given!r}; the closest of {len(allowed)} allowed values: {', '.join(closest)}{alternative}"
    return f"{name} is {given!r}; {suggestion(given, allowed)}allowed: {', '.join(allowed)}{alternative}"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """Describe a key that is not in `known`, with the closest match."""
    keys = list(known)
    return f"{key} is not a known key; {suggestion(key.rpartition('.')[2], keys)}known here: {', '.join(keys)}"


def suggestion(given: object, choices: Sequence[str]) -> str:
    """Return `did you mean 'imagenet'? ` for a close match, else an empty string."""
    by_lowercase = {choice.lower(): choice for choice in choices}
    close = get_close_matches(str(given).lower(), by_lowercase, n=1, cutoff=0.7)  # gpu must not suggest cpu
    return f"did you mean {by_lowercase[close[0]]!r}? " if close else ""
