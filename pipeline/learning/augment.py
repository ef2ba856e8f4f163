"""Flips and quarter turns, on the device, a whole batch at a time."""

import torch

SYMMETRIES = 8  # of a square: four turns, each flipped or not


def flip_and_turn(
    images_NCHW: torch.Tensor, masks_NHW: torch.Tensor, generator: torch.Generator, skip: int = 0
) -> tuple[torch.Tensor, torch.Tensor]:
    """Turn each square chip and its mask by one of the eight symmetries of the square, drawn evenly.

    What the generator draws for the first `skip` chips, which are another process's, is left out.
    """
    drawn = torch.randint(SYMMETRIES, (skip + len(images_NCHW),), generator=generator)[skip:].tolist()
    # chip by chip, as views: to tell a GPU which chips are meant would let it wait
    images, masks = (
        torch.stack([transformed(each, symmetry) for each, symmetry in zip(pictures, drawn, strict=True)])
        for pictures in (images_NCHW, masks_NHW)
    )
    return images, masks


def transformed(pictures: torch.Tensor, symmetry: int) -> torch.Tensor:
    """One of the eight symmetries of the last two dimensions: `symmetry % 4` quarter turns, from 4 on flipped first."""
    if symmetry >= 4:
        pictures = pictures.flip(-1)
    return torch.rot90(pictures, symmetry % 4, (-2, -1))
