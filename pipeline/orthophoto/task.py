"""Tile scenes, on any machine that shares the raw folder and the cache."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.core.stage_cache import CachedTask
from pipeline.formats.chips import make_chip_folders
from pipeline.formats.classes import ClassTable
from pipeline.orthophoto.scenes import TiledScene, tile_scene
from pipeline.orthophoto.section import TileSection
from pipeline.raster.layout import Scene
from pipeline.raster.sidecars import with_sidecars


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
