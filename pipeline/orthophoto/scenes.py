"""Cut orthophotos and their masks into chips, on any machine that shares the raw folder and the cache."""

import shutil
from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.core.stage_cache import CachedTask
from pipeline.formats.chips import make_chip_folders
from pipeline.formats.classes import ClassTable
from pipeline.orthophoto.cutting import Cutter, SpectralBandError, cut_windows
from pipeline.orthophoto.image_bands import require_image_bands
from pipeline.orthophoto.section import TileSection
from pipeline.orthophoto.transparency import alpha_band
from pipeline.orthophoto.windows import chip_windows
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.raster.labels import LabelError, refuse_unknown_labels
from pipeline.raster.layout import Scene
from pipeline.raster.sidecars import with_sidecars


@dataclass
class TiledScene:
    """Chips of one scene, with counts for the stage's summary."""

    rows: list[dict[str, object]] = field(default_factory=list)
    """Rows of `chips.csv`."""
    partial: int = 0
    """Windows dropped at the edges."""
    unlabelled: int = 0
    """Windows dropped because no pixel is labelled."""
    pixels: int = 0
    """Pixels read."""
    transparent: int = 0
    """Pixels read that alpha hides."""
    nodata_classes: dict[str, int] = field(default_factory=dict)
    """From class id, as text, to the pixels of it in chips that the mask declares as no-data."""
    alpha_unused: bool = False
    """Whether a band marked as alpha hides nothing because it looks like a spectral band."""


@dataclass(frozen=True)
class TileTask(CachedTask):
    """Tile a scene, or reuse what an earlier run tiled."""

    section: TileSection
    table: ClassTable

    def file(self, scene: Scene) -> str:
        """Return the image's path in the raw folder."""
        return str(scene.image.relative_to(self.raw))

    def __call__(self, scene: Scene) -> tuple[Path, TiledScene]:
        """Tile a scene.

        Returns:
            The folder with the chips, and their rows.

        Raises:
            PipelineError: image or mask is unreadable or unsupported, or they do not match.
        """

        def build(folder: Path) -> dict[str, Any]:
            make_chip_folders(folder, len(self.section.bands))
            return asdict(tile_scene(scene, self.section, self.table, folder))

        folder, result = self.cache.get(scene.id, with_sidecars((scene.image, scene.mask)), build)
        return folder, TiledScene(**result)


def tile_scene(scene: Scene, section: TileSection, table: ClassTable, folder: Path) -> TiledScene:
    """Cut one scene into chips `SCENE_NUMBER`, window by window.

    Args:
        scene: image and mask.
        section: size, edges, bands.
        table: classes of the mask.
        folder: see `make_chip_folders`.

    Raises:
        PipelineError: image or mask is unreadable or unsupported, or they do not match.
    """
    with open_geotiff(scene.image) as image, open_geotiff(scene.mask) as mask:
        _require_suitable(image, mask, section, folder)
        band = None if section.alpha == "none" else alpha_band(image, section.bands)
        cutter = Cutter(scene.id, section, table, folder, band)
        try:
            return _tile(image, mask, cutter)
        except SpectralBandError:  # every chip so far is written again
            return replace(_tile(image, mask, replace(cutter, alpha_band=None)), alpha_unused=True)
        except LabelError:  # count unknown values over the file, not the window
            windows = chip_windows(mask.height, mask.width, section.size)
            refuse_unknown_labels(mask, table, (window.raster_window for window in windows))
            raise


def _tile(image: GeoTiff, mask: GeoTiff, cutter: Cutter) -> TiledScene:
    windows = chip_windows(image.height, image.width, cutter.section.size)
    tiled = TiledScene(partial=sum(not cutter.section.keeps(window) for window in windows))
    nodata_classes: Counter[str] = Counter()
    for cut in cut_windows(image, mask, cutter):
        tiled.pixels += cut.pixels
        tiled.transparent += cut.transparent
        if cut.row is None:
            tiled.unlabelled += 1
        else:
            tiled.rows.append(cut.row)
            nodata_classes.update(cut.nodata_classes)
    tiled.nodata_classes = dict(nodata_classes)
    return tiled


def _require_suitable(image: GeoTiff, mask: GeoTiff, section: TileSection, folder: Path) -> None:
    require_same_grid(image, mask)
    if mask.count != 1:
        raise PipelineError(f"{mask.path} has {mask.count} bands; a mask has one, of class ids")
    if mask.is_jpeg:
        raise PipelineError(
            f"{mask.path} is JPEG-compressed, which invents class ids along edges; recreate it from its source with "
            "lossless compression, such as LZW or DEFLATE"
        )
    if image.colour_table is None and (missing := [band for band in section.bands if band > image.count]):
        grey = ", such as [1, 1, 1] for a grey image" if image.count < 3 else ""
        raise PipelineError(
            f"{image.path} has no band {missing[0]}; it has {image.count}, counted from 1: set tile.bands to those it "
            f"has{grey}"
        )
    require_image_bands(image, section.bands, None if section.stretch == "none" else section.stretch)
    _require_disk_space(image, section, folder)


def _require_disk_space(image: GeoTiff, section: TileSection, folder: Path) -> None:
    """Refuse sparse files that would fill the disk: a few bytes may claim any number of pixels."""
    rows, columns = (
        -(-side // section.size) if section.partial == "pad" else side // section.size
        for side in (image.height, image.width)
    )
    bytes_per_pixel = len(section.bands) + 1  # at most: bands and class, uncompressed
    needed, free = rows * columns * section.size**2 * bytes_per_pixel, shutil.disk_usage(folder).free
    if needed > free:
        raise PipelineError(
            f"{image.path} has {image.width} x {image.height} px: its {rows * columns} chips may need up to "
            f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on the disk of {folder}; free disk space, or set "
            "PIPELINE_CACHE to a folder on a larger disk"
        )
