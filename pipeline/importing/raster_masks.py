"""Import masks of values or colours, from GeoTIFF and PNG."""

from pathlib import Path

from pipeline.importing.rules import LabelRules


def import_mask(source: Path, target: Path, rules: LabelRules) -> bool:
    """Convert a mask to a GeoTIFF of raw label values; leave a GeoTIFF of values as it is.

    Args:
        source: a GeoTIFF or PNG mask, with its sidecars; a JPEG in colours if `rules.colours.tolerance` is not 0.
        target: the GeoTIFF; parent folders are created.
        rules: classes, remap, and how masks are read.

    Returns:
        Whether `target` was written; False for a GeoTIFF with one band of values, to be copied with its sidecars.

    Raises:
        PipelineError: the mask is unreadable or unsupported, contains a colour of no class, or could be read in two
            ways.
        OSError: the disk is full.
    """
    raise NotImplementedError
