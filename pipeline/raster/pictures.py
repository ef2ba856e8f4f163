"""Open PNG and JPEG files, each with the driver of its name only.

The chunks of a PNG are checked here first, because GDAL reads truncated files of up to 512 x 512 px without an error;
Pillow's `verify` finds no EXIF data after the pixels. GDAL decodes both formats row by row, and reports damaged JPEG
data, which Pillow does not. But the pixels of a JPEG are Pillow's: rasterio's wheels contain IJG's libjpeg 9, whose
colours of chroma-subsampled files differ from those of libjpeg-turbo, which OpenCV and most programs use, by up to 104
of 255 in an image of noise. Pillow decodes a JPEG at once, in 4 bytes per pixel, 1 if it is grey.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import BinaryIO

import numpy as np
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.file_formats import PNG, require_format
from pipeline.raster.gdal import WARNINGS_LOCK, quiet_gdal
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.layout import TIFF_ENDINGS
from pipeline.raster.remote import Location

DRIVERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""File endings in lower case, and the GDAL driver that opens them."""
IMAGE_ENDINGS = (*TIFF_ENDINGS, *DRIVERS)
"""Those of all images, GeoTIFF included."""
MAX_JPEG_PIXELS = 1 << 29
"""Largest JPEG: 2 GiB are decoded."""
ORIENTATION = 0x0112
"""EXIF tag: how the stored image is turned or mirrored for display, 1 to 8."""
READ_OPTIONS = {"GDAL_PNG_WHOLE_IMAGE_OPTIM": "NO", "GDAL_ERROR_ON_LIBJPEG_WARNING": "TRUE"}
"""Decode PNG by libpng, which checks what it decodes; report damaged JPEG data as an error."""


@dataclass(frozen=True)
class Picture:
    """An open PNG or JPEG."""

    file: GeoTiff
    """What `open_geotiff` gives, with the pixels of another JPEG decoder."""
    orientation: int
    """EXIF orientation, 1 to 8; 1 is upright."""
    jpeg: JpegImageFile | None
    """The pixels of a JPEG."""

    def read(self, window: Window | None = None) -> np.ndarray:
        """Read pixels as stored, (bands, height, width): palette indices, grey of 1, 2 or 4 bits without scaling.

        Args:
            window: None for the whole image.

        Raises:
            PipelineError: the pixels cannot be decoded.
        """
        bands_CHW = self.file.read(window=window)  # for a JPEG, to find damage
        if self.jpeg is None:
            return bands_CHW
        window = window or Window(0, 0, self.file.width, self.file.height)
        left, top, width, height = (int(value) for value in window.flatten())
        with _pillow_errors(self.file.path):
            part_HWC = np.asarray(self.jpeg.crop((left, top, left + width, top + height)))
        return part_HWC.reshape(height, width, -1).transpose(2, 0, 1)


@contextmanager
def open_picture(path: Path) -> Iterator[Picture]:
    """Open and check a PNG or JPEG, as `open_geotiff` does a GeoTIFF, sidecars included.

    Args:
        path: ends in one of `DRIVERS`, in upper or lower case.

    Raises:
        PipelineError: the file is missing, empty, truncated, damaged, in another format, or CMYK; or it has both a
            georeference and an EXIF orientation.
    """
    driver = DRIVERS[path.suffix.lower()]
    require_format(path, driver)
    with ExitStack() as stack:
        stack.enter_context(quiet_gdal(**READ_OPTIONS))
        jpeg = stack.enter_context(_open_jpeg(path)) if driver == "JPEG" else None
        if jpeg is not None:
            _require_supported(path, jpeg)
        exif = _check_png(path) if jpeg is None else jpeg.info.get("exif", b"")
        orientation = _orientation(exif)
        with _exif_errors(path, exif):
            file = stack.enter_context(open_geotiff(path, driver=driver))
        if orientation != 1 and file.georeference.is_known:
            raise PipelineError(
                f"{path} has a georeference, and EXIF orientation {orientation}, which would turn or mirror it against "
                "its position; remove the orientation (exiftool -Orientation= -n), or its world file"
            )
        try:
            yield Picture(file, orientation, jpeg)
        except PipelineError as error:  # found only as the pixels are decoded
            if "Premature end of JPEG file" in str(error):
                raise _truncated(path) from None
            raise


@contextmanager
def _exif_errors(path: Path, exif: bytes) -> Iterator[None]:
    """Explain errors of GDAL over EXIF data, in texts about the TIFF that these are."""
    try:
        yield
    except PipelineError as error:
        if exif and any(word in str(error) for word in ("director", "Director", "TIFF", "EXIF")):
            raise PipelineError(
                f"{path} has damaged EXIF data, which may tell how it is turned; remove them if it is upright: "
                f"exiftool -EXIF= {quote(str(path))}"
            ) from None
        raise


def _open_jpeg(path: Path) -> JpegImageFile:
    """Open a JPEG with Pillow; not by its `open`, whose limit of pixels is of the whole process."""
    with _pillow_errors(path), WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of EXIF
        return JpegImageFile(path)


def _require_supported(path: Path, jpeg: JpegImageFile) -> None:
    if jpeg.mode == "CMYK":
        raise PipelineError(
            f"{path} has four bands, CMYK or YCCK colours for print, whose conversion depends on a colour profile; "
            "convert it to RGB with the program that made it"
        )
    if jpeg.width * jpeg.height > MAX_JPEG_PIXELS:
        raise PipelineError(
            f"{path} has {jpeg.width} x {jpeg.height} px; at most {MAX_JPEG_PIXELS} of a JPEG are decoded: "
            "convert it to GeoTIFF: gdal_translate -co TILED=YES -co COMPRESS=JPEG -co PHOTOMETRIC=YCBCR"
        )


@contextmanager
def _pillow_errors(path: Location) -> Iterator[None]:
    """Re-raise errors of Pillow over a bad file."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error) as error:
        raise PipelineError(f"{path} cannot be read, it is damaged or of an unsupported kind: {error}") from None


def _check_png(path: Path) -> bytes:
    """Check lengths and checksums of all chunks; return the EXIF data, or nothing.

    Format: https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    exif, kind = b"", b""
    with path.open("rb") as reader:
        reader.seek(len(PNG))
        while kind != b"IEND":
            length, kind = struct.unpack(">I4s", _read(reader, 8, path))
            content, checksum, left = b"", zlib.crc32(kind), length
            while left:
                part = _read(reader, min(left, 1 << 20), path)
                checksum, left = zlib.crc32(part, checksum), left - len(part)
                content = content + part if kind == b"eXIf" else b""
            if _read(reader, 4, path) != checksum.to_bytes(4):
                name = kind.decode("ascii", "replace")
                raise PipelineError(
                    f"{path} is damaged: its chunk {name!r} has a wrong checksum; copy or save it again"
                )
            exif = exif or content
    return exif


def _read(reader: BinaryIO, size: int, path: Path) -> bytes:
    """Read exactly `size` bytes; not by mmap, which ends the process if the file becomes unreadable meanwhile."""
    content = reader.read(size)
    if len(content) < size:
        raise _truncated(path)
    return content


def _truncated(path: Path) -> PipelineError:
    size = path.stat().st_size
    return PipelineError(f"{path} is truncated: it ends after {size} bytes; copy or download it again")


def _orientation(exif: bytes) -> int:
    """Return the orientation in EXIF data; 1 without one, or where it is unreadable."""
    tags = Image.Exif()
    with suppress(SyntaxError, struct.error), WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        tags.load(exif)
        value = tags.get(ORIENTATION)
        return value if isinstance(value, int) and 1 <= value <= 8 else 1
    return 1
