"""Chips stay where `train.cache` says and there is room; the training does not depend on it."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.learning import cache
from pipeline.learning.cache import keep_chips, memories, ram_room, rehearse, require_cache
from pipeline.learning.config import CacheName
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup
from pipeline.learning.loaders import ChipSource
from pipeline.learning.losses import Loss
from pipeline.learning.model import Segmenter
from pipeline.learning.resident import ResidentChips
from tests.learning.world import BRIGHTNESS, chips_folder, tiny_task

CPU, CUDA = Device("cpu", "fp32"), Device("cuda", "bf16")
CHIPS = 3 * 32 * 32 * 4
"""Bytes of two training chips and one validation chip."""


@pytest.fixture
def parts(tmp_path: Path) -> dict[str, Chips]:
    folder = chips_folder(tmp_path / "chips", 3)
    return {"train": Chips(folder, ["c00", "c01"], BRIGHTNESS), "val": Chips(folder, ["c02"], BRIGHTNESS)}


@pytest.fixture
def gpu_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put on a GPU stays in RAM."""
    monkeypatch.setattr(ProcessGroup, "torch_device", lambda *_: torch.device("cpu"))


@pytest.mark.parametrize(
    ("wanted", "passes", "device", "found"),
    [
        ("auto", 2, CUDA, ("gpu", "ram")),
        ("auto", 1.9, CUDA, ()),  # most chips are read only once
        ("auto", 40, CPU, ()),
        ("auto", 40, Device("mps", "fp32"), ()),
        ("gpu", 1, CUDA, ("gpu",)),
        ("ram", 1, CUDA, ("ram",)),
        ("ram", 1, CPU, ("ram",)),
        ("none", 40, CUDA, ()),
    ],
)
def test_memories_to_try(wanted: CacheName, passes: float, device: Device, found: tuple[str, ...]) -> None:
    assert memories(wanted, passes, device) == found


def test_a_gpu_is_needed_for_its_memory() -> None:
    require_cache("gpu", CUDA)
    require_cache("ram", CPU)
    with pytest.raises(
        PipelineError, match=r"^train\.cache is gpu, which needs CUDA; on cpu set it to auto, ram or none$"
    ):
        require_cache("gpu", CPU)


@pytest.mark.usefixtures("gpu_of_this_machine")
@pytest.mark.parametrize(
    ("wanted", "gpu", "ram", "place"),
    [
        ("auto", CHIPS, 0, "gpu"),
        ("auto", CHIPS - 1, CHIPS, "ram"),
        ("auto", CHIPS - 1, CHIPS - 1, "none"),
        ("ram", CHIPS, CHIPS, "ram"),
        ("gpu", CHIPS, CHIPS, "gpu"),
    ],
)
def test_the_first_memory_with_room_keeps_all_chips(
    parts: dict[str, Chips],
    wanted: CacheName,
    gpu: int,
    ram: int,
    place: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(cache, "gpu_room", lambda *_: gpu)
    monkeypatch.setattr(cache, "ram_room", lambda *_: ram)
    kept, found = keep_chips(parts, tiny_task(cache=wanted, epochs=2), CUDA, SINGLE_PROCESS)
    assert found == place
    assert kept.keys() == parts.keys()
    assert all(isinstance(chips, Chips if place == "none" else ResidentChips) for chips in kept.values())
    where = {"gpu": "on the GPU", "ram": "in RAM"}
    line = f"train: 0.00 GB of decoded chips stay {where.get(place)}\n"
    assert capsys.readouterr().out == ("" if place == "none" else line)


def test_several_devices_keep_a_copy_each(parts: dict[str, Chips], capsys: pytest.CaptureFixture[str]) -> None:
    for rank in (0, 1):
        keep_chips(parts, tiny_task(cache="ram"), CPU, ProcessGroup(2, rank, 2))
    line = "train: 0.00 GB of decoded chips stay in RAM, a copy for each of 2 devices\n"
    assert capsys.readouterr().out == line


@pytest.mark.usefixtures("gpu_of_this_machine")
@pytest.mark.parametrize(("wanted", "room", "where"), [("gpu", -1, "on the GPU"), ("ram", CHIPS - 1, "in RAM")])
def test_a_named_memory_without_room_is_refused(
    parts: dict[str, Chips], wanted: CacheName, room: int, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, f"{wanted}_room", lambda *_: room)
    with pytest.raises(PipelineError) as error:
        keep_chips(parts, tiny_task(cache=wanted), CUDA, SINGLE_PROCESS)
    assert str(error.value) == (
        f"train.cache is {wanted}: the chips need 0.00 GB {where}, and it has 0.00 GB for them; set train.cache to "
        "auto or none"
    )


@pytest.mark.usefixtures("gpu_of_this_machine")
@pytest.mark.parametrize("wanted", ["auto", "gpu"])
def test_after_a_rehearsal_that_fails_training_explains_why(
    parts: dict[str, Chips], wanted: CacheName, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "gpu_room", lambda *_: None)
    assert keep_chips(parts, tiny_task(cache=wanted, epochs=2), CUDA, SINGLE_PROCESS) == (parts, "none")


@pytest.mark.usefixtures("gpu_of_this_machine")
@pytest.mark.parametrize(
    ("error", "place"), [(torch.OutOfMemoryError("CUDA out of memory. Tried"), "none"), (RuntimeError("a bug"), None)]
)
def test_memory_that_another_process_took_meanwhile_is_no_memory(
    parts: dict[str, Chips], error: Exception, place: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> ChipSource:
        raise error

    monkeypatch.setattr(cache, "gpu_room", lambda *_: CHIPS)
    monkeypatch.setattr(cache, "ram_room", lambda *_: CHIPS)
    monkeypatch.setattr(cache, "ResidentChips", fail)
    task = tiny_task(cache="auto", epochs=2)
    if place:
        assert keep_chips(parts, task, CUDA, SINGLE_PROCESS) == (parts, place)
        with pytest.raises(
            PipelineError, match=r"need 0\.00 GB in RAM, and something else filled it; set train\.cache to"
        ):
            keep_chips(parts, tiny_task(cache="ram"), CUDA, SINGLE_PROCESS)
    else:
        with pytest.raises(RuntimeError, match="a bug"):
            keep_chips(parts, task, CUDA, SINGLE_PROCESS)


def test_each_rank_of_a_machine_may_take_its_part_of_half_the_ram(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cache, "available_memory", lambda: 80)
    assert (ram_room(SINGLE_PROCESS), ram_room(ProcessGroup(8, 4, 4))) == (40, 10)
    for ranks in (2, 8):  # the first rank has read its chips, and now the others
        monkeypatch.setattr(cache, "available_memory", lambda: 1000)
        chips = ram_room(ProcessGroup(ranks, 0, ranks))
        monkeypatch.setattr(cache, "available_memory", lambda taken=chips: 1000 - taken)
        assert ram_room(ProcessGroup(ranks, 1, ranks)) >= chips


@pytest.mark.parametrize(
    ("accumulate", "processes", "counts"),
    [
        (1, SINGLE_PROCESS, [8, 8]),
        (3, SINGLE_PROCESS, [3, 8]),  # validation is not accumulated
        (2, ProcessGroup(2, 0, 2), [2, 4]),
        (1, ProcessGroup(8, 0, 8), [2, 1]),  # batch norm of a single rank needs two chips
    ],
)
def test_the_largest_steps_are_rehearsed(
    accumulate: int, processes: ProcessGroup, counts: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    rehearsed, real = [], cache.forward_loss

    def record(segmenter: Segmenter, loss: Loss, images: torch.Tensor, masks: torch.Tensor) -> Any:
        rehearsed.append((len(images), segmenter.training))
        return real(segmenter, loss, images, masks)

    monkeypatch.setattr(cache, "forward_loss", record)
    rehearse(tiny_task(batch_size=8, accumulate=accumulate), (32, 32, 3), CPU, processes)
    assert rehearsed == list(zip(counts, (True, False), strict=True))


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_rehearsed_step_changes_nothing(precision: str) -> None:
    task = tiny_task()
    task.segmenter.net = torch.nn.Sequential(torch.nn.Conv2d(3, 3, 1), torch.nn.BatchNorm2d(3))
    before = copy.deepcopy(task.segmenter.state_dict())
    rehearse(task, (32, 32, 3), Device("cpu", precision), SINGLE_PROCESS)  # type: ignore[arg-type]
    after = task.segmenter.state_dict()
    assert all(torch.equal(before[name], value) for name, value in after.items())
    assert all(parameter.grad is None for parameter in task.segmenter.parameters())
