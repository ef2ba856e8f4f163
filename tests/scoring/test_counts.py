"""Pixel counts are summed by group and survive metrics/units.csv, whatever groups and classes are called."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.scoring.counts import counts_of, from_table, sum_by_group, to_table

MATRIX = np.array([[5, 1, 0], [2, 3, 0], [0, 4, 0]])
matrices = st.integers(1, 8).flatmap(lambda chips: arrays(np.int64, (chips, 3, 3), elements=st.integers(0, 2**40)))


def test_counts_of_a_confusion_matrix() -> None:
    assert counts_of(MATRIX).tolist() == [[6, 5, 4], [7, 8, 0], [5, 3, 0]]


def test_the_chips_of_a_unit_are_summed() -> None:
    counts = np.stack([counts_of(MATRIX), counts_of(MATRIX.T), 10 * counts_of(MATRIX)])
    units, summed = sum_by_group(counts, ["b", "a", "b"])
    assert units == ["a", "b"]
    assert np.array_equal(summed, np.stack([counts[1], 11 * counts[0]]))


@given(matrices, st.data())
def test_the_table_round_trips(matrix_NKK: np.ndarray, data: st.DataObject) -> None:
    names = ("field", "wood", "none, really")
    unit_N = data.draw(
        st.lists(st.sampled_from(["000001", "b c", "d"]), min_size=len(matrix_NKK), max_size=len(matrix_NKK))
    )
    units, counts = sum_by_group(counts_of(matrix_NKK), unit_N)
    nonzero = [index for index, unit_counts in enumerate(counts) if unit_counts.any()]
    table_units, table_counts = from_table(to_table(units, counts, names), names)
    assert table_units == [units[index] for index in nonzero]
    assert np.array_equal(table_counts, counts[nonzero])
