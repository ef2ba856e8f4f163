"""Turn a map into polygons: a GeoPackage with the class, area, confidence and patch of each.

python -m pipeline.vectors map.tif -o map.gpkg
python -m pipeline.vectors map.tif -o map.gpkg --dissolve         # patches in one piece
python -m pipeline.vectors map.tif -o map.gpkg --simplify 0       # borders pixel by pixel
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.cli import number, one_line_errors
from pipeline.core.errors import PipelineError
from pipeline.polygons.class_map import confidence_beside, open_class_map
from pipeline.polygons.geopackage import require_writable
from pipeline.polygons.simplify import TOLERANCE_PX
from pipeline.polygons.vectorise import VectorOptions, vectorise

MAX_TOLERANCE = 1_000_000
"""Pixels; far larger numbers overflow when they are squared."""


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.vectors",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = command.add_argument
    add("map", type=Path, metavar="MAP", help="GeoTIFF of class ids, as pipeline.predict writes it")
    add("-o", "--out", type=Path, required=True, metavar="GPKG", help="the GeoPackage to write")
    add(
        "--simplify",
        type=_tolerance,
        default=TOLERANCE_PX,
        metavar="PIXELS",
        help=f"simplify borders: remove corners up to the area of its square; 0: none; default: {TOLERANCE_PX:g}",
    )
    add("--dissolve", action="store_true", help="merge the pieces of each patch; holds all polygons in memory")
    add("--classes", type=Path, metavar="FILE", help="classes.yaml or classes.json, for maps without names")
    add("--no-confidence", action="store_true", help="ignore the confidence layer beside the map")
    add("--overwrite", action="store_true", help="replace an existing file")
    return command


def _tolerance(text: str) -> float:
    value = number(text)
    if not 0 <= value <= MAX_TOLERANCE:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and {MAX_TOLERANCE:,} pixels")
    return value


def run(arguments: argparse.Namespace) -> str:
    """Write the polygons that the command line asks for; return a summary.

    Raises:
        PipelineError: the user's mistake.
        OSError: a file cannot be read or written.
    """
    path, out = arguments.map, arguments.out
    if path.is_dir():
        raise PipelineError(f"{path} is a folder; give one map, a GeoTIFF")
    require_writable(out, "-o", filter(None, (path, arguments.classes)))
    if out.exists() and not arguments.overwrite:
        raise PipelineError(f"{out} exists; --overwrite replaces it")
    confidence = None if arguments.no_confidence else confidence_beside(path)
    if arguments.dissolve:
        print("note: --dissolve holds all polygons in memory", file=sys.stderr)
    with open_class_map(path, confidence, arguments.classes) as source:
        result = vectorise(source, out, VectorOptions(arguments.simplify, arguments.dissolve))
    return (
        f"{out}, {result.polygons:,} polygons of {result.patches:,} patches, {out.stat().st_size / 1e6:.3g} MB, "
        f"{result.seconds:.1f} s{'' if confidence else '; no confidence'}"
    )


def main() -> None:
    """Run the command; a user's mistake is one line."""
    arguments = parser().parse_args()
    with one_line_errors("vectors"):
        print(f"vectors: {run(arguments)}")


if __name__ == "__main__":
    main()
