"""Says that a value is none of those allowed, and which of them was probably meant."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches

SHOWN = 15
"""Choices that a line can hold; of more it names the closest alone."""


def refusal(name: str, given: object, choices: Iterable[str], others: str = "") -> str:
    """What a param is, what was probably meant, and what it may be; `others`: what else is allowed, in words."""
    allowed = list(choices)
    if len(allowed) > SHOWN:
        closest = get_close_matches(str(given), allowed, n=5, cutoff=0.0)
        return f"{name} is {given!r}; the closest of {len(allowed)} that are allowed: {', '.join(closest)}{others}"
    return f"{name} is {given!r}; {meant(given, allowed)}allowed: {', '.join(allowed)}{others}"


def unknown_key(key: str, known: Iterable[str]) -> str:
    """That nothing reads a key, which one was probably meant, and which there are."""
    keys = list(known)
    return f"{key} is not a known key; {meant(key.rpartition('.')[2], keys)}known here: {', '.join(keys)}"


def meant(given: object, choices: Sequence[str]) -> str:
    """`did you mean 'imagenet'? `, if one of the choices is like what was given."""
    plain = {choice.lower(): choice for choice in choices}
    close = get_close_matches(str(given).lower(), plain, n=1, cutoff=0.7)  # gpu is not meant to be cpu
    return f"did you mean {plain[close[0]]!r}? " if close else ""
