"""Make maps with a trained model: Cloud-Optimised GeoTIFFs of class ids.

python -m pipeline.predict scene.tif -o map.tif
python -m pipeline.predict scenes/*.tif -o maps/              # finished maps are skipped
python -m pipeline.predict west.tif east.tif --merge -o map.tif
python -m pipeline.predict --bands B04.tif B03.tif B02.tif -o map.tif
"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.cache import cache_folder
from pipeline.core.cli import number, one_line_errors
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, catch_failures, reraise_stage_errors
from pipeline.core.files import read_json, write_json
from pipeline.core.fingerprint import digest
from pipeline.inference.forward import duration
from pipeline.inference.network import LoadedModel, Wanted, load_model
from pipeline.inference.outputs import ENDINGS
from pipeline.inference.revision import MODEL, model_of
from pipeline.inference.scene_map import MapOptions, MapResult, Source, is_finished, predict_scene
from pipeline.raster.blocks import BlockError
from pipeline.raster.remote import locate
from pipeline.scenes.area import AreaOptions

NOTICEABLE = 0.001
"""Share of different classes where windows meet that is reported for every network."""
LISTED = 3
"""Damaged blocks that are named."""


@dataclass(frozen=True)
class Job:
    """One map."""

    source: Source
    out: Path

    @property
    def name(self) -> str:
        """The scene for messages, without the secrets of its URL."""
        return str(locate(self.source.names[0]))

    @property
    def record(self) -> Path:
        """File in the cache folder that records where the scenes are: two folders may hold scenes of the same name."""
        return cache_folder() / "predict" / f"{digest(str(self.out.resolve()))}.scene.json"

    @property
    def is_recorded(self) -> bool:
        """Whether the map in OUT is of this scene, as far as recorded."""
        return not self.record.exists() or read_json(self.record) == self.places

    @property
    def places(self) -> list[str]:
        """Where the files are that the user named."""
        locations = map(locate, self.source.names)
        return [str(location.resolve() if isinstance(location, Path) else location) for location in locations]


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.predict",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("scenes", nargs="*", metavar="SCENE", help="GeoTIFF, .vrt or tile index; a GeoTIFF may be https:// or s3://")
    add("-o", "--out", required=True, metavar="OUT", help="the map, NAME.tif; for several scenes a folder")
    add(
        "--bands",
        nargs="+",
        metavar="TIF",
        help="red, green, blue and further bands of the model in separate files, instead of SCENE",
    )
    add("--merge", action="store_true", help="one map of all scenes; a later scene covers the earlier")
    model = command.add_mutually_exclusive_group()
    model.add_argument("--model", type=Path, default=Path(MODEL), metavar="FOLDER", help=f"default: {MODEL}")
    model.add_argument("--rev", metavar="EXPERIMENT", help="the model of an experiment or commit")
    add("--aoi", type=Path, metavar="FILE", help="map only inside these polygons")
    add("--bbox", nargs=4, type=number, metavar=tuple("WSEN"), help="map only this box, in degrees")
    add("--mask", type=Path, metavar="TIF", help="no data where this raster is not zero, such as clouds")
    add("--confidence", action="store_true", help="also write the confidence in per cent")
    add("--probabilities", action="store_true", help="also write the probability of each class in per cent")
    add(
        "--undecided",
        type=_per_cent,
        metavar="PERCENT",
        help="assign pixels below this confidence to a class undecided",
    )
    add(
        "--mmu", type=_positive, metavar="HECTARES", help="minimum mapping unit: merge smaller patches into a neighbour"
    )
    add("--preview", type=Path, metavar="PNG", help="also draw image and map; for several scenes a folder")
    add(
        "--vector",
        type=Path,
        metavar="GPKG",
        help="also write polygons, and the confidence layer; for several scenes a folder",
    )
    add("--truth", type=Path, metavar="TIF", help="reference mask of class ids to show in the preview")
    add("--credit", default="", metavar="TEXT", help="credit of the imagery, in the preview")
    add(
        "--offset",
        type=number,
        metavar="NUMBER",
        help="added to scaled values instead of the model's, such as -0.1 for Sentinel-2",
    )
    add("--resample", action="store_true", help="run at the pixel size of the training; the map keeps the scene's grid")
    add(
        "--memory",
        type=_positive,
        metavar="GB",
        help="memory for the network's windows; default: half of the device's memory, on a CPU at most 4",
    )
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: auto")
    add(
        "--on-error",
        choices=("stop", "skip"),
        default="stop",
        help="at a block that cannot be read; skip: no data there",
    )
    add("--overwrite", action="store_true", help="replace existing files")
    return command


def _positive(text: str) -> float:
    value = number(text)
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _per_cent(text: str) -> float:
    value = number(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 100")
    return value


def list_jobs(arguments: argparse.Namespace) -> list[Job]:
    """List the maps that a command line asks for.

    Raises:
        PipelineError: no scene, options that exclude each other, or two scenes with one name.
    """
    scenes, out = tuple(arguments.scenes), Path(arguments.out)
    if bool(scenes) == bool(arguments.bands):
        raise PipelineError("give one or more scenes, or --bands with the model's bands in separate files")
    if arguments.bands and arguments.merge:
        raise PipelineError("--merge joins scenes, and --bands is one scene; omit one of them")
    if arguments.bands:
        return [Job(Source(tuple(arguments.bands), "bands"), out)]
    if arguments.merge:
        return [Job(Source(scenes, "merge"), out)]
    if not is_folder(arguments):
        return [Job(Source(scenes), out)]
    if out.is_file() or (out.suffix.lower() in ENDINGS and not out.is_dir()):
        raise PipelineError(f"-o {out}: {len(scenes)} scenes need a folder for their maps; for one map of all: --merge")
    jobs = [Job(Source((scene,)), out / f"{Path(locate(scene).name).stem}.tif") for scene in scenes]
    seen: dict[Path, Job] = {}
    for job in jobs:
        if job.out in seen:
            raise PipelineError(
                f"{seen[job.out].name} and {job.name} would both become {job.out}; map them into two folders"
            )
        seen[job.out] = job
    return jobs


def is_folder(arguments: argparse.Namespace) -> bool:
    """Return whether OUT is a folder of maps: for several scenes, or if it is one, or ends in a slash."""
    out = arguments.out
    is_one_map = arguments.bands or arguments.merge
    return not is_one_map and (len(arguments.scenes) > 1 or out.endswith(("/", os.sep)) or Path(out).is_dir())


def map_options(arguments: argparse.Namespace) -> MapOptions:
    """Return the options of all maps.

    Raises:
        PipelineError: options of the preview without one, or another kind of file.
    """
    preview, vector, several = arguments.preview, arguments.vector, is_folder(arguments)
    if preview is None and (arguments.truth or arguments.credit):
        option = "--truth" if arguments.truth else "--credit"
        raise PipelineError(f"{option} is shown in the preview; add --preview, or omit it")
    for option, path, ending in (("--preview", preview, ".png"), ("--vector", vector, ".gpkg")):
        if path is not None and (path.suffix.lower() == ending) == several:
            allowed = "a folder, as for OUT" if several else f"a name that ends in {ending}"
            raise PipelineError(f"{option} {path}: give {allowed}")
    if several and arguments.truth:
        raise PipelineError("--truth is the mask of one scene; map it by itself")
    bbox = None if arguments.bbox is None else tuple(arguments.bbox)
    return MapOptions(
        wanted=Wanted(arguments.confidence, arguments.probabilities, arguments.undecided),
        area=AreaOptions(arguments.aoi, bbox, arguments.mask),
        preview=preview,
        vector=vector,
        truth=arguments.truth,
        credit=arguments.credit,
        mmu=arguments.mmu,
        offset=arguments.offset,
        resample=arguments.resample,
        memory=arguments.memory,
        on_error=arguments.on_error,
        overwrite=arguments.overwrite,
    )


def summary(model: LoadedModel, result: MapResult) -> str:
    """Summarise a map in one line."""
    parts = [
        f"{result.path}, {result.width:,} x {result.height:,} px in {duration(result.seconds)}, "
        f"{result.pixels / result.seconds / 1e6:.2g} million px/s"
    ]
    if (share := result.disagreement) is not None and (share >= NOTICEABLE or not model.is_measured):
        parts.append(f"neighbouring windows differ in {100 * share:.2g} % of the pixels within 16 px of their borders")
    if count := len(result.damaged):
        more = f" and {count - LISTED} more" if count > LISTED else ""
        blocks = "1 damaged block" if count == 1 else f"{count} damaged blocks"
        parts.append(f"no data in {blocks}: {'; '.join(result.damaged[:LISTED])}{more}")
    return "; ".join(parts)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Re-raise torch's errors for a lack of memory.

    Raises:
        PipelineError: with the remedy.
    """
    try:
        yield
    except RuntimeError as error:
        if not any(text in str(error) for text in ("out of memory", "can't allocate memory")):
            raise
        raise PipelineError("the network ran out of memory; lower --memory") from None


def predict_one(model: LoadedModel, job: Job, options: MapOptions) -> str:
    """Make a map, record of what, and summarise it.

    Raises:
        PipelineError: see `predict_scene`.
    """
    try:
        with _memory_errors():
            result = predict_scene(model, job.source, job.out, options, note)
    except BlockError as error:
        if options.on_error == "skip":  # the block is of a mask
            raise
        raise PipelineError(f"{error}; restore the file, or write no data there: --on-error skip") from None
    write_json(job.record, job.places)  # not before: until then OUT may hold the map of another scene
    return summary(model, result)


def predict_all(model: LoadedModel, jobs: Sequence[Job], options: MapOptions) -> int:
    """Make the maps of several scenes, print a table, and return the number of scenes that failed.

    Raises:
        StageError: the disk is full; after the table of the scenes before.
    """

    def attempt(job: Job) -> str:
        preview = options.preview and options.preview / f"{job.out.stem}.png"
        vector = options.vector and options.vector / f"{job.out.stem}.gpkg"
        own = replace(options, preview=preview, vector=vector)
        if job.out.exists() and not options.overwrite:
            if job.is_recorded and is_finished(model, job.source, job.out, own):
                return "skipped: already finished"
            raise PipelineError(
                f"{job.out} exists, but is of another scene or model, has other options, lacks a layer or polygons, or "
                "is older than its scene; --overwrite replaces it"
            )
        return predict_one(model, job, own)

    guarded = catch_failures(attempt, lambda job: job.name)
    outcomes: list[str | Failure] = []
    try:
        for job in jobs:
            outcomes.append(guarded(job))
    finally:
        width = max(len(job.name) for job in jobs)
        for job, outcome in zip(jobs, outcomes, strict=False):
            text = f"FAILED: {outcome.reason}" if isinstance(outcome, Failure) else outcome
            print(f"{job.name:{width}}  {text}")
    return sum(isinstance(outcome, Failure) for outcome in outcomes)


def note(line: str) -> None:
    """Print a line for the user before the result."""
    print(line, file=sys.stderr, flush=True)


def run(arguments: argparse.Namespace) -> None:
    """Make the maps that the command line asks for.

    Raises:
        PipelineError: the user's mistake, a scene that failed, or a full disk.
        OSError: a file cannot be read or written.
    """
    jobs, options = list_jobs(arguments), map_options(arguments)
    folder = model_of(arguments.rev) if arguments.rev else arguments.model
    model = load_model(folder, arguments.device)
    try:
        if not is_folder(arguments):
            print(f"predict: {predict_one(model, jobs[0], options)}")
        elif failed := predict_all(model, jobs, options):
            raise PipelineError(
                f"{failed} of {len(jobs)} scenes failed, as listed above; run again: finished maps are skipped"
            )
    except OSError as error:
        reraise_stage_errors(error)
        raise


def main() -> None:
    """Run the command; a user's mistake is one line."""
    arguments = parser().parse_args()
    with one_line_errors("predict"):
        run(arguments)


if __name__ == "__main__":
    main()
