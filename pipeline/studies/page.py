"""The report of studies: one HTML page that contains everything, and the same tables as Markdown."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.core.errors import PipelineError
from pipeline.studies import curves
from pipeline.studies.curves import Chart, LegendEntry, charts, legend
from pipeline.studies.details import study_tables
from pipeline.studies.pictures import Grid
from pipeline.studies.results import StudyResults
from pipeline.studies.table import Table
from pipeline.studies.tables import with_counterpart

MAX_BYTES = 10_000_000
"""Of the page."""
SIDES = (256, 192, 128, 64)
"""Longest sides of the pictures: the first with which the page is small enough is used."""


@dataclass(frozen=True)
class Section:
    """A study in the report."""

    results: StudyResults
    tables: tuple[Table, ...]
    charts: tuple[Chart, ...]
    legend: tuple[LegendEntry, ...]
    grids: tuple[Grid, ...] = ()

    @classmethod
    def of(cls, results: StudyResults) -> "Section":
        """Make everything but the pictures."""
        return cls(results, tuple(study_tables(results)), tuple(charts(results)), tuple(legend(results)))

    @property
    def why_missing(self) -> str:
        """Why there are no curves or pictures."""
        if self.results.finished:
            return "Not in DVC's cache; of experiments from a remote, dvc exp pull fetches it."
        return "No run is done yet."

    @property
    def counterparts(self) -> str:
        """Tables and figures of the paper that it corresponds to."""
        names = self.results.study.counterparts.model_dump().values()
        return ", ".join(dict.fromkeys(filter(None, names)))

    @property
    def pictures_caption(self) -> str:
        """Of the pictures, which may be missing."""
        return with_counterpart("Predictions", self.results.study.counterparts.pictures)

    @property
    def progress(self) -> str:
        """How many of its runs are done."""
        return f"{len(self.results.finished)} of {len(self.results.runs)} runs"


@dataclass(frozen=True)
class Report:
    """All that is in the report."""

    sections: tuple[Section, ...]
    class_tables: tuple[Table, ...]
    revision: str
    """The commit that was checked out."""
    command: str
    """That made the report."""


def render_page(report: Report) -> str:
    """Return the page."""
    environment = _environment(autoescape=True)
    return environment.get_template("page.html.j2").render(report=report, svg=curves)


def render_markdown(report: Report) -> str:
    """Return the tables as Markdown, in which no text of a class or experiment is markup."""
    return _environment(autoescape=False, finalize=escape_markdown).get_template("report.md.j2").render(report=report)


def fit_page(
    report: Report,
    draw: Callable[[StudyResults, int], Sequence[Grid]],
    limit: int = MAX_BYTES,
    sides: Sequence[int] = SIDES,
) -> str:
    """Render the page with the largest pictures with which it has at most `limit` bytes.

    Args:
        report: without pictures.
        draw: returns the pictures of a study, at most of this longest side.
        limit: bytes.
        sides: to try, in this order.

    Raises:
        PipelineError: it is larger with all of them.
    """
    for side in sides:
        sections = (replace(section, grids=tuple(draw(section.results, side))) for section in report.sections)
        page = render_page(replace(report, sections=tuple(sections)))
        if len(page.encode()) <= limit:
            return page
    raise PipelineError(
        f"the page has {len(page.encode()) / 1e6:.1f} MB, at most {limit / 1e6:g} are allowed; name fewer studies, or "
        "give --only"
    )


def escape_markdown(value: object) -> object:
    """Escape text for a cell of a table in Markdown; leave other values."""
    if not isinstance(value, str):
        return value
    text = " ".join(value.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").split())
    return re.sub(r"(^#|[\\`*\[\]|])", r"\\\1", text)


def _environment(autoescape: bool, finalize: Callable[[object], object] | None = None) -> Environment:
    return Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=autoescape,
        finalize=finalize,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
