"""A picture of a map for people: the image beside the map, with legend and scale bar."""

import re
import textwrap
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.font_manager import get_font_names
from matplotlib.legend import Legend
from matplotlib.patches import Patch, Rectangle

from pipeline.core.files import atomic_path
from pipeline.formats.classes import IGNORE, ClassTable, Colour
from pipeline.inference.scale_bar import ScaleBar

DPI = 150
WIDTH, NARROWEST = 10.0, 5.0
"""Width of a picture in inches, and of one of a tall scene: 1,500 and 750 px."""
MARGIN, GAP = 0.12, 0.12
TALLEST_PANEL, SHORTEST_SIDE = 7.0, 0.5
"""Limits of a panel in inches; thinner scenes are stretched to the shortest side."""
STACKED_FROM = 2.5
"""Width of a scene over its height from which panels are stacked."""
BAR_HEIGHT, HEADING_HEIGHT = 0.25, 0.26
TITLE_SIZE, HEADING_SIZE, LEGEND_SIZE, CREDIT_SIZE = 13, 10, 9.5, 7.5
LONGEST_NAME = 40
"""Characters of a class name in the legend; more are cut."""
SCRIPTS = re.compile("CJK|Nanum|WenQuanYi|Source Han|Noto Sans [A-Z]|Droid Sans Fallback|Unifont")
"""Font families, where installed, for characters that matplotlib's own font lacks."""
HATCH: dict[str, Any] = {"hatch": "////", "edgecolor": "0.85", "facecolor": "white"}


@dataclass(frozen=True)
class Panels:
    """Decimated views of one scene, all of the same height and width."""

    image_HWC: np.ndarray
    """uint8 RGBA, transparent where the scene has no data."""
    map_HW: np.ndarray
    """uint8, class ids, and 255 without data."""
    truth_HW: np.ndarray | None = None
    """uint8, class ids, and 255 where not labelled."""


@dataclass(frozen=True)
class Captions:
    """Texts around the panels; each may be empty."""

    title: str = ""
    credit: str = ""
    """Of the imagery, such as `Contains modified Copernicus Sentinel-2 data 2023`."""


def write_preview(
    path: Path,
    panels: Panels,
    table: ClassTable,
    bar: ScaleBar,
    captions: Captions,
    counts: Mapping[int, int],
) -> None:
    """Write a PNG, 1,500 px wide or narrower for tall scenes: image, truth if given, map; scale bar, legend, credit.

    Panels lie side by side, or above each other for wide scenes. The legend lists the classes that occur, with their
    share of the pixels that have a class; areas without data are hatched.

    Args:
        path: of the PNG.
        panels: the views; scenes of more than about 25 times their own width or height are stretched.
        table: the classes of map and truth.
        bar: for the width of the panels.
        captions: title, also written as metadata, and credit.
        counts: pixels of the whole map by class id: overviews by mode lose small classes.
    """
    with _fonts():
        figure = _draw(_views(panels, table), legend_entries(panels, table, counts), bar, captions)
        with atomic_path(path) as partial:
            # without matplotlib's version, so that the same map gives the same bytes
            figure.savefig(partial, format="png", metadata={"Software": None, "Title": captions.title or None})


@contextmanager
def _fonts() -> Iterator[None]:
    """Use fonts for other scripts where installed; characters without a font become boxes, without a warning."""
    families = ["DejaVu Sans", *(name for name in get_font_names() if SCRIPTS.search(name))]
    with mpl.rc_context({"font.family": families}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        yield


def legend_entries(panels: Panels, table: ClassTable, counts: Mapping[int, int]) -> list[tuple[str, Colour | None]]:
    """Return label and colour of the classes that occur, by id, then an entry without colour for areas without data.

    Args:
        panels: the views.
        table: the classes of map and truth.
        counts: pixels of the whole map by class id.
    """
    truth_V = np.bincount([] if panels.truth_HW is None else panels.truth_HW.ravel(), minlength=256)
    of_map, of_truth = _shares(counts), _shares(dict(enumerate(truth_V.tolist())))
    entries: list[tuple[str, Colour | None]] = []
    for entry in table.classes:
        if entry.id in of_map or entry.id in of_truth:
            name = entry.name if len(entry.name) <= LONGEST_NAME else f"{entry.name[: LONGEST_NAME - 1]}…"
            truth = "" if panels.truth_HW is None else f"  (truth {_per_cent(of_truth.get(entry.id, 0))})"
            entries.append((f"{name}  {_per_cent(of_map.get(entry.id, 0))}{truth}", entry.colour))
    views = (("no data", panels.map_HW), ("no label", panels.truth_HW))
    if without := [name for name, ids_HW in views if ids_HW is not None and (ids_HW == IGNORE).any()]:
        entries.append((", ".join(without), None))
    return entries


def _shares(counts: Mapping[int, int]) -> dict[int, float]:
    """Return the share of each class id that occurs."""
    occurring = {class_id: count for class_id, count in counts.items() if count and class_id != IGNORE}
    total = sum(occurring.values())
    return {class_id: count / total for class_id, count in occurring.items()}


def _per_cent(share: float) -> str:
    return f"{share:.1%}".replace("%", " %") if share >= 0.0005 or share == 0 else "< 0.1 %"


def _views(panels: Panels, table: ClassTable) -> dict[str, np.ndarray]:
    """Return headings and RGBA pixels."""
    colours = np.frombuffer(table.palette, np.uint8).reshape(256, 3)
    views = {"image": panels.image_HWC}
    for name, ids_HW in (("truth", panels.truth_HW), ("map", panels.map_HW)):
        if ids_HW is not None:
            views[name] = np.dstack([colours[ids_HW], np.where(ids_HW == IGNORE, 0, 255).astype(np.uint8)])
    return views


def _draw(
    views: Mapping[str, np.ndarray], entries: Sequence[tuple[str, Colour | None]], bar: ScaleBar, captions: Captions
) -> Figure:
    """Place everything in inches, from the bottom: constrained layout fails on scenes one pixel wide."""
    height_px, width_px = next(iter(views.values())).shape[:2]
    columns = 1 if width_px >= STACKED_FROM * height_px else len(views)
    width, height = _panel_size(width_px / height_px, columns)
    figure = Figure(dpi=DPI)
    content = max(NARROWEST - 2 * MARGIN, columns * (width + GAP) - GAP)
    legend, legend_width, legend_height = _legend(figure, entries, content)
    content = max(content, legend_width)
    title, credit = _wrap(captions.title, content, TITLE_SIZE), _wrap(captions.credit, content, CREDIT_SIZE)

    bottoms = list(np.cumsum([MARGIN, _text_height(credit, CREDIT_SIZE), legend_height + GAP, BAR_HEIGHT]))
    rows = len(views) // columns
    top = bottoms[-1] + rows * (height + HEADING_HEIGHT)
    figure.set_size_inches(content + 2 * MARGIN, top + _text_height(title, TITLE_SIZE) + MARGIN)
    inches = figure.dpi_scale_trans
    style: dict[str, Any] = {"transform": inches, "parse_math": False}
    figure.text(MARGIN, bottoms[0], credit, va="bottom", fontsize=CREDIT_SIZE, color="0.35", **style)
    legend.set_bbox_to_anchor((MARGIN, bottoms[1]), inches)
    figure.add_artist(
        Rectangle((MARGIN, bottoms[2] + 0.1), bar.share * width, 0.05, color="black", linewidth=0, transform=inches)
    )
    figure.text(MARGIN + bar.share * width + 0.08, bottoms[2] + 0.11, bar.label, va="center", fontsize=9, **style)
    for index, (heading, view_HWC) in enumerate(views.items()):
        row, column = divmod(index, columns)
        x, y = MARGIN + column * (width + GAP), top - (row + 1) * (height + HEADING_HEIGHT)
        _panel(figure, (x, y, width, height), view_HWC, None if heading == "image" else "nearest")
        figure.text(x, y + height + 0.05, heading, va="bottom", fontsize=HEADING_SIZE, **style)
    figure.text(MARGIN, top + 0.08, title, va="bottom", fontsize=TITLE_SIZE, weight="bold", **style)
    return figure


def _panel_size(aspect: float, columns: int) -> tuple[float, float]:
    """Return width and height of a panel in inches for `aspect`, the width of a scene over its height."""
    width = (WIDTH - 2 * MARGIN - (columns - 1) * GAP) / columns
    width = min(width, max(TALLEST_PANEL * aspect, SHORTEST_SIDE))
    return width, min(TALLEST_PANEL, max(width / aspect, SHORTEST_SIDE))


def _panel(figure: Figure, inches: Sequence[float], view_HWC: np.ndarray, interpolation: str | None) -> None:
    axes = figure.add_axes(tuple(np.array(inches) / np.tile(figure.get_size_inches(), 2)))
    axes.imshow(view_HWC, aspect="auto", interpolation=interpolation)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(color="0.5", linewidth=0.5)
    if not view_HWC[..., 3].all():
        axes.patch.set(**HATCH)


def _legend(figure: Figure, entries: Sequence[tuple[str, Colour | None]], width: float) -> tuple[Legend, float, float]:
    """Add a legend with as many columns as fit into a width in inches; return it, its width and its height."""
    patches = [
        Patch(**(HATCH if colour is None else {"facecolor": np.array(colour) / 255, "edgecolor": "0.5"}), linewidth=0.5)
        for _, colour in entries
    ]
    style: dict[str, Any] = {"loc": "lower left", "frameon": False, "borderpad": 0, "borderaxespad": 0}
    columns = max(1, min(6, len(entries)))
    while True:
        legend = figure.legend(patches, ["-"] * len(entries), ncols=columns, fontsize=LEGEND_SIZE, **style)
        for text, (label, _) in zip(legend.get_texts(), entries, strict=True):
            text.set(text=label, parse_math=False)  # not above: a legend omits labels that start with _
        extent = legend.get_window_extent()
        if extent.width <= width * DPI or columns == 1:
            return legend, extent.width / DPI, extent.height / DPI
        legend.remove()
        columns -= 1


def _wrap(text: str, width: float, size: float) -> str:
    """Break a text into lines of about `width` inches."""
    return "\n".join(textwrap.wrap(text, int(width * 72 / (0.62 * size))))


def _text_height(text: str, size: float) -> float:
    """Return the height of lines in inches with the space above them."""
    return (text.count("\n") + 1) * size * 1.25 / 72 + 0.08 if text else 0
