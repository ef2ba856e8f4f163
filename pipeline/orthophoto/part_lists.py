"""The parts of chips by lists of chips or of images: an archive's own split, or the user's."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import OFFICIAL
from pipeline.raster.pictures import IMAGE_ENDINGS

LANDCOVERAI_SIZE = 512
"""Pixels of the chips in LandCover.ai's lists; at another size the same numbers denote other ground."""
LANDCOVERAI_CHIP = re.compile(r"[MN]-3[34]-\d+-[A-D]-[a-d]-[1-4]-[1-4]_\d+")
"""A chip of LandCover.ai, named by the sheet of its orthophoto."""


@dataclass(frozen=True)
class PartLists:
    """From entry of a list, the name of a chip or an image, to part."""

    part_of: Mapping[str, str]

    @classmethod
    def for_size(cls, entries: Mapping[str, str], size: int, is_own: bool) -> "PartLists":
        """Take the entries that hold for chips of a size.

        Args:
            entries: as in the lists, with their part.
            size: of a chip, in pixels.
            is_own: whether the lists are the user's own, which name chips of any size.

        Raises:
            PipelineError: two entries that differ in folder or suffix only are in different parts.
        """
        named: dict[str, str] = {}
        for entry, part in entries.items():
            if (other := named.setdefault(name := _name(entry), part)) != part:
                raise PipelineError(
                    f"{part}.txt lists {entry}, but {other}.txt lists {name} too: folders and suffixes do not count; "
                    "keep it in one list, or give images of one name different ones"
                )
        if size != LANDCOVERAI_SIZE:
            named = {name: part for name, part in named.items() if is_own and not LANDCOVERAI_CHIP.fullmatch(name)}
        return cls(named)

    def assign(self, row: dict[str, object]) -> dict[str, object]:
        """Add its part to a row of `chips.csv`: that of the chip, else of its image; None if neither is listed."""
        of_image = self.part_of.get(str(row["scene"]))
        return row | {OFFICIAL: self.part_of.get(str(row["id"]), of_image)}

    def require_unambiguous(self, rows: Sequence[dict[str, object]]) -> None:
        """Check that no entry names an image and also a chip of another one, such as `a_1` beside the image `a`.

        Raises:
            PipelineError: one does; its chips could get a wrong part.
        """
        ids, scenes = ({str(row[key]) for row in rows} for key in ("id", "scene"))
        if both := sorted(self.part_of.keys() & ids & scenes):
            raise PipelineError(
                f"{self.part_of[both[0]]}.txt lists {both[0]}, which is an image, and a chip of another image; rename "
                "the image"
            )

    def unmatched(self, rows: Iterable[dict[str, object]]) -> list[str]:
        """Return the entries, sorted, that name no chip of these rows and no image of theirs."""
        return sorted(self.part_of.keys() - {str(row[key]) for row in rows for key in ("id", "scene")})


def _name(entry: str) -> str:
    """Return a name without its folder, and without the suffix of an image; macOS decomposes ü into two characters."""
    name = unicodedata.normalize("NFC", PurePosixPath(entry.replace("\\", "/")).name)
    suffix = PurePosixPath(name).suffix
    return name.removesuffix(suffix) if suffix.lower() in IMAGE_ENDINGS else name
