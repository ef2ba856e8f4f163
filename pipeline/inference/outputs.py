"""The files of a map: names, checks before the start, and writing them so that the map itself appears last."""

import errno
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path, require_writable_parent, write_text
from pipeline.inference.cog import Raster, write_cog
from pipeline.inference.finished import Finished
from pipeline.inference.layers import Layer
from pipeline.inference.style import pam_xml, qml
from pipeline.polygons import geopackage
from pipeline.polygons.class_map import layer_file

ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class MapFiles:
    """Paths of a map and what belongs to it."""

    map: Path
    layers: tuple[str, ...] = ()
    """Names of other layers that are written."""
    preview: Path | None = None
    """PNG of image and map."""
    vector: Path | None = None
    """GeoPackage of the map's polygons."""

    @property
    def chosen(self) -> list[Path]:
        """The files that replace others only if the user wants that; people edit styles."""
        return [self.map, self.style, *map(self.layer, self.layers), *filter(None, (self.preview, self.vector))]

    @property
    def pam(self) -> Path:
        """Class names for GDAL and QGIS."""
        return self.map.with_name(f"{self.map.name}.aux.xml")

    @property
    def style(self) -> Path:
        """Style for QGIS."""
        return self.map.with_suffix(".qml")

    def layer(self, name: str) -> Path:
        """The GeoTIFF of another layer, such as `map.confidence.tif`."""
        return layer_file(self.map, name)


def require_writable(files: MapFiles) -> None:
    """Check the names of a map's files, and that they can be written where they are wanted.

    Raises:
        PipelineError: the map's name does not end in .tif, or a folder cannot be written to.
    """
    if files.map.suffix.lower() not in ENDINGS:
        raise PipelineError(f"-o {files.map}: a map is a GeoTIFF; give it a name that ends in .tif")
    for path in files.chosen:
        if path.is_dir():
            raise PipelineError(f"{path} is a folder, and the map needs a file of this name; choose another")
    if files.vector:
        geopackage.require_writable(files.vector, "--vector")
    for path in filter(None, (files.map, files.preview)):
        require_writable_parent(path, str(path))


def require_no_input(files: MapFiles, inputs: Iterable[str | Path]) -> None:
    """Check that no file that is read would be replaced.

    Raises:
        PipelineError: one would.
    """
    read = {Path(name).resolve() for name in inputs}
    for path in files.chosen:
        if path.resolve() in read:
            raise PipelineError(f"{path} would be overwritten, but it is an input; choose another name for -o")


def require_new(paths: Iterable[Path]) -> None:
    """Check that files do not exist.

    Raises:
        PipelineError: one does.
    """
    for path in paths:
        if path.exists():
            raise PipelineError(f"{path} exists; --overwrite replaces it")


def write_outputs(
    files: MapFiles,
    finished: Finished,
    rasters: dict[str, Raster],
    complete: Callable[[dict[str, Path]], None],
    replaced: Iterable[Path] = (),
) -> None:
    """Write all files of a map; the map itself appears last, when everything that belongs to it is there.

    Args:
        files: their names.
        finished: the layers.
        rasters: see `describe_layers`.
        complete: writes what is made from the layers' files, such as the preview: gets their temporary paths by name.
        replaced: files of an older map, removed when all is written and nothing has its name: at no moment does a
            layer of one map lie beside another map.

    Raises:
        PipelineError: GDAL cannot write a file.
        OSError: the disk is full.
    """
    table = rasters["classes"].table
    assert table is not None
    partials: dict[str, Path] = {}
    with ExitStack() as stack:  # renames in reverse order: the map's comes last
        for name, layer in finished.layers.items():
            target = files.map if name == "classes" else files.layer(name)
            partials[name] = stack.enter_context(atomic_path(target))
            with _write_errors(target, partials[name], layer):
                write_cog(partials[name], layer, rasters[name])
        complete(partials)
        for path in replaced:
            path.unlink(missing_ok=True)
        write_text(files.pam, pam_xml(table, finished.counts(table)))
        write_text(files.style, qml(table))


@contextmanager
def _write_errors(target: Path, partial: Path, layer: Layer) -> Iterator[None]:
    """Name the file that the user wants, and a full disk, in GDAL's errors.

    Raises:
        PipelineError: GDAL cannot write the file.
        OSError: there is less space than the file may need; GDAL's text does not contain that reason.
    """
    try:
        yield
    except PipelineError as error:
        if shutil.disk_usage(target.parent).free < 2 * layer.height * layer.width * layer.bands:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target)) from None
        raise PipelineError(str(error).replace(str(partial), str(target))) from None
