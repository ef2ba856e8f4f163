import numpy as np
import pandas as pd
import pytest

from pipeline.splitting.footprints import footprints, in_degrees, outlines
from tests.world import LOCAL_CRS


def chips(*rows: tuple[str, str, float | None, float | None, float | None]) -> pd.DataFrame:
    frame = pd.DataFrame(rows, columns=["id", "crs", "x", "y", "pixel_size"])
    return frame.assign(scene="s", height=100, width=200)


def test_an_outline_runs_counterclockwise_and_closes() -> None:
    found = footprints(chips(("a", "EPSG:4326", 19.0, 52.0, 0.001)), ["id", "scene"])
    ring = [[19.0, 52.0], [19.0, 51.9], [19.2, 51.9], [19.2, 52.0], [19.0, 52.0]]
    assert found == {
        "type": "FeatureCollection",
        "features": [
            {
                "type": "Feature",
                "properties": {"id": "a", "scene": "s"},
                "geometry": {"type": "Polygon", "coordinates": [ring]},
            }
        ],
    }


def test_the_central_meridian_of_a_utm_zone_is_where_it_is() -> None:
    [feature] = footprints(chips(("a", "EPSG:32630", 500000.0, 0.0, 10.0)), ["id"])["features"]
    west, north = feature["geometry"]["coordinates"][0][0]
    assert (west, north) == pytest.approx((-3.0, 0.0), abs=1e-7)
    east = feature["geometry"]["coordinates"][0][2][0]
    assert east == pytest.approx(-3.0 + 2000 / 111320, abs=1e-4)


def test_chips_of_several_crs_each_lie_in_their_own_and_those_without_are_left_out() -> None:
    frame = chips(
        ("a", "EPSG:32631", 500000.0, 0.0, 10.0),
        ("b", "", None, None, None),
        ("c", "EPSG:32630", 500000.0, 0.0, 10.0),
    )
    found = {
        feature["properties"]["id"]: feature["geometry"]["coordinates"][0][0][0]
        for feature in footprints(frame, ["id"])["features"]
    }
    assert found == pytest.approx({"a": 3.0, "c": -3.0}, abs=1e-7)


def test_corners_are_in_the_units_of_the_crs() -> None:
    frame = chips(("a", "EPSG:32630", 500000.0, 0.0, 10.0), ("b", "", 1.0, 1.0, 1.0), ("c", "EPSG:32630", 0, 0, None))
    found = outlines(frame)
    assert found[0].tolist() == [[500000.0, 0.0], [500000.0, -1000.0], [502000.0, -1000.0], [502000.0, 0.0]]
    assert np.isnan(found[1:]).all()


@pytest.mark.parametrize(("crs", "x"), [(LOCAL_CRS, 5.0), ("no CRS", 5.0), ("EPSG:32630", 1e9)])
def test_chips_that_lie_nowhere_on_the_globe_are_left_out(crs: str, x: float) -> None:
    frame = chips(("a", crs, x, 1e9, 0.1), ("b", "EPSG:32631", 500000.0, 0.0, 10.0))
    assert np.isnan(in_degrees(outlines(frame[:1]), crs)).all()
    assert [each["properties"] for each in footprints(frame, ["id"])["features"]] == [{"id": "b"}]


def test_chips_whose_pixels_are_no_squares_are_left_out() -> None:
    assert footprints(chips(("a", "EPSG:32631", 500000.0, 0.0, None)), ["id"])["features"] == []
