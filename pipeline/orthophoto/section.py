"""The section `tile` of params.yaml."""

from typing import Literal

from pydantic import Field

from pipeline.core.params import BandNumbers, Params, Stretch
from pipeline.formats.chips import Imagery
from pipeline.orthophoto.windows import ChipWindow


class TileSection(Params):
    """How scenes are cut into chips."""

    size: int = Field(gt=0, multiple_of=32)
    """Side of a chip in pixels; a multiple of 32, since the encoders halve it five times."""
    partial: Literal["drop", "pad"]
    """What to do with windows that extend beyond a scene; padding is black, and *ignore* in the mask."""
    bands: BandNumbers
    """Bands for red, green, blue, and any others, counted from 1."""
    stretch: Literal["none"] | Stretch
    """Values that become black and white; required for images of more than 8 bits."""
    alpha: Literal["auto", "none"]
    """auto: a band marked as alpha, unless it is one of `bands`, hides pixels if it holds transparency; none: never."""

    @property
    def imagery(self) -> Imagery:
        """Contents of `imagery.json`."""
        stretch = Imagery.stretch if self.stretch == "none" else self.stretch
        return Imagery(tuple(map(str, self.bands)), stretch=stretch)

    def keeps(self, window: ChipWindow) -> bool:
        """Return whether a window becomes a chip, if labelled: partial ones may be dropped."""
        return self.partial == "pad" or (window.height, window.width) == (self.size, self.size)
