"""The section `tile` decides which windows are kept, and what imagery.json says."""

from typing import Any

from pipeline.formats.chips import Imagery
from pipeline.orthophoto.section import TileSection
from pipeline.orthophoto.windows import chip_windows


def section(**changes: Any) -> TileSection:
    """32 px chips of 8-bit RGB without partial windows, unless changed."""
    default = {"size": 32, "partial": "drop", "bands": (1, 2, 3), "stretch": "none", "alpha": "auto"}
    return TileSection.model_validate(default | changes)


def test_imagery_json_has_bands_and_stretch() -> None:
    assert section(bands=(3, 2, 1)).imagery == Imagery(("3", "2", "1"), stretch=(0.0, 255.0))
    assert section(bands=(3, 2, 1), stretch=(0.0, 4000.0)).imagery.stretch == (0.0, 4000.0)


def test_partial_windows_are_kept_if_padded() -> None:
    windows = list(chip_windows(40, 64, 32))
    assert [section().keeps(window) for window in windows] == [True, True, False, False]
    assert all(section(partial="pad").keeps(window) for window in windows)
