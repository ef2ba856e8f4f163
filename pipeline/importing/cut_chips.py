"""Import LandCover.ai as its own script cuts it, such as the copies of it that torchgeo fetches.

output/SHEET_NUMBER.jpg      512 x 512 px, without a georeference
output/SHEET_NUMBER_m.png    class ids, as three equal bands
train.txt, val.txt, test.txt
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, catch_failures
from pipeline.core.files import copy
from pipeline.core.parallel import parallel_map
from pipeline.importing.importer import Imported, Importer, default_rules
from pipeline.importing.pairing import Pair
from pipeline.raster.layout import OFFICIAL_LISTS

CHIP_FILE = re.compile(r"(?P<top>([^/]+/)?)output/(?P<chip>[^/.][^/]*_\d+)(?P<ending>\.jpg|_m\.png)")
IMAGE, MASK = ".jpg", "_m.png"
COUNTERPART = {IMAGE: ("mask", MASK), MASK: ("image", IMAGE)}
RULES = default_rules().model_copy(update={"masks": "values"})


def find_top(names: Iterable[str]) -> str | None:
    """Return the path of the folder above `output/`, "" at the root; None if these are not files of the cut form.

    Args:
        names: files of an archive. One with `images/*.tif` is not of the cut form.
    """
    names = list(names)
    tops = {match["top"] for name in names if (match := CHIP_FILE.fullmatch(name))}
    has_orthophotos = any(re.fullmatch(r"([^/]+/)?images/[^/]+\.tif", name) for name in names)
    return tops.pop() if len(tops) == 1 and not has_orthophotos else None


@dataclass(frozen=True)
class CutChips:
    """An unpacked archive of the cut form."""

    root: Path
    top: str
    """See `find_top`."""
    name: str
    """What messages call `root`."""

    def import_files(self, files: Sequence[Path], target: Path) -> Iterator[Imported | Failure]:
        """Import each chip as `images/SHEET_NUMBER.tif` and `masks/SHEET_NUMBER.tif`, and copy the lists.

        Args:
            files: those of the archive, relative to `root`.
            target: the raw folder.
        """
        paths_of: dict[str, dict[str, Path]] = {}
        for path in files:
            if match := CHIP_FILE.fullmatch(path.as_posix()):
                paths_of.setdefault(match["chip"], {})[match["ending"]] = path
            elif path.parent == Path(self.top) and path.name in OFFICIAL_LISTS:
                copy(self.root / path, target / path.name)
                yield Imported(Path(path.name), path)
        importer = Importer(self.root, target, RULES)

        def convert(chip: str) -> list[Imported]:
            if len(paths_of[chip]) == 1:
                ((ending, path),) = paths_of[chip].items()
                missing, expected = COUNTERPART[ending]
                raise PipelineError(f"{self.name}/{path} has no {missing}; expected {chip}{expected} beside it")
            try:
                return importer.import_pair(Pair(chip, paths_of[chip][IMAGE], paths_of[chip][MASK]))
            except PipelineError as error:
                raise PipelineError(str(error).replace(str(self.root), self.name)) from None

        attempt = catch_failures(convert, lambda chip: min(paths_of[chip].values()).as_posix())
        for result in parallel_map(attempt, sorted(paths_of)):
            yield from [result] if isinstance(result, Failure) else result
