import pytest

from pipeline.sources.sample.tiles import TILES, Tile

EASTINGS = {0: "STUVWXYZ", 1: "ABCDEFGH", 2: "JKLMNPQR"}
NORTHINGS = "ABCDEFGHJKLMNPQRSTUV"


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_corners_are_those_of_the_grid_square(tile: Tile) -> None:
    """MGRS: letters of easting repeat every three zones, those of northing begin at F in even zones."""
    zone, easting, northing = int(tile.name[:2]), tile.name[3], tile.name[4]
    x = (EASTINGS[zone % 3].index(easting) + 1) * 100_000
    y = (NORTHINGS.index(northing) - (5 if zone % 2 == 0 else 0)) % 20 * 100_000 + 100_000
    assert zone == tile.zone
    assert tile.corner[0] == pytest.approx(x, abs=60)
    assert tile.corner[1] % 2_000_000 == pytest.approx(y % 2_000_000, abs=60)
    assert tile.south == (tile.name[2] < "N")


def test_each_tile_has_twelve_months_and_eight_chips() -> None:
    assert [(len(tile.greenness), len(tile.countries)) for tile in TILES] == [(12, 8)] * 3
    assert all(0 <= value <= 1023 for tile in TILES for value in tile.greenness)


def test_one_tile_has_a_mountain_with_snow() -> None:
    assert [any(country.snow for country in tile.countries) for tile in TILES] == [False, False, True]
