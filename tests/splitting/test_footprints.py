"""Outlines of chips are GeoJSON in degrees, and left out where the place is unknown."""

import pandas as pd
import pytest

from pipeline.splitting.footprints import feature_collection
from tests.world import LOCAL_CRS


def chips(*rows: tuple[str, str, float | None, float | None, float | None]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["id", "crs", "x", "y", "pixel_size"])
    return table.assign(scene="s", height=100, width=200)


def test_an_outline_is_a_closed_counterclockwise_ring() -> None:
    ring = [[19.0, 52.0], [19.0, 51.9], [19.2, 51.9], [19.2, 52.0], [19.0, 52.0]]
    assert feature_collection(chips(("a", "EPSG:4326", 19.0, 52.0, 0.001)), ["id", "scene"]) == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"id": "a", "scene": "s"},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        ],
    }


def test_every_chip_is_converted_from_its_own_crs_and_chips_without_a_georeference_are_left_out() -> None:
    rows = chips(
        ("a", "EPSG:32631", 500000.0, 0.0, 10.0),
        ("b", "", None, None, None),
        ("c", "EPSG:32630", 500000.0, 0.0, 10.0),
        ("d", "EPSG:32630", 500000.0, 0.0, None),  # rotated or non-square pixels
    )
    longitudes = {
        feature["properties"]["id"]: feature["geometry"]["coordinates"][0][0][0]
        for feature in feature_collection(rows, ["id"])["features"]
    }
    assert longitudes == pytest.approx({"a": 3.0, "c": -3.0}, abs=1e-7)


@pytest.mark.parametrize(("crs", "x"), [(LOCAL_CRS, 5.0), ("no CRS", 5.0), ("EPSG:32630", 1e9)])
def test_chips_without_a_position_on_the_globe_are_left_out(crs: str, x: float) -> None:
    rows = chips(("a", crs, x, 1e9, 0.1), ("b", "EPSG:32631", 500000.0, 0.0, 10.0))
    assert [feature["properties"] for feature in feature_collection(rows, ["id"])["features"]] == [{"id": "b"}]
