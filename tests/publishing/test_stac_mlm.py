"""Items against the schemas of MLM 1.5.2 and STAC 1.1.0, offline, and against pystac's reader."""

import copy
import hashlib
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pystac
import pytest
from pystac.validation.local_validator import get_local_schema_cache
from referencing import Registry, Resource

from pipeline.formats.chips import Imagery
from pipeline.publishing.publication import Publication
from pipeline.publishing.stac_mlm import mlm_item, raw_limits
from pipeline.raster.imagery import to_8bit
from tests.publishing.world import SENTINEL_2, publication

SCHEMAS = Path(__file__).parent / "schemas"
"""Of github.com/stac-extensions, at the tags that are in the names."""
ItemOf = Callable[[Publication], dict[str, Any]]
STAC = "https://schemas.stacspec.org/v1.1.0/item-spec/json-schema/item.json"


@cache
def registry() -> Registry[Any]:
    own = [json.loads(path.read_text(encoding="utf-8")) for path in SCHEMAS.iterdir()]
    known = {schema["$id"].rstrip("#"): schema for schema in own} | get_local_schema_cache()
    return Registry().with_resources((uri, Resource.from_contents(schema)) for uri, schema in known.items())


def validate(item: dict[str, Any]) -> None:
    """Validate against every schema that the item names."""
    for uri in (STAC, *item["stac_extensions"]):
        jsonschema.Draft7Validator(registry().contents(uri), registry=registry()).validate(item)


@pytest.fixture
def item_of(tmp_path: Path) -> ItemOf:
    (tmp_path / "model.onnx").write_bytes(b"network")
    (tmp_path / "README.md").write_bytes(b"card")
    return lambda published: json.loads(json.dumps(mlm_item(published, tmp_path)))  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("weights", "pretrained"),
    [("imagenet", "ImageNet"), ("none", None), ("/home/a/b.safetensors", "b.safetensors")],
)
def test_items_are_valid_and_name_no_path(weights: str, pretrained: str | None, item_of: ItemOf) -> None:
    params = {"encoder_weights": weights, "train": {"lr": 1, "class_weights": {"a b": 2.0}}}
    item = item_of(publication(params=params))
    validate(item)
    properties = item["properties"]
    assert (properties["mlm:pretrained"], properties["mlm:pretrained_source"]) == (weights != "none", pretrained)
    of_encoder = {} if "/" in weights else {"encoder_weights": weights}
    assert properties["mlm:hyperparameters"] == of_encoder | {"train.lr": 1, "train.class_weights.a_b": 2.0}
    read = pystac.Item.from_dict(copy.deepcopy(item))
    assert read.geometry is None
    assert read.bbox is None
    assert set(read.assets) == {"model", "card"}
    assert "/home" not in json.dumps(item)


def test_classes_are_positions_with_names_and_colours(item_of: ItemOf) -> None:
    (output,) = item_of(publication())["properties"]["mlm:output"]
    assert output["result"]["shape"] == [-1, 3, 1024, 1024]
    assert [tuple(entry.values()) for entry in output["classification:classes"]] == [
        (0, "field", "field, id 10 in maps", "FFCC00"),
        (1, "water", "water, id 30 in maps", "0000FF"),
        (2, "forest & scrub", "forest & scrub, id 70 in maps", "008000"),
    ]


@pytest.mark.parametrize(
    ("bands", "expected"),
    [
        (("B04", "B03", "B02"), ["red", "green", "blue"]),
        (("B04", "B03", "B02", "B08"), ["red", "green", "blue", "NIR"]),
        (("B08", "B04", "B03", "B05"), ["NIR", "red", "green", "Vegetation Red Edge"]),
        (("3", "2", "1", "7", "8"), ["red", "green", "blue", None, None]),
    ],
)
def test_bands_have_names_and_those_that_are_known_descriptions(
    bands: tuple[str, ...], expected: list[str | None], item_of: ItemOf
) -> None:
    item = item_of(publication(imagery=Imagery(bands, 0.0001, 0.0, (0.0, 0.3))))
    validate(item)
    for described in (item["properties"]["bands"], item["assets"]["model"]["bands"]):
        assert [(band["name"], band.get("description")) for band in described] == list(
            zip(bands, expected, strict=True)
        )
    (given,) = item["properties"]["mlm:input"]
    assert given["bands"] == list(bands)
    assert given["input"]["shape"] == [-1, len(bands), 1024, 1024]


def test_one_scaling_is_that_of_all_bands(item_of: ItemOf) -> None:
    """MLM 1.5.2, "Value Scaling Object": one for each band, or a single one; the schema does not check it."""
    (given,) = item_of(publication())["properties"]["mlm:input"]
    assert given["value_scaling"] == [{"type": "min-max", "minimum": 1000, "maximum": 4000}]
    assert given["description"].endswith("Scaled values below 0 and above 1 are cut off.")


def test_checksums_are_multihashes_of_the_files(item_of: ItemOf) -> None:
    asset = item_of(publication())["assets"]["model"]
    assert asset["file:size"] == 7
    assert asset["file:checksum"] == f"1220{hashlib.sha256(b'network').hexdigest()}"


def test_scaling_equals_the_conversion_of_the_training_chips() -> None:
    assert raw_limits(SENTINEL_2) == (1000, 4000)
    values_CHW = np.arange(0, 5001, dtype=np.uint16).reshape(1, 1, -1).repeat(3, axis=0)
    chip_HWC = to_8bit(values_CHW, SENTINEL_2, np.ones(values_CHW.shape[1:], bool))
    scaled_CHW = np.clip((values_CHW - 1000.0) / 3000, 0, 1)
    np.testing.assert_allclose(chip_HWC.transpose(2, 0, 1) / 255, scaled_CHW, atol=0.51 / 255)
