"""Cut orthophotos and their masks into square chips, like LandCover.ai's own script."""

from dataclasses import replace
from pathlib import Path

from pipeline.core.cli import run
from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError, report_failures
from pipeline.core.files import atomic_path
from pipeline.core.parallel import process
from pipeline.core.params import Params
from pipeline.core.stage_cache import stage_cache
from pipeline.formats.chips import (
    UNIT,
    Origin,
    dropped_summary,
    failed_entry,
    link_chips,
    make_chip_folders,
    unmatched_entry,
    write_tables,
)
from pipeline.orthophoto.part_lists import LANDCOVERAI_SIZE, PartLists
from pipeline.orthophoto.scenes import TiledScene, TileTask
from pipeline.orthophoto.section import TileSection
from pipeline.raster.labels import nodata_classes_summary
from pipeline.raster.layout import RawFolder
from pipeline.raster.originals import report_original_paths


class TileParams(Params):
    """Parameters of the stage."""

    on_error: OnError
    tile: TileSection


def dropped_windows(scenes: list[TiledScene]) -> dict[str, int]:
    """Count the windows dropped, by reason."""
    return {
        "partial": sum(scene.partial for scene in scenes),
        "without a label": sum(scene.unlabelled for scene in scenes),
    }


def require_chips(scenes: list[TiledScene], failed: int, size: int, raw: Path) -> None:
    """Check that there is at least one chip.

    Raises:
        PipelineError: there is none; counts of scenes and windows, and what to change.
    """
    if any(scene.rows for scene in scenes):
        return
    dropped = dropped_windows(scenes)
    advice = []
    if failed:
        advice.append(f"fix the {failed} that failed")
    if dropped["partial"]:
        advice.append("set a smaller tile.size, or tile.partial to pad")
    if dropped["without a label"]:
        advice.append("label some pixels, or name their values in classes.yaml")
    if any(scene.transparent for scene in scenes):
        advice.append("set tile.alpha to none if alpha hides too much")
    raise PipelineError(
        f"no chips of {size} px from {len(scenes) + failed} scenes in {raw}: {failed} failed; in the others, "
        f"{dropped['partial']} windows extend beyond the scene and {dropped['without a label']} have no labelled "
        f"pixel; {'; '.join(advice)}"
    )


def alpha_summary(scenes: list[TiledScene]) -> str:
    """Summarise the pixels hidden by alpha; empty if there are none."""
    hidden, pixels = sum(scene.transparent for scene in scenes), sum(scene.pixels for scene in scenes)
    summary = f", {100 * hidden / pixels:.2g} % of the pixels ignored by alpha (see tile.alpha)" if hidden else ""
    if unused := sum(scene.alpha_unused for scene in scenes):
        summary += f", alpha of {unused} scenes unused: it has more than two values (see tile.alpha)"
    return summary


@report_original_paths
def tile(raw: Path, chips: Path, failures: Path, params: TileParams) -> str:
    """Cut every scene in RAW into the chips folder CHIPS; list scenes that failed in the table FAILURES."""
    source = RawFolder("landcoverai", raw.absolute())
    table, scenes, section = source.classes, source.scenes, params.tile
    listed_size = LANDCOVERAI_SIZE if source.is_cut else section.size  # of cut chips, the lists name images
    lists = PartLists.for_size(source.official_parts, listed_size, is_own=source.source == "local")
    with (
        stage_cache("tile", source.checksums, section.model_dump(), table.model_dump()) as cache,
        atomic_path(chips) as folder,
    ):
        make_chip_folders(folder, len(section.bands))
        results, failed = process(TileTask(source.path, cache, section, table), scenes, "tile")
        failures_summary = report_failures(failed, params.on_error, failures, source.path)
        for scene_folder, _ in results:
            link_chips(scene_folder, folder, len(section.bands))
        tiled = [scene for _, scene in results]
        rows = [lists.assign(row) | {UNIT: source.unit(str(row["scene"]))} for scene in tiled for row in scene.rows]
        require_chips(tiled, len(failed), section.size, raw)
        lists.require_unambiguous(rows)
        dropped = dropped_windows(tiled) | unmatched_entry(lists.unmatched(rows))
        imagery = replace(section.imagery, synthetic=source.synthetic)
        origin = Origin(source.described_source, dropped | failed_entry("scenes", len(failed)))
        write_tables(folder, rows, table, imagery, origin)
    nodata_summary = nodata_classes_summary(scene.nodata_classes for scene in tiled)
    details = f"{dropped_summary(dropped)}{alpha_summary(tiled)}{nodata_summary}{failures_summary}"
    return f"{len(scenes)} scenes in, {len(rows)} chips kept, {details}"


if __name__ == "__main__":
    run(tile)
