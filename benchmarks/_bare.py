"""Speed of the network alone: training steps on tensors in memory; used by `benchmarks.train`.

python -m benchmarks._bare CHIPS BATCH STEPS [keep-memory]

With `keep-memory` malloc keeps freed memory, as in the stage train.
"""

import sys
import time
from pathlib import Path

import torch
from torch.nn import functional as F  # noqa: N812 - the usual name

from benchmarks._train_common import ENCODER, WARM_UP
from pipeline.formats.chips import read_chips
from pipeline.formats.classes import read_classes
from pipeline.learning.data import Chips
from pipeline.learning.device import keep_freed_memory, select_device
from pipeline.learning.model import build, network_config


def main() -> None:
    """Print chips per second."""
    folder, batch, steps = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    if sys.argv[4:] == ["keep-memory"]:
        keep_freed_memory()
    table, device = read_classes(folder / "classes.json"), select_device("auto")
    chips = Chips(folder, list(read_chips(folder)["id"])[:batch], table)
    net = build(network_config("unet", ENCODER, "none", len(table.classes))).net
    net.train().to(device.name).to(memory_format=device.memory_format)
    pairs = [chips[index] for index in range(batch)]
    images_NCHW = (torch.stack([image for image, _ in pairs]).float() / 255).to(device.name)
    images_NCHW = images_NCHW.contiguous(memory_format=device.memory_format)
    targets_NHW = torch.stack([mask for _, mask in pairs]).long().to(device.name)
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    start = 0.0
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            start = time.perf_counter()
        optimizer.zero_grad()
        with device.autocast():
            logits_NKHW = net(images_NCHW)
        loss = F.cross_entropy(logits_NKHW.float(), targets_NHW, ignore_index=255)
        torch.autograd.backward(loss)
        optimizer.step()
    if device.name == "cuda":
        torch.cuda.synchronize()
    print(f"{steps * batch / (time.perf_counter() - start):.3f}")


if __name__ == "__main__":
    main()
