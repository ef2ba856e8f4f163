"""Random flips and quarter turns of square chips, and changes of their scale, colour and sharpness, on the device.

| kind | what is drawn | probability | range |
|---|---|---|---|
| scale | zoom, log-uniform, and position | 0.5 | 0.7 to 1.4 |
| colour | brightness, contrast, saturation | 0.5 | 0.8 to 1.2 each |
| blur | Gaussian blur | 0.2 | sigma 0.5 to 1 px |
| blur | Gaussian noise | 0.1 | variance 0 to 0.1 of the variance of ImageNet's images |

Ranges of zoom, blur and noise, and probabilities of blur and noise: defaults of nnU-Net's trainer (Isensee et al. 2021,
doi:10.1038/s41592-020-01008-z). Those of colour, and its probability, which scale has too: albumentations'
`ColorJitter`, without hue. Draws are uniform unless stated.

Image operations are torchvision's. All parameters are drawn on the CPU, so that no step waits for the device.

Not torchvision's transforms, which are as fast: they draw from the global generator, so that chips would depend on
ranks and micro-batches; they refuse images of more than three bands, and colour pixels without data.

Images are uint8, of at least three bands, the first three red, green and blue. Pixels that are 0 in every band have no
data (clouds, padding): they stay 0 whatever the colour, and so does the area around a chip that was zoomed out, whose
mask is `IGNORE`, as in chips that `tile` pads.
"""

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, get_args

import torch
from torchvision.transforms import InterpolationMode
from torchvision.transforms.v2 import functional as F  # noqa: N812 - the usual name

from pipeline.formats.classes import IGNORE

SYMMETRIES = 8  # of a square: four rotations, with and without a flip
Kind = Literal["scale", "colour", "blur"]
KINDS: tuple[Kind, ...] = get_args(Kind)

DRAWS = 13
"""Random numbers of a chip; always all, so that those of a kind do not depend on which others are chosen."""
SCALE_PROBABILITY, ZOOM = 0.5, (0.7, 1.4)
COLOUR_PROBABILITY, FACTOR = 0.5, (0.8, 1.2)
BLUR_PROBABILITY, BLUR_SIGMA = 0.2, (0.5, 1.0)
NOISE_PROBABILITY, NOISE_VARIANCE = 0.1, 0.1
STANDARD_DEVIATION = 0.225
"""Of ImageNet's images, as a share of the range of values."""
BLUR_KERNEL = 7
"""Edge length in px: three sigma to each side, at the largest."""


def random_flip_rotate(
    images_NCHW: torch.Tensor, masks_NHW: torch.Tensor, generator: torch.Generator, skip: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Apply one of the eight symmetries of the square to each square chip and its mask, drawn uniformly.

    `skip`: number of chips earlier in the batch, on other ranks, whose draws are discarded.
    """
    drawn = torch.randint(SYMMETRIES, (skip + len(images_NCHW),), generator=generator)[skip:].tolist()
    # one view per chip: indexing with a tensor would synchronise with the GPU
    images, masks = (
        torch.stack([apply_symmetry(chip, symmetry) for chip, symmetry in zip(batch, drawn, strict=True)])
        for batch in (images_NCHW, masks_NHW)
    )
    return images, masks


def apply_symmetry(images: torch.Tensor, symmetry: int) -> torch.Tensor:
    """Rotate the last two dimensions by `symmetry % 4` quarter turns, after a horizontal flip if `symmetry >= 4`."""
    if symmetry >= 4:
        images = images.flip(-1)
    return torch.rot90(images, symmetry % 4, (-2, -1))


@dataclass(frozen=True)
class Distortion:
    """What happens to one chip; by default nothing."""

    zoom: float = 1.0
    """Above 1 a part of the chip fills it, below 1 the whole chip fills a part."""
    position: tuple[float, float] = (0.0, 0.0)
    """Of that part: top and left, as shares of the free rows and columns, in [0, 1)."""
    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    blur: float = 0.0
    """Sigma in px."""
    noise: float = 0.0
    """Sigma as a share of the range of values."""
    noise_seed: int = 0

    @property
    def changes_values(self) -> bool:
        """Whether it does more than zoom."""
        return replace(self, zoom=1.0, position=(0.0, 0.0), noise_seed=0) != Distortion()


def distort(
    images_NCHW: torch.Tensor,
    masks_NHW: torch.Tensor,
    kinds: Collection[Kind],
    generator: torch.Generator,
    skip: int = 0,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Distort each chip as drawn for it; scaling moves image and mask alike.

    `skip`: number of chips earlier in the batch, on other ranks, whose draws are discarded.
    """
    drawn = draw(len(images_NCHW), kinds, generator, skip)
    with torch.autocast(images_NCHW.device.type, enabled=False):  # bf16 has fewer bits than the values
        chips = [distort_chip(*chip) for chip in zip(images_NCHW, masks_NHW, drawn, strict=True)]
    images, masks = zip(*chips, strict=True)
    return torch.stack(images), torch.stack(masks)


def draw(count: int, kinds: Collection[Kind], generator: torch.Generator, skip: int = 0) -> list[Distortion]:
    """Draw the distortions of chips `skip` to `skip + count` of a batch."""
    numbers = torch.rand((skip + count, DRAWS), generator=generator, dtype=torch.float64)
    return [_distortion(row, kinds) for row in numbers[skip:].tolist()]


def _distortion(numbers: list[float], kinds: Collection[Kind]) -> Distortion:
    """Compute a distortion from `DRAWS` random numbers in [0, 1)."""
    scaled, zoom, top, left, coloured, brightness, contrast, saturation, blurred, blur, noisy, noise, seed = numbers
    drawn = Distortion()
    if "scale" in kinds and scaled < SCALE_PROBABILITY:
        drawn = replace(drawn, zoom=ZOOM[0] * (ZOOM[1] / ZOOM[0]) ** zoom, position=(top, left))
    if "colour" in kinds and coloured < COLOUR_PROBABILITY:
        brightness, contrast, saturation = (_between(FACTOR, number) for number in (brightness, contrast, saturation))
        drawn = replace(drawn, brightness=brightness, contrast=contrast, saturation=saturation)
    if "blur" in kinds and blurred < BLUR_PROBABILITY:
        drawn = replace(drawn, blur=_between(BLUR_SIGMA, blur))
    if "blur" in kinds and noisy < NOISE_PROBABILITY:
        sigma = STANDARD_DEVIATION * (NOISE_VARIANCE * noise) ** 0.5
        drawn = replace(drawn, noise=sigma, noise_seed=int(seed * 2**53))
    return drawn


def _between(limits: tuple[float, float], number: float) -> float:
    return limits[0] + (limits[1] - limits[0]) * number


def distort_chip(
    image_CHW: torch.Tensor, mask_HW: torch.Tensor, distortion: Distortion
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return image and mask, of the same sizes and dtypes."""
    image_CHW, mask_HW = zoom_chip(image_CHW, mask_HW, distortion.zoom, distortion.position)
    if not distortion.changes_values:
        return image_CHW, mask_HW
    has_data_HW = (image_CHW != 0).any(0)
    values_CHW = adjust_colour(image_CHW / 255, distortion)
    if distortion.blur:
        values_CHW = F.gaussian_blur(values_CHW, [BLUR_KERNEL] * 2, [distortion.blur] * 2)
    if distortion.noise:
        noise = torch.Generator(values_CHW.device).manual_seed(distortion.noise_seed)
        normal_CHW = torch.randn(values_CHW.shape, generator=noise, device=values_CHW.device)
        values_CHW = values_CHW + distortion.noise * normal_CHW
    return (values_CHW.clamp(0, 1) * 255 * has_data_HW).round().to(image_CHW.dtype), mask_HW


def zoom_chip(
    image_CHW: torch.Tensor, mask_HW: torch.Tensor, zoom: float, position: tuple[float, float]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Zoom in and crop, or zoom out and fill with black and `IGNORE`; see `Distortion`.

    Images are interpolated linearly, with antialiasing. Masks take the nearest pixel *centre* (`NEAREST_EXACT`;
    torch's `nearest` would shift them by up to half a pixel).
    """
    height, width = mask_HW.shape
    ratio = min(zoom, 1 / zoom)
    rows, columns = max(1, round(height * ratio)), max(1, round(width * ratio))
    if (rows, columns) == (height, width):
        return image_CHW, mask_HW
    top, left = int(position[0] * (height - rows + 1)), int(position[1] * (width - columns + 1))
    layers = (
        (image_CHW, InterpolationMode.BILINEAR, 0),
        (mask_HW[None], InterpolationMode.NEAREST_EXACT, IGNORE),
    )
    if zoom > 1:
        image, mask = (
            F.resized_crop(layer, top, left, rows, columns, [height, width], method) for layer, method, _ in layers
        )
    else:
        around = [left, top, width - columns - left, height - rows - top]
        image, mask = (F.pad(F.resize(layer, [rows, columns], method), around, fill) for layer, method, fill in layers)
    return image, mask[0]


def adjust_colour(values_CHW: torch.Tensor, distortion: Distortion) -> torch.Tensor:
    """Adjust brightness, contrast and saturation of values from 0 to 1, in this order.

    Bands after the third have no saturation, and the contrast of each is about its own mean.
    """
    if (distortion.brightness, distortion.contrast, distortion.saturation) == (1, 1, 1):
        return values_CHW
    colours, others = (
        F.adjust_contrast(F.adjust_brightness(bands, distortion.brightness), distortion.contrast)
        for bands in (values_CHW[:3], values_CHW[3:, None])
    )
    return torch.cat([F.adjust_saturation(colours, distortion.saturation), others[:, 0]])
