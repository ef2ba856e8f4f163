"""The metadata, read back as Deepness 0.6.5 does: `processing/models/model_base.py`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from benchmarks._export_deepness import Tiles
from pipeline.formats.chips import Imagery
from pipeline.learning.model import Model
from pipeline.publishing.deepness import deepness_metadata
from tests.inference.world import exact_model


def model(**changes: Any) -> Model:
    return replace(exact_model().model, **changes)


def read(**changes: Any) -> dict[str, Any]:
    return {key: json.loads(value) for key, value in deepness_metadata(model(**changes), 1024).items()}


def test_classes_are_numbered_from_0_in_the_order_of_the_outputs() -> None:
    found = read()
    assert [int(key) for key in found["class_names"]] == [0, 1, 2]
    assert list(found["class_names"].values()) == ["field", "water", "forest & scrub"]
    assert found["class_ids"] == [10, 30, 70]
    assert found["class_colours"] == [[255, 204, 0], [0, 0, 255], [0, 128, 0]]


def test_the_output_is_taken_as_it_is() -> None:
    found = read()
    assert found["model_type"] == "Segmentor"
    assert (found["seg_thresh"], found["seg_small_segment"]) == (0, 0)
    assert (found["standardization_mean"], found["standardization_std"]) == ([0, 0, 0], [1, 1, 1])


def test_128_of_1024_px_are_dropped_between_tiles() -> None:
    found = read()
    assert found["tile_size"] == found["tiles_size"] == 1024
    overlap = int(1024 * found["tiles_overlap"] / 100 * 2) // 2  # processing_overlap.py
    spans = Tiles(2560, 1024, overlap).spans
    assert [(start, kept.start, kept.stop) for start, kept in spans] == [
        (0, 0, 896),
        (768, 896, 1664),
        (1536, 1664, 2560),
    ]


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((10.0,), [1000.0]),
        ((0.5, 0.25), [25.0, 50.0]),
        ((0.3,), [30.0]),
        ((), []),
        ((8.98e-5, 0.25), []),  # 10 m in degrees
    ],
)
def test_the_resolution_is_the_finest_pixel_of_the_training_in_cm(
    sizes: tuple[float, ...], expected: list[float]
) -> None:
    found = read(pixel_sizes=sizes)
    assert found.get("resolutions", []) == expected
    assert found.get("resolution") == (expected[0] if expected else None)


def test_the_conversion_of_images_and_the_model_are_recorded() -> None:
    found = read(imagery=Imagery(("B04", "B03", "B02"), 0.0001, -0.1, (0.0, 0.3)))
    assert found["imagery"] == {"bands": ["B04", "B03", "B02"], "scale": 0.0001, "offset": -0.1, "stretch": [0.0, 0.3]}
    assert found["model_sha256"] == "digest"
