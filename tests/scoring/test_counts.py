import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.scoring.counts import by_unit, counts_of, from_table, to_table

MATRIX = np.array([[5, 1, 0], [2, 3, 0], [0, 4, 0]])
matrices = st.integers(1, 8).flatmap(lambda chips: arrays(np.int64, (chips, 3, 3), elements=st.integers(0, 2**40)))


def test_counts_of_a_matrix_by_head() -> None:
    assert counts_of(MATRIX).tolist() == [[6, 5, 4], [7, 8, 0], [5, 3, 0]]


@given(matrices)
def test_counts_of_chips_add_up_to_those_of_their_sum(matrix_NKK: np.ndarray) -> None:
    assert np.array_equal(counts_of(matrix_NKK).sum(axis=0), counts_of(matrix_NKK.sum(axis=0)))


def test_chips_of_a_unit_are_added_up() -> None:
    counts = np.stack([counts_of(MATRIX), counts_of(MATRIX.T), 10 * counts_of(MATRIX)])
    units, summed = by_unit(counts, ["b", "a", "b"])
    assert units == ["a", "b"]
    assert np.array_equal(summed, np.stack([counts[1], 11 * counts[0]]))


@given(matrices, st.data())
def test_the_table_holds_all_of_it(matrix_NKK: np.ndarray, data: st.DataObject) -> None:
    names = ("field", "wood", "none, really")
    unit = data.draw(
        st.lists(st.sampled_from(["000001", "b c", "d"]), min_size=len(matrix_NKK), max_size=len(matrix_NKK))
    )
    units, counts = by_unit(counts_of(matrix_NKK), unit)
    kept = [index for index, each in enumerate(counts) if each.any()]
    found, back = from_table(to_table(units, counts, names), names)
    assert found == [units[index] for index in kept]
    assert np.array_equal(back, counts[kept])


def test_a_table_without_rows_is_no_unit() -> None:
    table = to_table([], np.zeros((0, 3, 2), np.int64), ("a", "b"))
    assert isinstance(table, pd.DataFrame)
    assert from_table(table, ("a", "b"))[0] == []
