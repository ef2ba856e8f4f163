import pytest

from pipeline.sources.sample.mgrs_tiles import TILES, MgrsTile

EASTINGS = {0: "STUVWXYZ", 1: "ABCDEFGH", 2: "JKLMNPQR"}
NORTHINGS = "ABCDEFGHJKLMNPQRSTUV"


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_a_tile_is_at_the_position_of_its_name(tile: MgrsTile) -> None:
    """MGRS: easting letters repeat every three zones; northing letters start at F in even zones."""
    zone, easting, northing = int(tile.name[:2]), tile.name[3], tile.name[4]
    left = (EASTINGS[zone % 3].index(easting) + 1) * 100_000
    top = (NORTHINGS.index(northing) - (5 if zone % 2 == 0 else 0)) % 20 * 100_000 + 100_000
    assert zone == tile.zone
    assert tile.left == pytest.approx(left, abs=60)
    assert tile.top % 2_000_000 == pytest.approx(top % 2_000_000, abs=60)
    assert tile.south == (tile.name[2] < "N")


def test_each_tile_has_a_greenness_for_each_month_and_eight_chips() -> None:
    assert [(len(tile.greenness), len(tile.landscapes)) for tile in TILES] == [(12, 8)] * 3
    assert all(0 <= value <= 1023 for tile in TILES for value in tile.greenness)
