"""The time that a network needs at least on a GPU, from its operations and the bytes they move; see `benchmarks.gpu`.

Operations and bytes are counted on torch's device `meta`, which computes nothing, so that this needs no GPU. Bytes are
those of eager execution: every operation reads its arguments from memory and writes its result there.
"""

from collections import Counter
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from benchmarks._gpu_parts import LOSS
from benchmarks._gpu_report import ARITHMETIC, BARE, BYTES, OF_FLOOR, Report
from benchmarks._gpu_setup import Network
from pipeline.learning.losses import LOSSES, LossConfig
from pipeline.learning.model import build, network_config

FLOP_PER_SECOND = 798e12
"""Of bf16 matrix products, measured on an H100."""
BYTES_PER_SECOND = 3.0e12
"""Of memory, measured on an H100."""
CARD = "an H100"
SIDE = 512
VIEWS = frozenset(
    {
        "view",
        "_unsafe_view",
        "permute",
        "transpose",
        "t",
        "expand",
        "slice",
        "select",
        "unsqueeze",
        "squeeze",
        "detach",
        "alias",
        "reshape",
        "as_strided",
        "empty_like",
        "empty",
        "split",
        "unbind",
    }
)
"""Operations that move no bytes."""


class ByteCounter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Count the bytes of arguments and results of every operation, by its name."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.bytes: Counter[str] = Counter()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        name = func.overloadpacket._qualified_op_name.split("::")[1]
        if name not in VIEWS:
            self.bytes[name] += _size(args) + _size(result)
        return result


def _size(value: Any) -> int:
    """Return the bytes of all tensors in a value."""
    if isinstance(value, torch.Tensor):
        return value.numel() * value.element_size()
    return sum(map(_size, value)) if isinstance(value, (list, tuple)) else 0


@dataclass(frozen=True)
class Floor:
    """What a network needs for one image."""

    parameters: int
    forward_flop: float
    flop: float
    """Forward and backward."""
    forward_bytes: float
    bytes: float

    @property
    def by_arithmetic(self) -> float:
        """Training images per second that arithmetic allows."""
        return FLOP_PER_SECOND / self.flop

    @property
    def by_bytes(self) -> float:
        """Training images per second that memory allows."""
        return BYTES_PER_SECOND / self.bytes


def network_floor(network: Network, classes: int, batch: int) -> Floor:
    """Count the operations and bytes of a network in bf16 on RGB images of `SIDE` px."""
    with torch.device("meta"):
        net = build(network_config(network.architecture, network.encoder, "none", classes)).net
        images_NCHW = torch.empty(batch, 3, SIDE, SIDE, dtype=torch.bfloat16)
    net.to(torch.bfloat16).to(memory_format=torch.channels_last)
    images_NCHW = images_NCHW.contiguous(memory_format=torch.channels_last)
    with FlopCounterMode(display=False) as flop:
        logits_NKHW = net(images_NCHW)
        forward_flop = flop.get_total_flops()
        torch.autograd.backward(logits_NKHW, torch.empty_like(logits_NKHW))
    with ByteCounter() as counter:
        logits_NKHW = net(images_NCHW)
        forward_bytes = counter.bytes.total()
        torch.autograd.backward(logits_NKHW, torch.empty_like(logits_NKHW))
    counts = forward_flop, flop.get_total_flops(), forward_bytes, counter.bytes.total()
    return Floor(sum(value.numel() for value in net.parameters()), *(count / batch for count in counts))


def loss_bytes(name: str, classes: int) -> int:
    """Count the bytes that a loss moves for one image, forward and backward."""
    logits_NKHW = torch.empty(1, classes, SIDE, SIDE, device="meta", requires_grad=True)
    targets_NHW = torch.empty(1, SIDE, SIDE, dtype=torch.int64, device="meta")
    loss = LOSSES[name](LossConfig())  # type: ignore[index]
    with ByteCounter() as counter:
        torch.autograd.backward(loss(logits_NKHW, targets_NHW))
    return int(counter.bytes.total())


def report_floor(report: Report, network: Network, classes: int, batch: int) -> None:
    """Report the floor of a network, and how near its measured speed is."""
    floor = network_floor(network, classes, batch)
    report.add("parameters", floor.parameters / 1e6, "M")
    for name, total, forward, unit, rate in (
        (ARITHMETIC, floor.flop / 1e9, floor.forward_flop / 1e9, "GFLOP", floor.by_arithmetic),
        (BYTES, floor.bytes / 1e6, floor.forward_bytes / 1e6, "MB", floor.by_bytes),
    ):
        note = f"an image, of which {forward:.0f} forward, on {CARD}"
        report.add(name, total, unit, rate=rate, note=note)
    measured = report.rate(BARE)
    if measured is None:
        report.remark(OF_FLOOR, "unknown, since the network was not measured")
        return
    limit = "arithmetic" if floor.by_arithmetic < floor.by_bytes else "bytes"
    note = f"limited by {limit}; {100 * measured / floor.by_arithmetic:.1f} % of arithmetic, "
    note += f"{100 * measured / floor.by_bytes:.1f} % of bytes"
    report.add(OF_FLOOR, 100 * measured / min(floor.by_arithmetic, floor.by_bytes), "%", note=note)


def report_loss_floors(report: Report, classes: int, batch: int) -> None:
    """Report the floor of each loss."""
    for name in LOSSES:
        moved, measured = loss_bytes(name, classes), report.find(LOSS.format(name))
        least = 1000 * batch * moved / BYTES_PER_SECOND
        note = f"{moved / 1e6:.0f} MB an image, on {CARD}"
        note += f"; {100 * least / measured.value:.1f} % of the measured time" if measured else ""
        report.time(f"floor by eager bytes, loss {name}", least, batch, note)
