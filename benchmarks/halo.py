"""How large the halo of a window must be: windows of a scene against the same network on the whole scene at once.

    make repro && python -m benchmarks.halo [MODEL...] [--scene SCENE] [--side PX] [--core PX]

By default, the model of the last run on a scene of the sample. The first three bands of the scene are taken as 8-bit
RGB and cropped to a multiple of 32 px. The crop is divided into squares of `--core` px; each is predicted from a window
that extends a halo beyond it on all sides, at most to the edge of the crop, and only the square is kept. Three tables
in Markdown per model, against the whole scene in fp32:

- windows in fp32 whose corners are multiples of 32 px (the stride of the encoders), as the command places them;
- windows in fp32 with corners 13 px off those multiples: squares of half the size, and only where the window lies
  inside the crop;
- windows in bf16, and the whole scene in bf16.

A halo is sufficient where at least 99.9 % of the classes are equal, and the share that differs within 16 px of a border
between windows is at most 1.2 times that elsewhere, or at most 0.01 %.
"""

import argparse
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import torch
from rasterio.windows import Window

from pipeline.learning.device import Device, keep_freed_memory
from pipeline.learning.model import Model, load_model

MODEL, SAMPLE = Path("data/model"), Path("data/raw/landcoverai/images")
HALOS = (0, 32, 64, 96, 128, 160, 192, 256)
STRIDE = 32
OFF_GRID = 13
NEAR = 16
"""Pixels from a border between windows that count as near."""
FP32, BF16 = Device("cpu", "fp32"), Device("cpu", "bf16")
HEADER = (
    f"| halo | equal | differ ≤ {NEAR} px from a border | differ elsewhere | ratio | largest probability difference "
    "| sufficient |\n|---|---|---|---|---|---|---|"
)


@dataclass(frozen=True)
class Tiling:
    """Squares of `core` px and the halo around them, along both axes."""

    core: int
    halo: int
    shift: int = 0
    """Pixels between the corners of the squares and multiples of `core`."""

    def spans(self, length: int) -> Iterator[tuple[slice, slice]]:
        """Yield each window and the part of it that is kept, along one axis of the scene.

        Without a shift, windows end at the edges of the scene; with one, only windows inside the scene are yielded:
        those at its edges would begin on a multiple of the stride.
        """
        for start in range(self.shift, length, self.core):
            stop = min(start + self.core, length)
            window = slice(start - self.halo, start + self.core + self.halo)
            if self.shift == 0:
                yield slice(max(0, window.start), min(length, window.stop)), slice(start, stop)
            elif window.start >= 0 and window.stop <= length:
                yield window, slice(start, stop)


@dataclass(frozen=True)
class Agreement:
    """How windows compare with the whole scene; shares of pixels."""

    equal: float
    near: float
    """Share that differs within `NEAR` px of a border between windows; NaN without borders."""
    elsewhere: float
    probability: float
    """Largest difference of a class's probability."""

    @property
    def ratio(self) -> float:
        """Disagreement near borders divided by that elsewhere."""
        return self.near / self.elsewhere if self.elsewhere else (math.inf if self.near else 1.0)

    @property
    def is_sufficient(self) -> bool:
        """Return whether no seams show."""
        return self.equal >= 0.999 and (self.ratio <= 1.2 or self.near <= 1e-4)

    def row(self, name: str) -> str:
        """Return a row of the table."""
        if math.isnan(self.near):
            return f"| {name} | {self.equal:.4%} | | | | {self.probability:.5f} | |"
        shares = " | ".join(f"{share:.4%}" for share in (self.equal, self.near, self.elsewhere))
        verdict = "yes" if self.is_sufficient else "no"
        return f"| {name} | {shares} | {self.ratio:.2f} | {self.probability:.5f} | {verdict} |"


def read_scene(path: Path, side: int) -> torch.Tensor:
    """Read image_1CHW, uint8: the upper left corner of a scene, at most `side` px, a multiple of the stride."""
    with rasterio.open(path) as scene:
        height, width = (min(length, side) // STRIDE * STRIDE for length in scene.shape)
        image_CHW = scene.read([1, 2, 3], window=Window(0, 0, width, height))
    if image_CHW.dtype != np.uint8:
        raise SystemExit(f"{path} is {image_CHW.dtype}; an 8-bit RGB scene is needed")
    return torch.from_numpy(image_CHW)[None]


def probabilities(model: Model, image_1CHW: torch.Tensor, device: Device) -> torch.Tensor:
    """Predict probabilities_KHW, float32."""
    return model.segmenter.predict_logits(image_1CHW, device)[0].softmax(dim=0)


def windowed(
    model: Model, image_1CHW: torch.Tensor, tiling: Tiling, device: Device
) -> tuple[torch.Tensor, torch.Tensor]:
    """Predict a scene in windows.

    Returns:
        probabilities_KHW, float32, NaN where no window lies; and near_HW, bool: within `NEAR` px of a border.
    """
    height, width = image_1CHW.shape[2:]
    map_KHW = torch.full((len(model.table.classes), height, width), torch.nan)
    near_HW = torch.zeros(height, width, dtype=torch.bool)
    for rows, kept_rows in tiling.spans(height):
        for columns, kept_columns in tiling.spans(width):
            window_KHW = probabilities(model, image_1CHW[..., rows, columns], device)
            within = _shift(kept_rows, rows.start), _shift(kept_columns, columns.start)
            map_KHW[:, kept_rows, kept_columns] = window_KHW[:, within[0], within[1]]
    for axis, length in enumerate((height, width)):
        borders = {edge for _, kept in tiling.spans(length) for edge in (kept.start, kept.stop)} - {0, length}
        for edge in borders:
            near_HW.narrow(axis, max(0, edge - NEAR), min(length, edge + NEAR) - max(0, edge - NEAR)).fill_(True)
    return map_KHW, near_HW


def _shift(span: slice, origin: int) -> slice:
    return slice(span.start - origin, span.stop - origin)


def compare(map_KHW: torch.Tensor, whole_KHW: torch.Tensor, near_HW: torch.Tensor) -> Agreement:
    """Compare probabilities with those of the whole scene, where there are any."""
    inside_HW = ~map_KHW[0].isnan()
    differ_HW = map_KHW.argmax(dim=0) != whole_KHW.argmax(dim=0)
    near, elsewhere = (differ_HW[inside_HW & part_HW].float().mean().item() for part_HW in (near_HW, ~near_HW))
    equal = 1 - differ_HW[inside_HW].float().mean().item()
    return Agreement(equal, near, elsewhere, (map_KHW - whole_KHW)[:, inside_HW].abs().max().item())


def print_tables(name: str, model: Model, image_1CHW: torch.Tensor, core: int) -> None:
    """Print the three tables of a model, each row as soon as it is measured."""
    whole_KHW = probabilities(model, image_1CHW, FP32)
    sections = (
        ("fp32, windows on multiples of 32 px", FP32, core, 0),
        (f"fp32, windows {OFF_GRID} px off those multiples", FP32, core // 2, OFF_GRID),
        ("bf16, windows on multiples of 32 px", BF16, core, 0),
    )
    for title, device, side, shift in sections:
        print(f"\n{name}, {title}:\n\n{HEADER}", flush=True)
        for halo in HALOS:
            tiling = Tiling(side, halo, shift)
            if shift == 0 or all(any(tiling.spans(length)) for length in image_1CHW.shape[2:]):
                result = windowed(model, image_1CHW, tiling, device)
                print(compare(result[0], whole_KHW, result[1]).row(f"{halo} px"), flush=True)
    whole_bf16_KHW = probabilities(model, image_1CHW, BF16)
    print(compare(whole_bf16_KHW, whole_KHW, torch.zeros(image_1CHW.shape[2:], dtype=torch.bool)).row("whole scene"))


def main() -> None:
    """Print the tables of all models."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="*", type=Path, default=[MODEL], metavar="MODEL", help="folder of a model")
    parser.add_argument("--scene", type=Path, help="GeoTIFF, 8-bit RGB; by default the first of the sample")
    parser.add_argument("--side", type=int, default=2048, help="largest side of the crop in px")
    parser.add_argument("--core", type=int, default=512, help="px that each window keeps, a multiple of 32")
    options = parser.parse_args()
    keep_freed_memory()
    path = options.scene or sorted(SAMPLE.glob("*.tif"))[0]
    image_1CHW = read_scene(path, options.side)
    print(f"{path.name}: {image_1CHW.shape[3]} x {image_1CHW.shape[2]} px, squares of {options.core} px")
    for folder in options.models:
        model = load_model(folder)
        model.segmenter.eval()
        print_tables(f"{folder.name} ({_network(model)})", model, image_1CHW, options.core)


def _network(model: Model) -> str:
    net = model.segmenter.net
    return str(getattr(net, "name", type(net).__name__))


if __name__ == "__main__":
    main()
