"""Open whatever the user names as one scene."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.inference.common_grid import place_files, read_grid
from pipeline.inference.geotiff_scene import open_scene
from pipeline.inference.mosaic import Mosaic, open_mosaic
from pipeline.inference.scene import ReadOptions, Scene
from pipeline.inference.source_names import remote_url
from pipeline.inference.tile_index import DRIVERS, GTI, open_tile_index
from pipeline.inference.vrt import VRT, open_vrt


def open_any(source: str, options: ReadOptions, check_values: bool = True) -> AbstractContextManager[Scene]:
    """Open a GeoTIFF, a VRT or a tile index, by its suffix.

    Args:
        source: a path or, of a GeoTIFF, a URL.
        options: conversion to 8-bit RGB.
        check_values: of a GeoTIFF, as in `open_scene`; others are always checked.

    Raises:
        PipelineError: see `open_scene`, `open_vrt` and `open_tile_index`; or the last two are remote.
    """
    suffix = Path(source).suffix.lower()
    if suffix != VRT and suffix not in (*DRIVERS, GTI):
        return open_scene(source, options, check_values)
    if remote_url(source):
        raise PipelineError(
            f"{source} is remote; download it and check that it names its files by URL (/vsicurl/ or /vsis3/)"
        )
    if not Path(source).is_file():
        raise PipelineError(f"{source} does not exist")
    return open_vrt(Path(source), options) if suffix == VRT else open_tile_index(Path(source), options)


@contextmanager
def merge_scenes(sources: Sequence[str], options: ReadOptions) -> Iterator[Mosaic]:
    """Open several scenes as one, on the grid of the first; a later one covers the earlier where it has data.

    Raises:
        PipelineError: a scene cannot be opened, or they differ in CRS or pixels.
    """
    files = [read_grid(source, partial(open_any, source, options)) for source in sources]
    grid, placed = place_files(files)
    with open_mosaic(", ".join(sources), grid, placed) as mosaic:
        yield mosaic
