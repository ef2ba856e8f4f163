"""The class that a colour is nearest to, and the colours that are mixtures of others, are those of brute force."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import nnls

from pipeline.importing.colour_space import UNKNOWN, class_positions, is_mixture, pack, unpack

levels = st.integers(0, 255)
colours = st.tuples(levels, levels, levels)
different = st.lists(colours, min_size=2, max_size=4, unique=True)


@settings(max_examples=40)  # each fills a table of 16 million colours
@given(different, st.integers(0, 60), st.lists(colours, min_size=1, max_size=20))
def test_positions_are_those_of_the_nearest_class_within_the_tolerance(
    classes: list[tuple[int, int, int]], tolerance: int, others: list[tuple[int, int, int]]
) -> None:
    tested_N3 = np.array([*others, *classes])
    differences_NK3 = np.abs(tested_N3[:, None] - np.array(classes))
    squared_NK = np.where(differences_NK3.max(-1) <= tolerance, (differences_NK3**2).sum(-1), 10**9)
    is_one_N = ((squared_NK == squared_NK.min(1, keepdims=True)).sum(1) == 1) & (squared_NK.min(1) < 10**9)
    expected_N = np.where(is_one_N, squared_NK.argmin(1), UNKNOWN)
    table = class_positions(tuple(classes), tolerance)
    assert table[pack(*tested_N3.T.astype(np.uint8))].tolist() == expected_N.tolist()


@given(st.lists(colours, min_size=1))
def test_packed_colours_are_unpacked(unpacked: list[tuple[int, int, int]]) -> None:
    assert unpack(pack(*np.array(unpacked, np.uint8).T)).tolist() == [list(colour) for colour in unpacked]


@given(different, st.lists(st.floats(0.01, 1), min_size=4, max_size=4))
def test_mixtures_are_found(classes: list[tuple[int, int, int]], weights: list[float]) -> None:
    corners_K3, share_K = np.array(classes), np.array(weights[: len(classes)])
    mixed_3 = np.rint(share_K / share_K.sum() @ corners_K3)
    assert is_mixture(mixed_3[None], corners_K3, 1).all()


@given(different, colours)
def test_other_colours_are_no_mixtures(classes: list[tuple[int, int, int]], colour: tuple[int, int, int]) -> None:
    corners_K3 = np.array(classes)
    weight = 10_000.0  # of the condition that the shares add up to 1
    columns = np.vstack([corners_K3.T, np.full(len(classes), weight)])
    _, distance = nnls(columns, np.array([*colour, weight]))
    if distance > 20:
        assert not is_mixture(np.array([colour]), corners_K3, 2).any()


def test_two_colours_do_not_mix_to_a_third_aside() -> None:
    corners_K3, grey = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]]), np.array([[80, 80, 0]])
    assert is_mixture(grey, corners_K3, 2).all()
    assert not is_mixture(grey, corners_K3, 2, largest=2).any()
