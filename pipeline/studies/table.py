"""A table of the report: text, with what its columns contain."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import mean
from typing import Literal

ABSENT = "–"
"""Shown where there is no value."""


Kind = Literal["text", "label", "number", "colour"]
"""Labels are on one line; numbers are right-aligned too; a colour, `#rrggbb`, is shown as such."""
LABELS = ("arm", "runs", "pair", "class", "experiment", "data", "95 % interval", "95 % interval, or range")
KINDS: dict[str, Kind] = {"colour": "colour", "red, green, blue": "label", **dict.fromkeys(LABELS, "label")}
"""Of columns by title; text where there is none."""


@dataclass(frozen=True)
class Column:
    """A column."""

    title: str
    kind: Kind


@dataclass(frozen=True)
class Table:
    """A table with a caption above and notes below."""

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    synthetic: bool
    """Whether it is marked as of synthetic data."""
    folded: bool
    """Whether a page shows it only on request."""

    @classmethod
    def of(
        cls,
        caption: str,
        titles: Sequence[str],
        rows: Iterable[tuple[str, ...]],
        notes: Iterable[str],
        synthetic: bool,
        *,
        numbers: Sequence[str] = (),
        folded: bool = False,
    ) -> "Table":
        """Make a table, whose columns have numbers where the title is among `numbers`, and their `KINDS` elsewhere."""
        columns = (Column(title, "number" if title in numbers else KINDS.get(title, "text")) for title in titles)
        return cls(caption, tuple(columns), tuple(rows), tuple(notes), synthetic, folded)


def score_text(value: float | None, digits: int = 4) -> str:
    """Round a score."""
    return ABSENT if value is None else f"{value:.{digits}f}"


def share_text(value: float | None) -> str:
    """Format a share as percent."""
    return ABSENT if value is None else f"{100 * value:.1f} %"


def number_text(value: float | None, form: str = "g") -> str:
    """Format a number."""
    return ABSENT if value is None else f"{value:{form}}"


def spread_text(values: Sequence[float], form: Callable[[float], str] = score_text) -> str:
    """Format a mean with the range of several values."""
    if not values:
        return ABSENT
    low, high = form(min(values)), form(max(values))
    return low if low == high else f"{form(mean(values))} ({low} to {high})"
