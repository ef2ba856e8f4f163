"""How fast chips are read and decoded; used by `benchmarks.gpu`."""

import torch

from benchmarks._gpu_setup import LANDCOVERAI, Setup, seconds
from benchmarks.loader import rate
from pipeline.learning.data import Chips


def measure_readers(setup: Setup) -> None:
    """Measure what loader workers bring, and how long it takes to decode chips into memory in threads."""
    report, size = setup.report, setup.size
    chips = Chips(setup.chips, setup.repeated(size.reading), setup.table)
    for workers in size.workers:
        name = f"reading with {workers} loader workers"
        with report.attempt(name):
            speed = rate(chips, workers, size.seconds, size.batch)
            report.add(name, LANDCOVERAI.total / speed, "s", rate=speed, note=f"for {LANDCOVERAI.total:,} chips")
    with report.attempt("decoding"):
        took = seconds(lambda: decode(chips, size.batch))
        whole = took * LANDCOVERAI.total / len(chips)
        note = f"for {LANDCOVERAI.total:,} chips (extrapolated from {len(chips):,})"
        report.add("decoding into memory, in threads", whole, "s", rate=len(chips) / took, note=note)


def decode(chips: Chips, batch: int) -> torch.Tensor:
    """Read all chips into images_NCHW, uint8, batch by batch."""
    blocks = [list(range(start, min(start + batch, len(chips)))) for start in range(0, len(chips), batch)]
    return torch.cat([torch.stack([image for image, _ in chips.__getitems__(block)]) for block in blocks])
