"""Make maps with a trained model: Cloud-Optimised GeoTIFFs of class ids.

python -m pipeline.predict scene.tif -o map.tif
python -m pipeline.predict scenes/*.tif -o maps/              # finished ones are skipped
python -m pipeline.predict west.tif east.tif --merge -o map.tif
python -m pipeline.predict --bands B04.tif B03.tif B02.tif -o map.tif
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, catch_failures
from pipeline.core.interrupt import exit_on_interrupt
from pipeline.inference.area import AreaOptions
from pipeline.inference.forward import duration
from pipeline.inference.network import LoadedModel, Wanted, load_model
from pipeline.inference.revision import MODEL, model_of
from pipeline.inference.scene_map import MapOptions, MapResult, Source, is_finished, predict_scene

NOTICEABLE = 0.001
"""Share of different classes where windows meet that is reported for every network."""


@dataclass(frozen=True)
class Job:
    """One map."""

    source: Source
    out: Path


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.predict", description="Make maps with a trained model: GeoTIFFs of class ids."
    )
    add = command.add_argument
    add("scenes", nargs="*", metavar="SCENE", help="GeoTIFF, .vrt or tile index; a path, https:// or s3://")
    add("-o", "--out", required=True, type=Path, metavar="OUT", help="the map; for several scenes a folder")
    add("--bands", nargs=3, metavar="TIF", help="red, green and blue in files of their own, instead of SCENE")
    add("--merge", action="store_true", help="one map of all scenes; a later scene covers the earlier")
    model = command.add_mutually_exclusive_group()
    model.add_argument("--model", type=Path, default=Path(MODEL), metavar="FOLDER", help=f"default: {MODEL}")
    model.add_argument("--rev", metavar="EXPERIMENT", help="the model of an experiment or commit")
    add("--aoi", type=Path, metavar="FILE", help="map only inside these polygons")
    add("--bbox", nargs=4, type=float, metavar=("W", "S", "E", "N"), help="map only this box, in degrees")
    add("--mask", type=Path, metavar="TIF", help="no data where this is not zero, such as clouds")
    add("--confidence", action="store_true", help="also write the confidence in per cent")
    add("--probabilities", action="store_true", help="also write the probability of each class in per cent")
    add("--undecided", type=_per_cent, metavar="PERCENT", help="a class of its own below this confidence")
    add("--mmu", type=_positive, metavar="HECTARES", help="merge smaller patches into a neighbour")
    add(
        "--preview",
        type=Path,
        metavar="PNG",
        help="also draw image and map, with a legend; for several scenes a folder",
    )
    add("--truth", type=Path, metavar="TIF", help="mask of class ids to show in the preview")
    add("--credit", default="", metavar="TEXT", help="credit of the imagery, in the preview")
    add("--offset", type=float, help="added to scaled values instead of the model's, such as -0.1 for Sentinel-2")
    add("--resample", action="store_true", help="run at the training's pixel size; the map keeps the scene's grid")
    add("--memory", type=_positive, metavar="GB", help="for the network's windows")
    add("--device", choices=("auto", "cpu", "cuda", "mps"), default="auto")
    add("--on-error", choices=("stop", "skip"), default="stop", help="blocks that cannot be read; skip: no data there")
    add("--overwrite", action="store_true", help="replace existing files")
    return command


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


def _per_cent(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 100")
    return value


def list_jobs(arguments: argparse.Namespace) -> list[Job]:
    """List the maps that a command line asks for.

    Raises:
        PipelineError: no scene, scenes and --bands, or two scenes with one name.
    """
    scenes, out = tuple(arguments.scenes), arguments.out
    if bool(scenes) == bool(arguments.bands):
        raise PipelineError("give one or more scenes, or --bands with red, green and blue in files of their own")
    if arguments.bands:
        return [Job(Source(tuple(arguments.bands), "bands"), out)]
    if arguments.merge:
        return [Job(Source(scenes, "merge"), out)]
    if len(scenes) == 1 and not (out.is_dir() or str(arguments.out).endswith("/")):
        return [Job(Source(scenes), out)]
    jobs = [Job(Source((scene,)), out / f"{Path(scene).name.partition('.')[0]}.tif") for scene in scenes]
    seen: dict[Path, str] = {}
    for job in jobs:
        name = job.source.names[0]
        if job.out in seen:
            raise PipelineError(f"{seen[job.out]} and {name} would both become {job.out}; map one of them by itself")
        seen[job.out] = name
    return jobs


def map_options(arguments: argparse.Namespace) -> MapOptions:
    """Return the options of all maps."""
    bbox = None if arguments.bbox is None else tuple(arguments.bbox)
    return MapOptions(
        wanted=Wanted(arguments.confidence, arguments.probabilities, arguments.undecided),
        area=AreaOptions(arguments.aoi, bbox, arguments.mask),
        preview=arguments.preview,
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
        parts.append(f"windows disagree on {100 * share:.2g} % of the pixels within 16 px of their borders")
    if result.damaged:
        parts.append(f"no data in {len(result.damaged)} damaged blocks: {'; '.join(result.damaged[:3])}")
    return "; ".join(parts)


def predict_all(model: LoadedModel, jobs: Sequence[Job], options: MapOptions) -> int:
    """Make the maps of several scenes, print a table, and return the number of scenes that failed."""

    def attempt(job: Job) -> str:
        if not options.overwrite and is_finished(model, job.source, job.out, options):
            return "finished before"
        preview = options.preview and options.preview / f"{job.out.stem}.png"
        return summary(model, predict_scene(model, job.source, job.out, replace(options, preview=preview), note))

    guarded = catch_failures(attempt, lambda job: job.source.names[0])
    rows = []
    for job in jobs:
        outcome = guarded(job)
        failed = isinstance(outcome, Failure)
        rows.append(
            (failed, job.source.names[0], f"FAILED: {outcome.reason}" if isinstance(outcome, Failure) else outcome)
        )
    width = max(len(name) for _, name, _ in rows)
    for _, name, outcome in rows:
        print(f"{name:{width}}  {outcome}")
    return sum(failed for failed, _, _ in rows)


def note(line: str) -> None:
    """Print a line for the user before the result."""
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    """Make the maps that the command line asks for."""
    arguments = parser().parse_args()
    try:
        with exit_on_interrupt("predict"):
            jobs, options = list_jobs(arguments), map_options(arguments)
            folder = model_of(arguments.rev) if arguments.rev else arguments.model
            model = load_model(folder, arguments.device)
            if len(jobs) == 1 and jobs[0].out == arguments.out:
                result = predict_scene(model, jobs[0].source, jobs[0].out, options, note)
                print(f"predict: {summary(model, result)}")
            elif failed := predict_all(model, jobs, options):
                sys.exit(f"predict: error: {failed} of {len(jobs)} scenes failed, as listed above; run again for these")
    except (PipelineError, OSError) as error:
        sys.exit(f"predict: error: {' '.join(str(error).split())}")


if __name__ == "__main__":
    main()
