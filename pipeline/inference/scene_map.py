"""Make the map of a scene: windows through the network, then the finished files."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from shlex import quote
from typing import Any

import rasterio

from pipeline.core.errors import PipelineError
from pipeline.core.fingerprint import digest, loaded_code_digest
from pipeline.formats.classes import ClassTable
from pipeline.inference.cog import describe_layers
from pipeline.inference.decimate import read_ids, read_image
from pipeline.inference.estimate import estimate, require_disk
from pipeline.inference.finished import Finish, Finished, finish_layers
from pipeline.inference.forward import NetworkRun, run_network
from pipeline.inference.frame import choose_frame
from pipeline.inference.layers import Work, begun_files, open_work
from pipeline.inference.network import OTHER_LAYERS, LoadedModel
from pipeline.inference.options import MapOptions, Source
from pipeline.inference.outputs import MapFiles, require_new, require_no_input, require_writable, write_outputs
from pipeline.inference.preview import Captions, Panels, write_preview
from pipeline.inference.scale_bar import scale_bar
from pipeline.inference.windows import Plan
from pipeline.polygons.class_map import MODEL_TAG, open_class_map
from pipeline.polygons.vectorise import vectorise
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.scenes.area import Area, open_area
from pipeline.scenes.crop import CroppedScene
from pipeline.scenes.ground import min_pixels, pixel_size_note
from pipeline.scenes.scene import ReadOptions, Scene

SYNTHETIC = "synthetic sample"
CACHE_BYTES = 32 << 20
"""GDAL's block cache: memory must not grow with the scene. Tiles are decoded again where windows overlap; strips once
for each window of a row, unless a row of windows fits: windows of 1,280 px up to a width of 8,700 px, in 8-bit RGB."""


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
    imagery = model.model.imagery if options.offset is None else replace(model.model.imagery, offset=options.offset)
    with (
        rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES),
        source.open(ReadOptions(imagery, options.on_error)) as scene,
        open_area(scene, options.area) as area,
    ):
        require_no_input(files, [*source.names, *options.inputs, *scene.files])
        job = _prepare(model, scene, area, options)
        run, pixels = job.run, int(area.bounds.height * area.bounds.width)
        key = digest(str(files.map.resolve()), job.identity)
        if not options.overwrite:
            begun = begun_files(key)
            require_new(path for path in files.chosen if path.absolute() not in begun)
        for note in job.notes:
            report(f"note: {note}")
        report(f"{scene.name}: {estimate(run, pixels)}")
        with open_work(key) as work:
            require_disk(run, pixels, work.folder, files.map)
            if work.rows_done:
                report(f"note: {work.rows_done} of {len(run.plan.rows)} rows of windows were finished before")
            run_network(run, work, f"map of {scene.name}")
            _write(job, work, files, source.title)
    return MapResult(
        files.map,
        int(area.bounds.height),
        int(area.bounds.width),
        run.statistics.computed,
        time.monotonic() - start,
        run.statistics.network_seconds,
        run.statistics.seams.disagreement,
        tuple(scene.damaged),
    )


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

    scene: Scene
    """As stored."""
    options: MapOptions
    run: NetworkRun
    finish: Finish
    table: ClassTable
    """Of the map."""

    @property
    def notes(self) -> Iterator[str]:
        """Lines for the user before the start."""
        scene, model = self.scene, self.run.model
        yield from (*model.notes, *scene.notes, *self.finish.area.notes)
        size_note = pixel_size_note(scene.georeference, scene.height, scene.width, model.model.pixel_sizes)
        if size_note and not self.options.resample:
            yield size_note

    @property
    def identity(self) -> list[Any]:
        """JSON values that change when the network's layers may change."""
        options, run = self.options, self.run
        scene = [run.scene.identity, self.finish.area.identity]
        how = [asdict(options.made), options.offset, options.on_error, asdict(run.plan.tiling), run.plan.batch]
        return [*scene, run.model.identity, *how, loaded_code_digest()]


def _prepare(model: LoadedModel, scene: Scene, area: Area, options: MapOptions) -> _Job:
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
    return _Job(scene, options, run, Finish(frame, area, fewest), model.table(options.wanted.undecided is not None))


def _require_truth(scene: Scene, path: Path) -> None:
    with open_geotiff(path) as truth:
        require_same_grid(scene, truth, "truth")
        if truth.dtypes != ("uint8",):
            raise PipelineError(
                f"{path} is {truth.dtypes[0]} with {truth.count} bands; a --truth has one band of class ids, uint8: "
                f"gdal_translate -b 1 -ot Byte {quote(str(path))} truth8.tif"
            )


def _write(job: _Job, work: Work, files: MapFiles, title: str) -> None:
    """Write the files of a map whose windows are done."""
    model, scene = job.run.model, CroppedScene(job.scene, job.finish.area.bounds)
    finished = finish_layers(job.finish, work, job.run.layers(work))
    rasters = describe_layers(scene.georeference, job.table, model.model.table, map_tags(model, job.options))

    def complete(layers: dict[str, Path]) -> None:
        if files.preview:
            _write_preview(files.preview, job, scene, layers["classes"], title, finished)
        if files.vector:
            with open_class_map(layers["classes"], layers["confidence"]) as source:
                vectorise(source, files.vector)

    work.start_writing(files.chosen)
    replaced = (files.map, *map(files.layer, OTHER_LAYERS)) if job.options.overwrite else ()
    write_outputs(files, finished, rasters, complete, replaced)


def _write_preview(path: Path, job: _Job, scene: Scene, map_path: Path, title: str, finished: Finished) -> None:
    """Draw image, truth if there is one, and map of the mapped part of a scene."""
    truth = job.options.truth
    truth_HW = None if truth is None else read_ids(truth, part=job.finish.area.bounds)
    panels = Panels(read_image(scene), read_ids(map_path), truth_HW)
    bar = scale_bar(scene.georeference, scene.height, scene.width)
    trained = f"Model trained on a {SYNTHETIC}." if job.run.model.model.imagery.synthetic else ""
    captions = Captions(title, " ".join(filter(None, (job.options.credit, trained))))
    write_preview(path, panels, job.table, bar, captions, finished.counts(job.table))
