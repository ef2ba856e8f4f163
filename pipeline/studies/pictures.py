"""Grids of pictures: image, target, and a column per model, all on the same test chips."""

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from pipeline.core.errors import PipelineError
from pipeline.core.params import validate
from pipeline.formats.classes import IGNORE_COLOUR, ClassTable, hex_colour
from pipeline.studies.experiments import Experiments
from pipeline.studies.results import Finished, StudyResults
from pipeline.studies.tables import with_counterpart

FOLDER = "plots/evaluate/predictions"
QUALITY = 80
"""Of JPEG, for images; masks are lossless."""
MAX_CHIPS = 8


@dataclass(frozen=True)
class Grid:
    """Pictures of one test set."""

    caption: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, tuple[str, ...]], ...]
    """Chips, and their pictures as data URLs: image, target, predictions."""
    classes: tuple[tuple[str, str], ...]
    """Name and colour, `#rrggbb`."""
    synthetic: bool


def grids(results: StudyResults, experiments: Experiments, side: int) -> list[Grid]:
    """Make a grid for each test set of a study, from the first finished run of each arm.

    Args:
        results: the study.
        experiments: to read pictures from.
        side: longest side of a picture in pixels; larger ones are reduced.
    """
    by_test_set: dict[tuple[str, str], list[Finished]] = {}
    for arm in results.arms:
        if arm.finished:
            run = arm.finished[0]
            by_test_set.setdefault((run.dataset, run.result.test_list), []).append(run)
    made = [_grid(results, runs, experiments, side) for runs in by_test_set.values()]
    found = [(grid, runs[0].dataset) for grid, runs in zip(made, by_test_set.values(), strict=True) if grid]
    if len(found) == 1:
        return [found[0][0]]
    return [replace(grid, caption=f"{grid.caption}, {dataset}") for grid, dataset in found]


def _grid(results: StudyResults, runs: Sequence[Finished], experiments: Experiments, side: int) -> Grid | None:
    """Draw the chips that all the runs have; None if there are none."""
    listed = [experiments.names_in(run.experiment.rev, f"{FOLDER}/predictions") for run in runs]
    shown = [(run, names) for run, names in zip(runs, listed, strict=True) if names]
    if not shown:
        return None
    chips = [name for name in shown[0][1] if all(name in names for _, names in shown)][:MAX_CHIPS]
    first = shown[0][0].experiment.rev
    rows = []
    for name in chips:
        sources = [(first, "images"), (first, "targets"), *((run.experiment.rev, "predictions") for run, _ in shown)]
        try:
            pictures = [picture_url(experiments.read(rev, f"{FOLDER}/{kind}/{name}"), side) for rev, kind in sources]
        except FileNotFoundError:
            continue
        rows.append((name.removesuffix(".png"), tuple(pictures)))
    caption = with_counterpart("Predictions", results.study.counterparts.pictures)
    headings = ("image", "target", *(run.run.arm.name for run, _ in shown))
    synthetic = any(run.synthetic for run, _ in shown)
    return Grid(caption, headings, tuple(rows), _classes(first, experiments), synthetic) if rows else None


def _classes(rev: str, experiments: Experiments) -> tuple[tuple[str, str], ...]:
    """Read names and colours of the classes, and of *ignored*."""
    path = f"{FOLDER}/classes.json"
    try:
        table = validate(ClassTable, json.loads(experiments.read(rev, path)), Path(path))
    except FileNotFoundError:
        return ()
    colours = [(each.name, each.colour) for each in table.classes] + [("ignored", IGNORE_COLOUR)]
    return tuple((name, hex_colour(colour)) for name, colour in colours)


def picture_url(content: bytes, side: int) -> str:
    """Return a PNG as a data URL, reduced to a longest side: an RGB image as JPEG, a palette image as such.

    Raises:
        PipelineError: it is no picture.
    """
    try:
        with Image.open(io.BytesIO(content)) as picture:
            picture.load()
    except (UnidentifiedImageError, OSError, SyntaxError) as error:  # Pillow raises SyntaxError for a broken PNG
        raise PipelineError(f"a picture of {FOLDER} cannot be read ({error}); run the experiment again") from None
    buffer, is_mask = io.BytesIO(), picture.mode == "P"
    made: Image.Image = picture if is_mask else picture.convert("RGB")
    made.thumbnail((side, side), Image.Resampling.BOX, reducing_gap=None)  # Pillow takes the nearest pixel of a palette
    kind = "png" if is_mask else "jpeg"
    made.save(buffer, kind, optimize=is_mask, quality=QUALITY)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"
