"""What to map, and how: a scene as the user names it, and the options of a map."""

from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pipeline.core.failures import OnError
from pipeline.core.files import sha256
from pipeline.inference.network import Wanted
from pipeline.inference.outputs import MapFiles
from pipeline.inference.windows import Tiling
from pipeline.raster.remote import locate
from pipeline.scenes.area import AreaOptions
from pipeline.scenes.geotiff_scene import open_band_files
from pipeline.scenes.opening import merge_scenes, open_any
from pipeline.scenes.scene import ReadOptions, Scene


@dataclass(frozen=True)
class Source:
    """The scene to map, as given by the user."""

    names: tuple[str, ...]
    """Paths or URLs."""
    kind: Literal["scene", "bands", "merge"] = "scene"
    """One scene; its bands in separate files; or several scenes as one, the later above the earlier."""

    @property
    def title(self) -> str:
        """Names of the files without their folders, for the preview."""
        names = [Path(str(locate(name))).name for name in self.names]
        return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

    def open(self, options: ReadOptions) -> AbstractContextManager[Scene]:
        """Open it as one scene.

        Raises:
            PipelineError: a file is missing, damaged or unsuitable for the model, or files do not fit each other.
        """
        if self.kind == "bands":
            return open_band_files(self.names, options)
        return merge_scenes(self.names, options) if self.kind == "merge" else open_any(self.names[0], options)


@dataclass(frozen=True)
class MapOptions:
    """How a map is made."""

    wanted: Wanted = field(default_factory=Wanted)
    area: AreaOptions = field(default_factory=AreaOptions)
    preview: Path | None = None
    """PNG of image and map."""
    vector: Path | None = None
    """GeoPackage of the map's polygons, with the confidence, which is then written too."""
    truth: Path | None = None
    """Mask of class ids on the scene's grid, shown in the preview."""
    credit: str = ""
    """Of the imagery, written into the preview."""
    mmu: float | None = None
    """Minimum mapping unit in hectares: smaller patches are merged into a neighbour."""
    offset: float | None = None
    """Instead of the model's, added to scaled values."""
    resample: bool = False
    """Run at the pixel size of the training, and return the map on the scene's grid."""
    memory: float | None = None
    """GB for the windows inside the network; None: see `LoadedModel.plan`."""
    tiling: Tiling | None = None
    """Instead of `LoadedModel.plan`, for comparisons: with windows of the chips' size and no halo a map has the
    predictions that the stage evaluate scores."""
    on_error: OnError = "stop"
    """What to do with blocks of a file that cannot be decoded; skip: no data there."""
    overwrite: bool = False

    @property
    def made(self) -> Wanted:
        """The layers that are made."""
        return self.wanted if self.vector is None else replace(self.wanted, confidence=True)

    def absolute(self) -> "MapOptions":
        """Return the same with absolute paths, for another machine."""
        area = replace(self.area, aoi=_absolute(self.area.aoi), mask=_absolute(self.area.mask))
        preview, vector, truth = map(_absolute, (self.preview, self.vector, self.truth))
        return replace(self, area=area, preview=preview, vector=vector, truth=truth)

    def files(self, out: Path) -> MapFiles:
        """Return the files of a map."""
        return MapFiles(out, self.made.layers, self.preview, self.vector)

    @property
    def inputs(self) -> list[str]:
        """Files that are read besides the scene."""
        return [str(path) for path in (self.area.aoi, self.area.mask, self.truth) if path is not None]

    def tags(self) -> dict[str, str]:
        """Options that change the map, for the tags of its file."""
        area, tiling = self.area, self.tiling
        chosen: dict[str, Any] = {
            "undecided": self.wanted.undecided,
            "mmu": self.mmu,
            "offset": self.offset,
            "bbox": area.bbox,
            "aoi": area.aoi and sha256(area.aoi),
            "mask": area.mask and sha256(area.mask),
            "resample": self.resample or None,
            "on_error": "skip" if self.on_error == "skip" else None,
            "tiling": tiling and f"{tiling.window} px, halo {tiling.halo} px",
        }
        return {f"OPTION_{name.upper()}": str(value) for name, value in chosen.items() if value is not None}


def _absolute(path: Path | None) -> Path | None:
    return path and path.absolute()
