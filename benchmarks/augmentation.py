"""The cost of augmentation, compared with the training step that it precedes.

    python -m benchmarks.augmentation [ROUNDS]

U-Net with ResNet18, cross entropy, chips of random values of 512 px, on the CPU in the precision that `auto` selects.
Each round times one step (forward and backward), then flips and quarter turns, each kind of distortion and all of them,
each on `BATCHES` batches with draws of their own. Print the median milliseconds per batch, and the median ratio to the
step of the same round.
"""

import statistics
import sys
import time

import torch
from torch.nn import functional as F  # noqa: N812 - the usual name

from pipeline.learning.augment import KINDS, Kind, distort, random_flip_rotate
from pipeline.learning.batches import Stream, generator
from pipeline.learning.data import Batch
from pipeline.learning.device import Device, keep_freed_memory, select_device
from pipeline.learning.model import Segmenter, build, network_config

ROUNDS, BATCHES, BATCH_SIZES, SIDE, CLASSES = 5, 16, (1, 4), 512, 5
DISTORTIONS: dict[str, tuple[Kind, ...]] = {**{kind: (kind,) for kind in KINDS}, "all": KINDS}


def random_batch(size: int) -> Batch:
    """Return images and masks of random values."""
    images_NCHW = torch.randint(256, (size, 3, SIDE, SIDE), dtype=torch.uint8)
    return images_NCHW, torch.randint(CLASSES, (size, SIDE, SIDE), dtype=torch.uint8)


def train_step(segmenter: Segmenter, batch: Batch, device: Device) -> None:
    """Compute the gradients of a batch."""
    images_NCHW, masks_NHW = batch
    with device.autocast():
        logits_NKHW = segmenter(images_NCHW.contiguous(memory_format=device.memory_format))
    torch.autograd.backward(F.cross_entropy(logits_NKHW, masks_NHW.long()))


def augment(batch: Batch, name: str, *key: int) -> Batch:
    """Augment a batch as `key` determines: flips and quarter turns, or the named distortions without them."""
    if name == "flips":
        return random_flip_rotate(*batch, generator(Stream.AUGMENTATION, *key))
    return distort(*batch, DISTORTIONS[name], generator(Stream.DISTORTIONS, *key))


def measure(segmenter: Segmenter, batch: Batch, device: Device, seed: int) -> dict[str, float]:
    """Time a step and every augmentation once; return milliseconds per batch."""
    start = time.perf_counter()
    train_step(segmenter, batch, device)
    found = {"step": 1000 * (time.perf_counter() - start)}
    for name in ("flips", *DISTORTIONS):
        start = time.perf_counter()
        for number in range(BATCHES):
            augment(batch, name, seed, number)
        found[name] = 1000 * (time.perf_counter() - start) / BATCHES
    return found


def main() -> None:
    """Print a table per batch size."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    keep_freed_memory()
    device = select_device("cpu")
    segmenter = build(network_config("unet", "resnet18", "none", CLASSES)).train()
    segmenter.to(memory_format=device.memory_format)
    for size in BATCH_SIZES:
        batch = random_batch(size)
        measure(segmenter, batch, device, seed=0)
        results = [measure(segmenter, batch, device, seed) for seed in range(1, rounds + 1)]
        print(f"batch size {size}, {SIDE} px, {device.precision}, {torch.get_num_threads()} threads, {rounds} rounds:")
        for name in results[0]:
            median = statistics.median(result[name] for result in results)
            ratio = statistics.median(result[name] / result["step"] for result in results)
            print(f"  {name:8} {median:8.1f} ms   {ratio:.3f} of a step", flush=True)


if __name__ == "__main__":
    main()
