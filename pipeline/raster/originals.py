"""Name the user's own files in messages, instead of their copies in `data/raw/`, which `download` overwrites."""

import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, read_yaml
from pipeline.formats.datasets import DatasetName
from pipeline.raster.layout import WRITTEN_BY_DOWNLOAD, RawFolder

P = ParamSpec("P")
PATH_END = r"(?=[\s:;,)'\"]|$)"


@dataclass(frozen=True)
class Originals:
    """Source of a dataset's files in params.yaml."""

    dataset: str
    source: str
    path: str

    def location(self, raw: Path) -> Path:
        """Return the user's folder or zip that `raw` was copied from; `raw` itself for other sources."""
        is_local = self.source == "local" or (self.source == "archive" and Path(self.path).is_file())
        return Path(self.path) if is_local else raw

    def restore_paths(self, text: str, raw: Path) -> str:
        """Replace the paths of files in `raw` by those of their originals, which may have other names."""
        location = str(self.location(raw))
        for path, origin in sorted(RawFolder("landcoverai", raw).renamed.items() if self.source == "local" else ()):
            if str(path) in text:  # there may be very many files
                original = f"{location}/{origin}".replace("\\", "\\\\")  # else escapes of a template
                text = re.sub(rf"{re.escape(str(path))}{PATH_END}", original, text)
        return _raw_path_pattern(raw).sub(lambda _: location, text)

    def advice(self, raw: Path) -> str:
        """Advise how to fix files that cannot be fixed in place; empty for a local folder."""
        if self.source == "local":
            return ""
        copy = "copy it" if self.location(raw) == raw else "unpack the zip"
        return (
            f"; {raw} is overwritten by download@{self.dataset}: to fix files, {copy} to a folder of your own, and set "
            f"download.{self.dataset}.source to local and its path to that folder"
        )


def find_originals(dataset: DatasetName, raw: Path) -> Originals | None:
    """Find the source of the files in `raw`; None if params.yaml has changed to another source."""
    try:
        settings = read_yaml(PARAMS_FILE)["download"][dataset]
        originals = Originals(dataset, settings["source"], str(settings["path"]))
        return originals if RawFolder(dataset, raw).source == originals.source else None
    except (PipelineError, OSError, KeyError, TypeError):  # no params.yaml, no such section, no raw folder
        return None


def report_original_paths(stage: Callable[P, str]) -> Callable[P, str]:
    """Decorate a stage with an argument `raw` to report errors with paths of the originals.

    A fix in the raw folder would be overwritten by the next `dvc repro`. Paths of originals differ between machines,
    so they are looked up in params.yaml only for an error, and are never part of a stage's outputs.
    """

    @wraps(stage)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> str:
        arguments = inspect.signature(stage).bind(*args, **kwargs).arguments
        dataset, raw = arguments.get("dataset", "landcoverai"), arguments["raw"]
        try:
            return stage(*args, **kwargs)
        except (PipelineError, OSError) as error:
            absolute = [*getattr(error, "table", ()), str(error)]
            lines = [line.replace(str(raw.absolute()), str(raw)) for line in absolute]
            originals = find_originals(dataset, raw)
            *table, text = lines
            if originals is not None and any(_raw_path_pattern(raw).search(line) for line in lines):
                *table, text = (originals.restore_paths(line, raw) for line in lines)
                if any(f"{raw}/" in line for line in lines):
                    text += originals.advice(raw)
            elif lines == absolute:
                raise
            restored = error if isinstance(error, PipelineError) else PipelineError()
            restored.args, restored.table = (text,), table
            raise restored from None

    return wrapper


def _raw_path_pattern(raw: Path) -> re.Pattern[str]:
    """Match the raw folder, alone or as the parent of a file that `download` did not write itself."""
    written = "|".join(map(re.escape, WRITTEN_BY_DOWNLOAD))
    return re.compile(rf"(?<![\w/.-]){re.escape(str(raw))}(?=[/\s:;,)'\"]|$)(?!/(?:{written})\b)")
