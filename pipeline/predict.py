"""Make maps with a trained model: Cloud-Optimised GeoTIFFs of class ids.

python -m pipeline.predict scene.tif -o map.tif
python -m pipeline.predict scenes/*.tif -o maps/              # finished maps are skipped
python -m pipeline.predict west.tif east.tif --merge -o map.tif
python -m pipeline.predict --bands B04.tif B03.tif B02.tif -o map.tif
"""

import argparse
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline.core.cli import number, one_line_errors
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, catch_failures, reraise_stage_errors
from pipeline.core.parallel import has_cluster
from pipeline.inference.jobs import Job, MapTask, predict_one, print_note
from pipeline.inference.network import Wanted
from pipeline.inference.options import MapOptions, Source
from pipeline.inference.outputs import ENDINGS
from pipeline.inference.revision import MODEL, model_of
from pipeline.raster.remote import locate
from pipeline.scenes.area import AreaOptions


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
    add("--bands", nargs="+", metavar="TIF", help="red, green, blue and further bands, a file each, instead of SCENE")
    add("--merge", action="store_true", help="one map of all scenes; a later scene covers the earlier")
    model = command.add_mutually_exclusive_group()
    model.add_argument("--model", type=Path, default=Path(MODEL), metavar="FOLDER", help=f"default: {MODEL}")
    model.add_argument("--rev", metavar="EXPERIMENT", help="the model of an experiment or commit")
    add("--aoi", type=Path, metavar="FILE", help="map only inside these polygons")
    add("--bbox", nargs=4, type=number, metavar=tuple("WSEN"), help="map only this box, in degrees")
    add("--mask", type=Path, metavar="TIF", help="no data where this raster is not zero, such as clouds")
    add("--confidence", action="store_true", help="also write the confidence in per cent")
    add("--probabilities", action="store_true", help="also write the probability of each class in per cent")
    add("--undecided", type=_per_cent, metavar="PERCENT", help="class undecided for pixels below this confidence")
    add("--mmu", type=_positive, metavar="HECTARES", help="minimum mapping unit: smaller patches join a neighbour")
    add("--preview", type=Path, metavar="PNG", help="also draw image and map; for several scenes a folder")
    add("--vector", type=Path, metavar="GPKG", help="also write polygons and confidence; for several scenes a folder")
    add("--truth", type=Path, metavar="TIF", help="reference mask of class ids to show in the preview")
    add("--credit", default="", metavar="TEXT", help="credit of the imagery, in the preview")
    add("--offset", type=number, metavar="NUMBER", help="instead of the model's, added to scaled values, such as -0.1")
    add("--resample", action="store_true", help="run at the pixel size of the training; the map keeps the scene's grid")
    add("--memory", type=_positive, metavar="GB", help="for windows; default: half of the device's, on a CPU at most 4")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto", help="default: auto")
    add("--on-error", choices=("stop", "skip"), default="stop", help="at an unreadable block; skip: no data there")
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


def attempt_all(task: MapTask, jobs: Sequence[Job]) -> Iterator[str | Failure]:
    """Make maps one after another, since the network uses all cores; or on a Dask cluster."""
    if has_cluster():
        from pipeline.core.cluster import map_on_cluster

        yield from map_on_cluster(task.absolute(), [job.absolute() for job in jobs], "predict")
    else:
        yield from map(catch_failures(task, task.file), jobs)


def predict_all(task: MapTask, jobs: Sequence[Job]) -> int:
    """Make the maps of several scenes, print a table, and return the number of scenes that failed.

    Raises:
        StageError: the disk is full, or a Dask cluster cannot be used; after the table of the scenes before.
    """
    outcomes: list[str | Failure] = []
    try:
        outcomes.extend(attempt_all(task, jobs))
    finally:
        width = max(len(job.name) for job in jobs)
        for job, outcome in zip(jobs, outcomes, strict=False):
            text = f"FAILED: {outcome.reason}" if isinstance(outcome, Failure) else outcome
            print(f"{job.name:{width}}  {text}")
    return sum(isinstance(outcome, Failure) for outcome in outcomes)


def run(arguments: argparse.Namespace) -> None:
    """Make the maps that the command line asks for.

    Raises:
        PipelineError: the user's mistake, a scene that failed, or a full disk.
        OSError: a file cannot be read or written.
    """
    jobs, options = list_jobs(arguments), map_options(arguments)
    folder = model_of(arguments.rev) if arguments.rev else arguments.model
    task = MapTask(folder, arguments.device, options, Path(arguments.out))
    model = task.model
    try:
        if not is_folder(arguments):
            print(f"predict: {predict_one(model, jobs[0], options, print_note)}")
        elif failed := predict_all(task, jobs):
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
