"""Cuts orthophotos and their masks into square chips, as LandCover.ai's own script does."""

from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from pipeline.core.cli import parallel_map, progress, run
from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError, catch_failures, partition_results, report_failures
from pipeline.core.files import atomic_path
from pipeline.core.params import BandNumber, Params, Stretch
from pipeline.core.stage_cache import StageCache, stage_cache
from pipeline.formats.chips import (
    OFFICIAL,
    Origin,
    dropped_summary,
    failed_entry,
    link_chips,
    make_chip_folders,
    unmatched_entry,
    write_tables,
)
from pipeline.formats.classes import ClassTable
from pipeline.orthophoto.scenes import Alpha, CutScene, Cutting, cut_scene
from pipeline.raster.labels import declared_in_words
from pipeline.raster.layout import RawFolder, Scene
from pipeline.raster.originals import naming_originals
from pipeline.raster.sidecars import with_sidecars

OFFICIAL_SIZE = 512
"""Pixels of the tiles that LandCover.ai's lists name; the same numbers stand for other ground at another size."""


class TileSection(Params):
    """`tile` of params.yaml."""

    size: int = Field(gt=0, multiple_of=32)
    """Side of a chip in pixels; a multiple of 32, since the encoders halve it five times."""
    partial: Literal["drop", "pad"]
    """What becomes of windows that reach over the edge of a scene."""
    bands: tuple[BandNumber, BandNumber, BandNumber]
    """The image's bands that become red, green, blue, counted from 1."""
    stretch: Literal["none"] | Stretch
    """The values that become black and white; needed for images of more than 8 bits."""
    alpha: Alpha
    """Whether a band that a file marks as alpha hides pixels, if it holds transparency; never one of `bands`."""


class TileParams(Params):
    """What `tile` reads of params.yaml."""

    on_error: OnError

    tile: TileSection


def cutting(section: TileSection) -> Cutting:
    """The params in the words of `pipeline.orthophoto.scenes`."""
    stretch = None if section.stretch == "none" else section.stretch
    return Cutting(section.size, section.partial == "pad", section.bands, stretch, section.alpha)


def cut(scene: Scene, how: Cutting, table: ClassTable, pieces: StageCache) -> tuple[Path, CutScene]:
    """What `cut_scene` makes of a scene, kept: the folder with the chips, and their rows.

    Raises:
        PipelineError: image and mask do not fit, or cannot be read, or hold what they should not.
    """

    def build(folder: Path) -> dict[str, Any]:
        make_chip_folders(folder)
        return asdict(cut_scene(scene, how, table, folder))

    folder, found = pieces.get(scene.id, with_sidecars((scene.image, scene.mask)), build)
    return folder, CutScene(**found)


def dropped_of(cuts: list[CutScene]) -> dict[str, int]:
    """From the reason to the number of windows that became no chip."""
    return {
        "partial": sum(each.partial for each in cuts),
        "without a label": sum(each.unlabelled for each in cuts),
    }


def require_chips(cuts: list[CutScene], failed: int, size: int, raw: Path) -> None:
    """Check that there is a chip.

    Raises:
        PipelineError: there is none; what became of scenes and windows, and what to change.
    """
    if any(each.rows for each in cuts):
        return
    dropped = dropped_of(cuts)
    advice = []
    if failed:
        advice.append(f"mend the {failed} that failed")
    if dropped["partial"]:
        advice.append("set a smaller tile.size, or tile.partial to pad")
    if dropped["without a label"]:
        advice.append("label some pixels, or name their values in classes.yaml")
    if any(each.transparent for each in cuts):
        advice.append("set tile.alpha to none if alpha hides what it should not")
    raise PipelineError(
        f"no chip of {size} px came out of {len(cuts) + failed} scenes in {raw}: {failed} failed, and of the windows "
        f"of the others {dropped['partial']} reach over the edge and {dropped['without a label']} have no labelled "
        f"pixel; {'; '.join(advice)}"
    )


def transparent_in_words(cuts: list[CutScene]) -> str:
    """What the summary says of alpha: nothing, if it hides nothing."""
    hidden, pixels = sum(each.transparent for each in cuts), sum(each.pixels for each in cuts)
    told = f", {100 * hidden / pixels:.2g} % of the pixels ignored by alpha (see tile.alpha)" if hidden else ""
    if unused := sum(each.alpha_unused for each in cuts):
        told += f", alpha of {unused} scenes hides nothing: it holds more than on and off (see tile.alpha)"
    return told


@naming_originals
def tile(raw: Path, chips: Path, failures: Path, params: TileParams) -> str:
    """Cut every scene in RAW into the chips folder CHIPS; those that cannot be cut are in the table FAILURES."""
    source = RawFolder("landcoverai", raw)
    table, scenes = source.classes, source.scenes
    how = cutting(params.tile)
    official = source.official_parts if how.size == OFFICIAL_SIZE else {}
    with stage_cache("tile", source.checksum, asdict(how), table.model_dump()) as pieces, atomic_path(chips) as folder:
        make_chip_folders(folder)
        one = catch_failures(
            partial(cut, how=how, table=table, pieces=pieces), lambda scene: str(scene.image.relative_to(raw))
        )
        made, failed = partition_results(progress(parallel_map(one, scenes), "tile", len(scenes)))
        settled = report_failures(failed, params.on_error, failures, raw)
        for piece, _ in made:
            link_chips(piece, folder)
        cuts = [each for _, each in made]
        rows = [row | {OFFICIAL: official.get(str(row["id"]))} for each in cuts for row in each.rows]
        require_chips(cuts, len(failed), how.size, raw)
        dropped = dropped_of(cuts) | unmatched_entry(official, (row["id"] for row in rows))
        imagery = replace(how.imagery, synthetic=source.synthetic)
        origin = Origin(source.source, dropped | failed_entry("scenes", len(failed)))
        write_tables(folder, rows, table, imagery, origin)
    declared = declared_in_words(each.declared for each in cuts)
    told = f"{dropped_summary(dropped)}{transparent_in_words(cuts)}{declared}{settled}"
    return f"{len(scenes)} scenes in, {len(rows)} chips kept, {told}"


if __name__ == "__main__":
    run(tile)
