"""The model card: front matter that the hub reads, scores with their limits, code that suits the bands."""

from dataclasses import replace

import pytest
from huggingface_hub import ModelCard

from pipeline.formats.chips import Imagery
from pipeline.formats.datasets import licence
from pipeline.publishing.card import model_card
from tests.maps import RGB
from tests.publishing.world import SCORES, data, publication


def test_the_front_matter_is_the_hubs() -> None:
    found = ModelCard(model_card(publication())).data
    assert (found.license, found.library_name, found.pipeline_tag) == ("cc-by-4.0", "onnx", "image-segmentation")
    assert found.datasets is None
    assert found.model_name == "landcovernet-unet-resnet18"
    assert [(result.metric_type, result.metric_value) for result in found.eval_results or ()] == [
        ("mean_iou", 0.604164),
        ("accuracy", 0.8225),
    ]


def test_the_licence_of_own_images_has_a_name() -> None:
    found = ModelCard(model_card(publication(data=data("ghana", "local", licence("ghana", "local"))))).data
    assert (found.license, found.license_name) == ("other", "that-of-the-training-images")


def test_scores_with_intervals_where_there_are_some() -> None:
    card = model_card(publication())
    assert "On 12 test chips, split by strategy `block`: mean IoU **0.604 (95 % interval 0.500 to 0.700)**. " in card
    assert "| water | 0.500 | 0.900 (0.800 to 0.950) | 0.700 |" in card
    assert "| forest & scrub | – | – | – |" in card
    assert "10.0 % are wrong because a class has too many or too few pixels, and 7.8 % because" in card
    assert "Leak: 25.0 % of the test chips show the same ground" in card


def test_why_there_is_no_interval() -> None:
    scores = SCORES | {
        "mean_iou_low": None,
        "mean_iou_high": None,
        "interval": {"why_null": "5 groups", "approximate": False},
    }
    assert "mean IoU **0.604**; no interval: 5 groups. " in model_card(publication(scores))


@pytest.mark.parametrize(
    ("share", "at_least", "expected"),
    [
        (0.0, 0.0, "Leak: 0.0 % of the test chips show the same ground as a training chip, or adjacent ground."),
        (None, 0.1, "Leak: at least 10.0 % of the test chips"),
        (None, None, "It is not known whether test chips show the same ground"),
    ],
)
def test_leaks(share: float | None, at_least: float | None, expected: str) -> None:
    card = model_card(publication(SCORES | {"leak_share": share, "leak_share_at_least": at_least}))
    assert expected in card
    assert ("may be lower" in card) is bool(at_least)


def test_calibration() -> None:
    card = model_card(publication())
    assert "with T = 0.5, fitted on the validation chips; on single groups of them (4) T is 0.32 to 0.61. " in card
    assert "is 0.163 at T = 1 and 0.021 (95 % interval 0.010 to 0.040) at this T." in card


def test_without_scores_the_card_gives_the_reason() -> None:
    card = model_card(publication(None, "there is no file"))
    assert "Not included: there is no file." in card
    assert ModelCard(card).data.eval_results is None


def test_a_synthetic_sample_is_named_first() -> None:
    synthetic = replace(RGB, synthetic=True)
    title, warning = model_card(publication(imagery=synthetic)).split("---\n", 2)[2].strip().split("\n\n")[:2]
    assert title.startswith("# ")
    assert warning.startswith("> **Trained on synthetic images.**")
    assert "synthetic" not in model_card(publication())


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a|b", "a\\|b"),
        ("a\\|b", "a\\\\\\|b"),
        ("<b>", "\\<b\\>"),
        ("`a` *b*", "\\`a\\` \\*b\\*"),
        ("[a](b)", "\\[a\\](b)"),
        ("&lt; & x", "\\&lt; & x"),
        ("snow/ice_1", "snow/ice_1"),
    ],
)
def test_class_names_are_no_markdown(name: str, text: str) -> None:
    table = publication().model.table
    odd = table.model_copy(update={"classes": (table.classes[0].model_copy(update={"name": name}), *table.classes[1:])})
    assert f"| 10 | 0 | {text} | `#FFCC00` |" in model_card(publication(table=odd))


def test_values_of_more_than_8_bits_are_converted_first() -> None:
    card = model_card(publication())
    assert "255 * (value - 1000) / (4000 - 1000), rounded, and cut off at 0 and 255" in card
    assert "gdal_translate -ot Byte -scale 1000 4000 0 255 scene.tif scene8.tif" in card
    assert "(tile - 1000) / (4000 - 1000)" in card
    plain = model_card(publication(imagery=RGB))
    assert "gdal_translate" not in plain
    assert "none: values are 8-bit" in plain
    assert "np.float32(tile / 255)" in plain


def test_a_stretch_by_chip_is_named() -> None:
    card = model_card(publication(imagery=replace(RGB, stretch="minmax")))
    assert "`pipeline.predict` refuses this model" in card
    assert "gdal_translate" not in card


@pytest.mark.parametrize(
    ("bands", "numbers", "comment"),
    [
        (("4", "3", "2"), "[4, 3, 2]", "4, 3, 2"),
        (("B04", "B03", "B02"), "[1, 2, 3]", "B04, B03, B02"),
        (("4", "3", "2", "5"), "[4, 3, 2, 5]", "4, 3, 2, 5"),
    ],
)
def test_bands_are_read_by_number(bands: tuple[str, ...], numbers: str, comment: str) -> None:
    expected = f"scene.read({numbers}, window=window, boundless=True, fill_value=0)  # {comment}\n"
    assert expected in model_card(publication(imagery=Imagery(bands)))


def test_many_bands_are_named_in_order() -> None:
    card = model_card(publication(imagery=Imagery(("B04", "B03", "B02", "B08"), 0.0001, 0.0, (0.0, 0.3))))
    assert "| bands | B04, B03, B02 as red, green, blue, then B08 |" in card
    assert "8-bit bands B04, B03, B02, B08 in this order" in card
