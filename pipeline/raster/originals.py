"""Names a person's own files in messages, in place of their copies in `data/raw/`, which `download` makes anew."""

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


@dataclass(frozen=True)
class Original:
    """What params.yaml names as the source of a dataset's files."""

    dataset: str
    source: str
    path: str

    def place(self, raw: Path) -> Path:
        """Where a person finds the files of the raw folder `raw`: their folder or zip; else the raw folder itself."""
        own = self.source == "local" or (self.source == "archive" and Path(self.path).is_file())
        return Path(self.path) if own else raw

    def told(self, text: str, raw: Path) -> str:
        """`text` with the place of the originals wherever it names the raw folder or a file in it."""
        return _mention(raw).sub(lambda _: str(self.place(raw)), text)

    def advice(self, raw: Path) -> str:
        """How to mend files that a person cannot mend where they lie; nothing where they can."""
        if self.source == "local":
            return ""
        copy = "copy it" if self.place(raw) == raw else "unpack the zip"
        return (
            f"; {raw} is made anew by download@{self.dataset}: to mend files, {copy} to a folder of your own, and set "
            f"download.{self.dataset}.source to local and its path to that folder"
        )


def original_of(dataset: DatasetName, raw: Path) -> Original | None:
    """What the files in `raw` were downloaded from; None if params.yaml names another source by now."""
    try:
        settings = read_yaml(PARAMS_FILE)["download"][dataset]
        found = Original(dataset, settings["source"], str(settings["path"]))
        return found if RawFolder(dataset, raw).source == found.source else None
    except (PipelineError, OSError, KeyError, TypeError):  # no params.yaml, no such section, no raw folder
        return None


def naming_originals(stage: Callable[P, str]) -> Callable[P, str]:
    """Let the errors of a stage with an argument `raw` name a person's own files.

    A file that is mended in the raw folder is overwritten by the next `dvc repro`. The path of the originals, which
    differs between machines, is in no output of a stage: it is looked up in params.yaml when there is an error to tell.
    """

    @wraps(stage)
    def named(*positional: P.args, **keywords: P.kwargs) -> str:
        given = inspect.signature(stage).bind(*positional, **keywords).arguments
        dataset, raw = given.get("dataset", "landcoverai"), given["raw"]
        try:
            return stage(*positional, **keywords)
        except (PipelineError, OSError) as error:
            lines = [*getattr(error, "table", ()), str(error)]
            original = original_of(dataset, raw)
            if original is None or not any(_mention(raw).search(line) for line in lines):
                raise
            *table, text = (original.told(line, raw) for line in lines)
            if any(f"{raw}/" in line for line in lines):
                text += original.advice(raw)
            told = error if isinstance(error, PipelineError) else PipelineError()
            told.args, told.table = (text,), table
            raise told from None

    return named


def _mention(raw: Path) -> re.Pattern[str]:
    """Finds the raw folder, alone or before a file that is not one of those that `download` writes."""
    ours = "|".join(map(re.escape, WRITTEN_BY_DOWNLOAD))
    return re.compile(rf"(?<![\w/.-]){re.escape(str(raw))}(?=[/\s:;,)'\"]|$)(?!/(?:{ours})\b)")
