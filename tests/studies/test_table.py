"""Numbers of the report are rounded in one way, and absent ones are a dash."""

from pipeline.studies.table import ABSENT, Table, number_text, score_text, share_text, spread_text


def test_numbers_are_rounded_and_absent_ones_are_a_dash() -> None:
    assert score_text(0.87654) == "0.8765"
    assert score_text(0.87654, 2) == "0.88"
    assert share_text(0.785) == "78.5 %"
    assert number_text(1234.5, ".0f") == "1234"
    assert (score_text(None), share_text(None), number_text(None)) == (ABSENT, ABSENT, ABSENT)


def test_a_spread_is_the_mean_with_the_range_unless_that_is_one_value() -> None:
    assert spread_text([0.25, 0.75]) == "0.5000 (0.2500 to 0.7500)"
    assert spread_text([0.5, 0.5]) == "0.5000"
    assert spread_text([0.5, 0.500001]) == "0.5000"
    assert spread_text([]) == ABSENT


def test_columns_are_numbers_labels_or_text() -> None:
    table = Table.of("", ("arm", "mean IoU", "colour", "verdict"), [], [], False, numbers=("mean IoU",))
    assert [column.kind for column in table.columns] == ["label", "number", "colour", "text"]
