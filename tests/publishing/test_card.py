"""The card: front matter in the reader of the hub, and what it contains."""

from functools import partial

import pytest
from huggingface_hub import ModelCard

from pipeline.formats.chips import Imagery
from pipeline.formats.datasets import licence
from pipeline.publishing.card import model_card
from pipeline.publishing.publication import Publication
from tests.publishing.world import OLD_SCORES, SCORES, data, old_model, publication


def old(scores: dict[str, object] | None = None) -> Publication:
    return Publication(old_model(), scores, "" if scores else "there is no file", publication().check)


def test_the_front_matter_is_the_hubs() -> None:
    found = ModelCard(model_card(publication())).data
    assert (found.license, found.library_name, found.pipeline_tag) == ("cc-by-4.0", "onnx", "image-segmentation")
    assert found.datasets is None
    assert found.model_name == "landcovernet-unet-resnet18"
    assert [(result.metric_type, result.metric_value) for result in found.eval_results or ()] == [
        ("mean_iou", 0.604164),
        ("accuracy", 0.8225),
    ]


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (partial(publication, data=data("landcoverai", licence="CC BY-NC-SA 4.0")), ("cc-by-nc-sa-4.0", None)),
        (partial(publication, data=data("ghana", licence="CC BY-SA 4.0")), ("cc-by-sa-4.0", None)),
        (partial(publication, data=data("ghana", "sample", licence("ghana", "sample"))), ("mit", None)),
        (
            partial(publication, data=data("ghana", "local", licence("ghana", "local"))),
            ("other", "that-of-the-training-images"),
        ),
        (old, ("unknown", None)),
    ],
)
def test_licences(published: partial[Publication], expected: tuple[str, str | None]) -> None:
    found = ModelCard(model_card(published())).data
    assert (found.license, found.license_name) == expected


def test_scores_with_intervals_where_there_are_some() -> None:
    card = model_card(publication())
    assert "On 12 test chips, split by strategy `block`: mean IoU **0.604 (95 % interval 0.500 to 0.700)**. " in card
    assert "| water | 0.500 | 0.900 (0.800 to 0.950) | 0.700 |" in card
    assert "| forest & scrub | – | – | – |" in card
    assert "10.0 % are wrong because a class has too many or too few pixels, and 7.8 % because" in card
    assert "Leak: 25.0 % of the test chips show the same ground" in card


def test_why_there_is_no_interval() -> None:
    scores = SCORES | {"mean_iou_low": None, "mean_iou_high": None, "interval": {"why_null": "5 independent groups"}}
    assert "mean IoU **0.604**; no interval: 5 independent groups. " in model_card(publication(scores))


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
    assert "Not calibrated" in model_card(publication(calibration=None))


def test_models_and_scores_of_older_versions() -> None:
    assert model_card(old()).count("not recorded") >= 6
    assert "Not included: there is no file." in model_card(old())
    card = model_card(old(OLD_SCORES))
    assert "mean IoU **–**" in card
    assert ModelCard(card).data.eval_results is None


def test_a_synthetic_sample_is_named_first() -> None:
    synthetic = Imagery(("1", "2", "3"), synthetic=True)
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
