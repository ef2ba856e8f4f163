"""Import PNG and JPEG images as GeoTIFFs."""

from pathlib import Path


def import_image(source: Path, target: Path) -> None:
    """Convert a PNG or JPEG image to a GeoTIFF with the same pixels, bands and dtype.

    Georeference and no-data come from world file, `.prj` and `.aux.xml`; an EXIF orientation is applied; what is
    transparent other than by an alpha band is hidden by the internal mask. Grey images keep one band.

    Args:
        source: `.png`, `.jpg` or `.jpeg`, in upper or lower case, with its sidecars.
        target: the GeoTIFF; parent folders are created.

    Raises:
        PipelineError: the file is missing, empty, truncated, damaged, in another format or in an unsupported form.
        OSError: the disk is full.
    """
    raise NotImplementedError
