"""Find the classes of painted masks by their colours."""

from dataclasses import dataclass, field
from functools import cache
from itertools import combinations

import cv2
import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, LandCoverClass
from pipeline.importing.colour_space import UNKNOWN, class_positions, is_mixture, mixtures_of_two, pack, unpack
from pipeline.importing.rules import LabelRules
from pipeline.raster.remote import Location

NEAR = 2
"""Rows and columns from a pixel of an antialiased edge to one of its classes."""
REACH = 8
"""The same to the others: the tip of a sharp corner is an edge along its length."""
SLACK = 2
"""Smallest difference by which a blend may miss the mixture of two colours, by rounding."""
MAX_LISTED = 3
"""Unknown colours that an error lists."""
MAX_TOLERANCE = 64
"""Largest tolerance that an error advises."""
EDGE_SHARE = 0.9
"""Share of the unknown pixels that are between two colours if a mask is antialiased; the others have more."""
MAX_TESTED = 1000
"""Most frequent unknown colours that are tested for what to advise."""


class UnknownColoursError(PipelineError):
    """A mask has colours of no class."""


@dataclass
class ColourReader:
    """Converts colours to raw label values, and collects the colours that are of no class.

    With `edges: ignore`, a pixel becomes *ignore* if it is partly transparent, or if its colour is a mixture of those
    of classes within `REACH` px, one of them within `NEAR` px. So a class that is missing from `classes.yaml` is
    refused wherever it is five pixels wide, even if its colour is a mixture.
    """

    path: Location
    """The mask, for messages."""
    rules: LabelRules
    _unknown_V: np.ndarray | None = field(default=None, init=False)
    """Pixels of each unknown colour by its packed value: a photograph in place of a mask has millions of colours."""
    _partial: int = field(default=0, init=False)
    """Pixels that are partly transparent."""

    def __post_init__(self) -> None:
        first: dict[tuple[int, int, int], LandCoverClass] = {}
        for entry in self.rules.classes:
            if (other := first.setdefault(entry.colour, entry)) is not entry:
                raise PipelineError(
                    f"{self.path} is painted, but the classes {other.name!r} and {entry.name!r} of classes.yaml have "
                    f"one colour, {list(entry.colour)}; give each class its own"
                )
        self._colours_K3 = np.array(list(first), np.uint8)
        self._slack = max(SLACK, self.rules.colours.tolerance)
        self._between = mixtures_of_two(self._colours_K3, self._slack) if self.rules.colours.edges == "ignore" else {}
        self._raw_P = self.rules.raw_values[[*self.rules.ids, IGNORE]]  # by position; the last is that of UNKNOWN

    def positions(self, colours: np.ndarray) -> np.ndarray:
        """Return the position of the class of each colour, int16 (…), or `UNKNOWN`.

        Args:
            colours: uint8 (…, 3).
        """
        return np.asarray(self._table()[pack(*np.moveaxis(colours, -1, 0))])

    def read(self, bands_CHW: np.ndarray, hidden_HW: np.ndarray, rows: slice) -> np.ndarray:
        """Convert rows of a mask; call `require_known` at the end.

        Args:
            bands_CHW: red, green, blue, and alpha if there is one, uint8 (3 or 4, height, width); with `REACH` rows
                above and below where the mask has them.
            hidden_HW: bool; True where a pixel is *ignore* whatever its colour.
            rows: the rows to return, without those above and below.

        Returns:
            Raw label values (height, width).
        """
        packed_HW = pack(*bands_CHW[:3])
        position_HW = self._table()[packed_HW]
        partial_HW = np.zeros(position_HW.shape, bool)
        if len(bands_CHW) == 4:
            hidden_HW = hidden_HW | (bands_CHW[3] == 0)
            partial_HW = (bands_CHW[3] < 255) & ~hidden_HW
        position_HW[hidden_HW | partial_HW] = UNKNOWN
        unknown_HW = (position_HW == UNKNOWN) & ~hidden_HW
        position_HW[self._is_thin_edge(position_HW)] = UNKNOWN
        if unknown_HW.any() and self.rules.colours.edges == "ignore":
            unknown_HW &= ~partial_HW
            partial_HW[:] = False
            unknown_HW[unknown_HW] = ~self._is_blend(bands_CHW[:3], position_HW, unknown_HW)
        self._partial += int((unknown_HW & partial_HW)[rows].sum())
        if (counted_HW := (unknown_HW & ~partial_HW)[rows]).any():
            count_V = np.bincount(packed_HW[rows][counted_HW], minlength=1 << 24)
            self._unknown_V = count_V if self._unknown_V is None else self._unknown_V + count_V
        return np.asarray(self._raw_P[position_HW[rows]])

    def _table(self) -> np.ndarray:
        return class_positions(tuple(entry.colour for entry in self.rules.classes), self.rules.colours.tolerance)

    def _is_blend(self, rgb_CHW: np.ndarray, position_HW: np.ndarray, unknown_HW: np.ndarray) -> np.ndarray:
        """Return whether unknown pixels have a mixture of the colours of classes around them, bool (pixels,)."""
        present = np.unique(position_HW[position_HW != UNKNOWN])
        if not len(present):
            return np.zeros(int(unknown_HW.sum()), bool)
        near_NK = np.stack([_near(position_HW == position, REACH)[unknown_HW] for position in present], 1)
        colours_N3 = rgb_CHW[:, unknown_HW].T
        sets_SB, set_N = np.unique(np.packbits(near_NK, axis=1), axis=0, return_inverse=True)
        blend_N = np.zeros(len(colours_N3), bool)
        for number, bits_B in enumerate(sets_SB):
            classes_K3 = self._colours_K3[present[np.unpackbits(bits_B, count=len(present)) > 0]]
            pixels = np.flatnonzero(set_N.reshape(-1) == number)
            blend_N[pixels] = is_mixture(colours_N3[pixels], classes_K3, self._slack)
        return np.asarray(blend_N & _near(position_HW != UNKNOWN, NEAR)[unknown_HW])

    def _is_thin_edge(self, position_HW: np.ndarray) -> np.ndarray:
        """Return where a class in a mixture of two others' colours is but an edge between them, bool (height, width).

        It is one where it is less than three pixels wide, with both within `NEAR` px.
        """
        edge_HW = np.zeros(position_HW.shape, bool)
        near = cache(lambda position: _near(position_HW == position, NEAR))
        for middle, pairs in self._between.items():
            middle_HW = (position_HW == middle).astype(np.uint8)
            thin_HW = middle_HW > cv2.morphologyEx(middle_HW, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            for first, second in pairs if thin_HW.any() else ():
                edge_HW |= thin_HW & near(first) & near(second)
        return edge_HW

    def require_known(self) -> None:
        """Check that all colours so far were of a class.

        Raises:
            UnknownColoursError: some were not: their counts, the nearest classes, and what to do.
            PipelineError: all were, but some pixels are partly transparent.
        """
        if self._unknown_V is not None:
            packed_U = np.flatnonzero(self._unknown_V)
            packed_U = packed_U[np.argsort(-self._unknown_V[packed_U], kind="stable")]
            found_U3, count_U = unpack(packed_U), self._unknown_V[packed_U]
            differences_UK = np.stack(
                [np.abs(found_U3.astype(np.int16) - colour).max(1) for colour in self._colours_K3], 1
            )
            nearest_U, off_U = differences_UK.argmin(1), differences_UK.min(1)
            listed = [
                f"{found_U3[k].tolist()} in {count_U[k]} px, nearest {self.rules.names[nearest_U[k]]!r} "
                f"{self._colours_K3[nearest_U[k]].tolist()}, {off_U[k]} off"
                for k in range(min(len(found_U3), MAX_LISTED))
            ]
            more = f" and {len(found_U3) - MAX_LISTED} more" if len(found_U3) > MAX_LISTED else ""
            advice = self._advice(found_U3[:MAX_TESTED], count_U[:MAX_TESTED], int(off_U.max()))
            raise UnknownColoursError(
                f"{self.path} contains colours of no class in {count_U.sum()} px: {'; '.join(listed)}{more}: {advice}"
            )
        if self._partial:
            raise PipelineError(
                f"{self.path} contains {self._partial} px that are partly transparent, as along antialiased edges; to "
                "ignore them, write in classes.yaml: colours: {edges: ignore}"
            )

    def _advice(self, found_U3: np.ndarray, count_U: np.ndarray, farthest: int) -> str:
        """Return what to do about unknown colours, the most frequent first, by what they look like."""
        colours = self.rules.colours
        known = {*self.rules.ids, *self.rules.remap}
        if (found_U3 == found_U3[:, :1]).all() and known.issuperset(found_U3[:, 0].tolist()):
            return "if its bands hold values, write masks: values in classes.yaml; else add the colours to its classes"
        apart = min(
            int(np.abs(first - second).max()) for first, second in combinations(self._colours_K3.astype(int), 2)
        )
        separating = (apart - 1) // 2
        if farthest <= colours.tolerance:
            return (
                f"each is as near to another class; lower the tolerance of {colours.tolerance} in classes.yaml to at "
                f"most {separating}, or add them to its classes"
            )
        if farthest <= min(separating, MAX_TOLERANCE):
            meaning = "the colours of classes, changed by compression"
            options = f"tolerance: {farthest}" + (", edges: ignore" if colours.edges == "ignore" else "")
        elif colours.edges == "refuse" and count_U @ self._is_mixture_of_two(found_U3) >= EDGE_SHARE * count_U.sum():
            meaning = "antialiased edges"
            options = (f"tolerance: {colours.tolerance}, " if colours.tolerance else "") + "edges: ignore"
        elif 0 < colours.tolerance < separating and (farthest <= separating or colours.edges == "ignore"):
            return (
                f"raise the tolerance of {colours.tolerance} in classes.yaml (up to {separating}, no colour is within "
                "that of two classes), or add them to its classes"
            )
        else:
            return "add them to the classes of classes.yaml, or correct the colours there"
        return f"if they are {meaning}, write in classes.yaml: colours: {{{options}}}; else add them to its classes"

    def _is_mixture_of_two(self, colours_U3: np.ndarray) -> np.ndarray:
        return is_mixture(colours_U3, self._colours_K3, self._slack, largest=2)


def _near(is_class_HW: np.ndarray, reach: int) -> np.ndarray:
    """Return bool (height, width): whether a pixel of the class is within `reach` rows and columns."""
    kernel = np.ones((2 * reach + 1, 2 * reach + 1), np.uint8)
    return np.asarray(cv2.dilate(is_class_HW.astype(np.uint8), kernel) > 0)
