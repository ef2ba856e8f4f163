"""Every chip is drawn once a pass, whatever the devices and interruptions."""

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import SequentialSampler

from pipeline.learning.batches import BatchPlan, MicroBatchSampler, Shuffle, Stream, generator
from pipeline.learning.distributed import ProcessGroup


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    orders = []
    for seed, epoch in ((7, 0), (7, 1), (8, 1), (7, 1)):
        torch.manual_seed(len(orders))
        shuffle = Shuffle(50, seed)
        shuffle.set_epoch(epoch)
        orders.append(list(shuffle))
    assert orders[3] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


def test_without_length_an_epoch_is_the_pass_of_its_number() -> None:
    shuffle = Shuffle(8, 7)
    for epoch, expected in enumerate(([0, 1, 4, 5, 2, 3, 7, 6], [2, 3, 4, 1, 7, 5, 6, 0])):  # as in earlier versions
        shuffle.set_epoch(epoch)
        assert list(shuffle) == expected


@given(st.integers(1, 12), st.integers(1, 30), st.integers(1, 5))
def test_epochs_of_any_length_continue_passes_that_cover_each_chip_once(count: int, length: int, epochs: int) -> None:
    drawn: list[int] = []
    for epoch in range(epochs):
        shuffle = Shuffle(count, 7, length)  # a new one, as after an interruption
        shuffle.set_epoch(epoch)
        assert len(shuffle) == length
        drawn += shuffle
    assert len(drawn) == epochs * length
    whole = Shuffle(count, 7)
    for number, start in enumerate(range(0, len(drawn), count)):
        whole.set_epoch(number)
        order = list(whole)
        assert sorted(order) == list(range(count))
        assert drawn[start : start + count] == order[: len(drawn) - start]


def test_streams_of_random_numbers_are_independent() -> None:
    keys = [(stream, 7, epoch, batch) for stream in Stream for epoch in (0, 1) for batch in (0, 1)]
    drawn = {int(torch.randint(2**62, (1,), generator=generator(*key))) for key in keys}
    assert len(drawn) == len(keys)


def steps_of(count: int, batch_size: int, size: int, accumulate: int, keep_all: bool) -> list[list[list[int]]]:
    """The micro-batches of each rank."""
    order = SequentialSampler(range(count))
    plans = [BatchPlan(batch_size, ProcessGroup(size, rank, size), accumulate) for rank in range(size)]
    return [list(MicroBatchSampler(order, count, plan, keep_all)) for plan in plans]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3))
def test_ranks_divide_the_batches_of_a_single_process(count: int, batch_size: int, size: int, accumulate: int) -> None:
    parts = size * accumulate
    if batch_size < parts or count < parts:
        return
    steps = steps_of(count, batch_size, size, accumulate, keep_all=False)
    assert len({len(rank) for rank in steps}) == 1  # gradients are summed over ranks at each step
    assert len(steps[0]) % accumulate == 0
    batches = [
        [chip for step in range(start, start + accumulate) for rank in steps for chip in rank[step]]
        for start in range(0, len(steps[0]), accumulate)
    ]
    expected = [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]
    rest = len(expected[-1])
    if rest < max(2, parts) and rest < batch_size and len(expected) > 1:
        expected.pop()
    assert batches == expected
    sizes = [len(rank[step]) for step in range(len(steps[0])) for rank in steps]
    assert min(sizes) >= 1


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4))
def test_ranks_score_every_chip_once(count: int, batch_size: int, size: int) -> None:
    steps = steps_of(count, batch_size, size, 1, keep_all=True)
    assert sorted(chip for rank in steps for step in rank for chip in step) == list(range(count))
    assert all(step for rank in steps for step in rank)


def test_the_sizes_of_full_micro_batches_are_those_of_the_first_batch() -> None:
    order = SequentialSampler(range(11))
    for accumulate, sizes in ((1, {4}), (2, {2}), (3, {1, 2})):
        assert MicroBatchSampler(order, 11, BatchPlan(4, accumulate=accumulate)).full_sizes == sizes
    assert MicroBatchSampler(SequentialSampler(range(3)), 3, BatchPlan(4)).full_sizes == {3}  # the only batch
