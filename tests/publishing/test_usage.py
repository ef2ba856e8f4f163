"""The section of the card on how to use a model; its code runs in tests/test_export.py."""

import pytest

from pipeline.formats.chips import Imagery
from pipeline.publishing.card import model_card
from pipeline.publishing.usage import example, is_8bit
from tests.publishing.world import SENTINEL_2, publication

RGB = Imagery(("1", "2", "3"))


def test_other_values_are_converted_first() -> None:
    card = model_card(publication())
    assert "255 * (value - 1000) / (4000 - 1000), rounded, and cut off at 0 and 255" in card
    assert "gdal_translate -ot Byte -scale 1000 4000 0 255 scene.tif scene8.tif" in card
    assert "(tile - 1000) / (4000 - 1000)" in example(publication())
    plain = model_card(publication(imagery=RGB))
    assert "gdal_translate" not in plain
    assert "none: values are 8-bit" in plain


def test_a_stretch_by_chip_is_named() -> None:
    card = model_card(publication(imagery=Imagery(("1", "2", "3"), stretch="minmax")))
    assert "`pipeline.predict` refuses this model" in card
    assert "gdal_translate" not in card


@pytest.mark.parametrize(
    ("imagery", "expected"), [(RGB, True), (SENTINEL_2, False), (Imagery(("1", "2", "3"), stretch="minmax"), False)]
)
def test_8_bit_values_are_used_as_they_are(imagery: Imagery, expected: bool) -> None:
    assert is_8bit(imagery) is expected


def test_numbered_bands_are_read_by_number() -> None:
    assert "scene.read([4, 3, 2], window" in example(publication(imagery=Imagery(("4", "3", "2"))))
    assert "scene.read([1, 2, 3], window=window, boundless=True, fill_value=0)  # B04, B03, B02" in example(
        publication()
    )


def test_many_bands_are_named_in_order() -> None:
    card = model_card(publication(imagery=Imagery(("B04", "B03", "B02", "B08"), 0.0001, 0.0, (0.0, 0.3))))
    assert "| bands | B04, B03, B02 as red, green, blue, then B08 |" in card
    assert "8-bit bands B04, B03, B02, B08 in this order" in card
    assert "scene.read([1, 2, 3, 4], window" in card
    assert "scene.read([4, 3, 2, 5], window" in example(publication(imagery=Imagery(("4", "3", "2", "5"))))
