"""Random flips and quarter turns of whole batches, on the device."""

import torch

SYMMETRIES = 8  # of a square: four rotations, with and without a flip


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
