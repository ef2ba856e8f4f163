"""Make maps of many scenes, in this process or on other machines."""

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json, write_json
from pipeline.core.fingerprint import digest
from pipeline.inference.forward import duration
from pipeline.inference.network import LoadedModel, load_model
from pipeline.inference.options import MapOptions, Source
from pipeline.inference.scene_map import MapResult, is_finished, predict_scene
from pipeline.learning.device import DeviceName, memory_problem
from pipeline.learning.model import WEIGHTS
from pipeline.raster.blocks import BlockError
from pipeline.raster.remote import locate

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

    def absolute(self) -> "Job":
        """Return the same with absolute paths, for another machine."""
        places = map(locate, self.source.names)
        names = tuple(str(place.absolute()) if isinstance(place, Path) else place.url for place in places)
        return Job(replace(self.source, names=names), self.out.absolute())


@dataclass(frozen=True)
class MapTask:
    """A `pipeline.core.parallel.Task`: make the map of a scene of several, unless it is finished."""

    folder: Path
    """Of the model."""
    device: DeviceName
    options: MapOptions
    """Of all maps: previews and polygons go into folders."""
    out: Path
    """Folder of the maps."""
    is_remote: bool = False
    """Whether this is another machine, where nobody reads what is printed."""

    @property
    def reads(self) -> tuple[Path, ...]:
        """The model's folder."""
        return (self.folder,)

    @property
    def writes(self) -> tuple[Path, ...]:
        """The folders of maps, previews and polygons."""
        return tuple(filter(None, (self.out, self.options.preview, self.options.vector)))

    @property
    def model(self) -> LoadedModel:
        """The model, loaded once a process.

        Raises:
            PipelineError: see `load_model`.
        """
        weights = self.folder / WEIGHTS
        return _load(self.folder, self.device, weights.stat().st_mtime_ns if weights.is_file() else None)

    def absolute(self) -> "MapTask":
        """Return the same with absolute paths, for another machine."""
        options = self.options.absolute()
        return replace(self, folder=self.folder.absolute(), options=options, out=self.out.absolute(), is_remote=True)

    def file(self, job: Job) -> str:
        """Return the scene for messages."""
        return job.name

    def __call__(self, job: Job) -> str:
        """Make a map, and summarise it.

        Raises:
            PipelineError: see `predict_scene`; or OUT is another map.
        """
        preview = self.options.preview and self.options.preview / f"{job.out.stem}.png"
        vector = self.options.vector and self.options.vector / f"{job.out.stem}.gpkg"
        own = replace(self.options, preview=preview, vector=vector)
        if job.out.exists() and not own.overwrite:
            if job.is_recorded and is_finished(self.model, job.source, job.out, own):
                return "skipped: already finished"
            raise PipelineError(
                f"{job.out} exists, but is of another scene or model, has other options, lacks a layer or polygons, or "
                "is older than its scene; --overwrite replaces it"
            )
        notes: list[str] = []
        text = predict_one(self.model, job, own, notes.append if self.is_remote else print_note)
        return "; ".join([text, *(note for note in notes if note.startswith("note: "))])


@lru_cache(maxsize=1)
def _load(folder: Path, device: DeviceName, _changed: int | None) -> LoadedModel:
    return load_model(folder, device)


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


def predict_one(model: LoadedModel, job: Job, options: MapOptions, report: Callable[[str], None]) -> str:
    """Make a map, record of what, and summarise it; `report` gets lines for the user.

    Raises:
        PipelineError: see `predict_scene`; or the network runs out of memory.
    """
    try:
        result = predict_scene(model, job.source, job.out, options, report)
    except BlockError as error:
        if options.on_error == "skip":  # the block is of a mask
            raise
        raise PipelineError(f"{error}; restore the file, or write no data there: --on-error skip") from None
    except (RuntimeError, MemoryError) as error:
        problem = memory_problem(error)
        if problem is None:
            raise
        raise PipelineError(f"the network: {problem}; lower --memory") from None
    write_json(job.record, job.places)  # not before: until then OUT may hold the map of another scene
    return summary(model, result)


def print_note(line: str) -> None:
    """Print a line for the user before the result."""
    print(line, file=sys.stderr, flush=True)
