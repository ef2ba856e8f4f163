"""Open whatever the user names as one scene."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import partial
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.raster.remote import RemoteFile, locate
from pipeline.scenes.common_grid import place_files, read_grid
from pipeline.scenes.geotiff_scene import open_scene
from pipeline.scenes.mosaic import Mosaic, open_mosaic
from pipeline.scenes.scene import ReadOptions, Scene
from pipeline.scenes.tile_index import GTI, open_tile_index
from pipeline.scenes.vrt import VRT, open_vrt
from pipeline.shapes.vector_files import DRIVERS


def open_any(source: str, options: ReadOptions, check_values: bool = True) -> AbstractContextManager[Scene]:
    """Open a GeoTIFF, a VRT or a tile index, by its suffix.

    Args:
        source: a path or, of a GeoTIFF, a URL.
        options: conversion to 8 bits.
        check_values: of a GeoTIFF, as in `open_scene`; others are always checked.

    Raises:
        PipelineError: see `open_scene`, `open_vrt` and `open_tile_index`; or the last two are remote.
    """
    suffix = Path(source).suffix.lower()
    if suffix != VRT and suffix not in (*DRIVERS, GTI):
        return open_scene(source, options, check_values)
    location = locate(source)
    if isinstance(location, RemoteFile):
        raise PipelineError(
            f"{location} is remote; download it and check that it names its files by URL (/vsicurl/ or /vsis3/)"
        )
    if not location.is_file():
        raise PipelineError(f"{location} does not exist")
    return open_vrt(location, options) if suffix == VRT else open_tile_index(location, options)


def merge_scenes(sources: Sequence[str], options: ReadOptions) -> AbstractContextManager[Mosaic]:
    """Open several scenes as one, on the grid of the first; a later one covers the earlier where it has data.

    Raises:
        PipelineError: a scene cannot be opened, or they differ in CRS or pixels.
    """
    files = [read_grid(partial(open_any, source, options)) for source in sources]
    grid, placed = place_files(files)
    name = ", ".join(file.grid.name for file in files[:3]) + (f" and {len(files) - 3} more" if len(files) > 3 else "")
    return open_mosaic(replace(grid, name=name), placed, len(options.imagery.bands))
