"""Make the map of a scene: windows through the network, then the finished files."""

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any, Literal

import rasterio

from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError
from pipeline.core.files import sha256
from pipeline.core.fingerprint import digest, loaded_code_digest
from pipeline.formats.classes import ClassTable
from pipeline.inference.decimate import read_ids, read_image
from pipeline.inference.estimate import estimate, require_disk
from pipeline.inference.finished import Finish, Finished, finish_layers
from pipeline.inference.forward import NetworkRun, Plan, run_network
from pipeline.inference.frame import Frame, choose_frame
from pipeline.inference.layers import Work, begun_files, open_work
from pipeline.inference.network import OTHER_LAYERS, LoadedModel, Wanted
from pipeline.inference.outputs import (
    MapFiles,
    describe_layers,
    require_new,
    require_no_input,
    require_writable,
    write_outputs,
)
from pipeline.inference.preview import Captions, Panels, write_preview
from pipeline.inference.scale_bar import scale_bar
from pipeline.inference.windows import Tiling
from pipeline.polygons.class_map import MODEL_TAG, open_class_map
from pipeline.polygons.vectorise import vectorise
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.raster.remote import locate
from pipeline.scenes.area import Area, AreaOptions, open_area
from pipeline.scenes.crop import CroppedScene
from pipeline.scenes.geotiff_scene import open_band_files
from pipeline.scenes.ground import min_pixels, pixel_size_note
from pipeline.scenes.opening import merge_scenes, open_any
from pipeline.scenes.scene import ReadOptions, Scene

SYNTHETIC = "synthetic sample"
UNCALIBRATED = "the model is of an older version and not calibrated: confidence is the softmax as it is; train it again"
CACHE_BYTES = 32 << 20
"""GDAL's block cache: memory must not grow with the scene. Tiles are decoded again where windows overlap; strips once
for each window of a row, unless a row of windows fits: windows of 1,280 px up to a width of 8,700 px, in 8-bit RGB."""


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
        area = self.area
        chosen: dict[str, Any] = {
            "undecided": self.wanted.undecided,
            "mmu": self.mmu,
            "offset": self.offset,
            "bbox": area.bbox,
        }
        chosen |= {"aoi": area.aoi and sha256(area.aoi), "mask": area.mask and sha256(area.mask)}
        chosen |= {"resample": self.resample or None, "on_error": "skip" if self.on_error == "skip" else None}
        chosen |= {"tiling": self.tiling and f"{self.tiling.window} px, halo {self.tiling.halo} px"}
        return {f"OPTION_{name.upper()}": str(value) for name, value in chosen.items() if value is not None}


def _absolute(path: Path | None) -> Path | None:
    return path and path.absolute()


@dataclass(frozen=True)
class MapResult:
    """A finished map and what it cost."""

    path: Path
    height: int
    width: int
    """Of the map, in pixels."""
    computed: int
    """Pixels put through the network in this run."""
    seconds: float
    network_seconds: float
    disagreement: float | None
    """Share of pixels within 16 px of a border between windows to which the two windows give different classes; None if
    no windows met in this run."""
    damaged: tuple[str, ...]
    """Blocks of the scene that could not be decoded and are no data."""

    @property
    def pixels(self) -> int:
        """Pixels of the map."""
        return self.height * self.width


def predict_scene(
    model: LoadedModel,
    source: Source | Path | str,
    out: Path | str,
    options: MapOptions | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> MapResult:
    """Write the map of a scene as a Cloud-Optimised GeoTIFF of class ids, with the files that belong to it.

    A run that was killed is continued by the same call, with the same bytes as without the kill: finished rows of
    windows lie in the cache folder, under a key made of scene, model, options and this project's code.

    Args:
        model: see `load_model`.
        source: a path or URL, or several files: see `Source`.
        out: the GeoTIFF; beside it appear `.tif.aux.xml`, `.qml`, and other layers if wanted.
        options: of the map.
        report: gets lines for the user: notes about the scene, and an estimate.

    Raises:
        PipelineError: a file is missing, damaged or unsuitable, or `out` exists.
        OSError: the disk is full.
    """
    start, options = time.monotonic(), options or MapOptions()
    files = options.files(Path(out))
    source = source if isinstance(source, Source) else Source((str(source),))
    require_writable(files)
    require_no_input(files, [*source.names, *options.inputs])
    imagery = model.model.imagery if options.offset is None else replace(model.model.imagery, offset=options.offset)
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        source.open(ReadOptions(imagery, options.on_error)) as scene,
        open_area(scene, options.area) as area,
    ):
        require_no_input(files, scene.files)
        job = _job(model, source, scene, area, options)
        key = digest(str(files.map.resolve()), job.identity)
        if not options.overwrite:
            begun = begun_files(key)
            require_new(path for path in files.chosen if path.absolute() not in begun)
        for note in job.notes:
            report(f"note: {note}")
        report(f"{scene.name}: {estimate(job.run, job.pixels)}")
        with open_work(key) as work:
            require_disk(job.run, job.pixels, work.folder, files.map)
            if work.rows_done:
                report(f"note: {work.rows_done} of {len(job.run.plan.rows)} rows of windows were finished before")
            run_network(job.run, work, f"map of {scene.name}")
            _write(job, work, files, options)
        damaged = tuple(scene.damaged)
    return _result(job, files.map, time.monotonic() - start, damaged)


def map_tags(model: LoadedModel, options: MapOptions) -> dict[str, str]:
    """Return the tags that record how a map was made."""
    trained = {"TRAINED_ON": SYNTHETIC} if model.model.imagery.synthetic else {}
    return {MODEL_TAG: model.model.digest, "PRECISION": model.device.precision} | trained | options.tags()


def is_finished(model: LoadedModel, source: Source, out: Path, options: MapOptions) -> bool:
    """Return whether a map of this name was made by this model with these options, after its scene was last changed.

    Raises:
        PipelineError: the file is no GeoTIFF.
    """
    files = options.files(out)
    needed = [out, *map(files.layer, files.layers), *filter(None, (files.vector,))]
    if not all(path.is_file() for path in needed):
        return False
    if files.vector and files.vector.stat().st_mtime_ns < out.stat().st_mtime_ns:
        return False  # of an older map: its own polygons are written after the map's pixels
    scenes = [Path(name) for name in source.names]
    if any(scene.is_file() and scene.stat().st_mtime_ns > out.stat().st_mtime_ns for scene in scenes):
        return False
    wanted = map_tags(model, options)
    with file_errors(out, "is not a readable GeoTIFF"), open_dataset(out) as dataset:
        found = dataset.tags()
    return wanted == {name: value for name, value in found.items() if name in wanted or name.startswith("OPTION_")}


@dataclass(frozen=True)
class _Job:
    """A map that is ready to be made."""

    title: str
    """Of the preview."""
    scene: Scene
    """As stored."""
    run: NetworkRun
    frame: Frame
    area: Area
    table: ClassTable
    """Of the map."""
    min_pixels: int
    notes: tuple[str, ...]
    identity: list[Any]

    @property
    def pixels(self) -> int:
        """Of the map, on the scene's grid."""
        return int(self.area.bounds.height * self.area.bounds.width)


def _job(model: LoadedModel, source: Source, scene: Scene, area: Area, options: MapOptions) -> _Job:
    """Choose windows, and check everything that could fail later.

    Raises:
        PipelineError: an option does not suit the scene or the model.
    """
    frame = choose_frame(scene, area.bounds, model.model.pixel_sizes, options.resample)
    chosen, batch = model.plan(options.memory)
    plan = Plan.make(frame.bounds, frame.scene, options.tiling or chosen, batch)
    if options.truth is not None:
        _require_truth(scene, options.truth)
    size = (scene.georeference, scene.height, scene.width)
    fewest = 1 if options.mmu is None else min_pixels(options.mmu, *size)
    run = NetworkRun(model, frame.scene, plan, options.made, lambda core: area.wants(frame.in_input(core)))
    size_note = None if options.resample else pixel_size_note(*size, model.model.pixel_sizes)
    is_uncalibrated = model.model.calibration is None and options.made.needs_probabilities
    more = filter(None, (UNCALIBRATED if is_uncalibrated else None, size_note))
    notes = (*model.notes, *scene.notes, *area.notes, *more)
    identity: list[Any] = [frame.scene.identity, area.identity, model.identity, asdict(options.made)]
    identity += [options.offset, options.on_error]
    table = model.table(options.wanted.undecided is not None)
    identity += [asdict(plan.tiling), batch, loaded_code_digest()]
    return _Job(source.title, scene, run, frame, area, table, fewest, notes, identity)


def _require_truth(scene: Scene, path: Path) -> None:
    with open_geotiff(path) as truth:
        require_same_grid(scene, truth, "truth")
        if truth.dtypes != ("uint8",):
            raise PipelineError(
                f"{path} is {truth.dtypes[0]} with {truth.count} bands; a --truth has one band of class ids, uint8: "
                f"gdal_translate -b 1 -ot Byte {quote(str(path))} truth8.tif"
            )


def _finish(job: _Job, work: Work) -> Finished:
    raw = job.run.layers(work)
    readers = {name: partial(job.frame.read_rows, layer) for name, layer in raw.items()}
    is_unchanged = job.frame.resampled is None and job.area.is_whole and job.min_pixels == 1
    scene = None if job.frame.resampled is None else job.scene  # a thin line of no data is lost at another pixel size
    return finish_layers(Finish(job.area, job.min_pixels, readers, scene, is_unchanged), work, raw)


def _write(job: _Job, work: Work, files: MapFiles, options: MapOptions) -> None:
    """Write the files of a map whose windows are done."""
    model, finished = job.run.model, _finish(job, work)
    georeference = CroppedScene(job.scene, job.area.bounds).georeference
    rasters = describe_layers(georeference, job.table, model.model.table, map_tags(model, options))
    work.start_writing(files.chosen)
    replaced = (files.map, *map(files.layer, OTHER_LAYERS)) if options.overwrite else ()
    write_outputs(files, finished, rasters, partial(_complete, job, finished, files, options), replaced)


def _complete(job: _Job, finished: Finished, files: MapFiles, options: MapOptions, layers: dict[str, Path]) -> None:
    """Write the preview and the polygons of a map."""
    if files.preview:
        _preview(job, finished, options, files.preview, layers["classes"])
    if files.vector:
        with open_class_map(layers["classes"], layers["confidence"]) as source:
            vectorise(source, files.vector)


def _preview(job: _Job, finished: Finished, options: MapOptions, path: Path, map_path: Path) -> None:
    """Draw image, truth if there is one, and map."""
    scene = CroppedScene(job.scene, job.area.bounds)
    truth_HW = None if options.truth is None else read_ids(options.truth, part=job.area.bounds)
    panels = Panels(read_image(scene), read_ids(map_path), truth_HW)
    bar = scale_bar(scene.georeference, scene.height, scene.width)
    trained = f"Model trained on a {SYNTHETIC}." if job.run.model.model.imagery.synthetic else ""
    captions = Captions(job.title, " ".join(filter(None, (options.credit, trained))))
    write_preview(path, panels, job.table, bar, captions, finished.counts(job.table))


def _result(job: _Job, path: Path, seconds: float, damaged: tuple[str, ...]) -> MapResult:
    bounds, statistics = job.area.bounds, job.run.statistics
    return MapResult(
        path,
        int(bounds.height),
        int(bounds.width),
        statistics.computed,
        seconds,
        statistics.network_seconds,
        statistics.seams.disagreement,
        damaged,
    )
