"""What the user should know about the position of a scene."""

from pipeline.raster.georeference import Georeference


def grid_notes(name: str, georeference: Georeference) -> list[str]:
    """Return notes for `Scene.notes` on a scene without a position, rotated or turned; each in one line."""
    notes = []
    transform = georeference.transform
    if not georeference.is_known:
        notes.append(f"{name} has no georeference, and so its map has none")
    elif transform.b or transform.d:
        notes.append(f"{name} is rotated against its CRS, and so is its map")
    elif transform.e > 0 or transform.a < 0:
        turned = "south-up" if transform.a > 0 else "mirrored" if transform.e < 0 else "rotated by 180°"
        notes.append(f"{name} is {turned}, and so is its map")
    if georeference.is_known and georeference.crs is None:
        notes.append(f"{name} has no CRS, and so its map has none")
    return notes
