"""Open PNG and JPEG files, each with the driver of its name only.

The structure of a file is checked here first, because GDAL reads truncated PNG files of up to 512 x 512 px without an
error, and CMYK without its colour profile. GDAL decodes both formats row by row, and reports damaged JPEG data, which
Pillow does not. But the pixels of a JPEG are Pillow's: rasterio's wheels contain IJG's libjpeg 9, whose colours of
chroma-subsampled files differ from those of libjpeg-turbo, which OpenCV and most programs use, by up to 104 of 255 in
an image of noise. Pillow decodes a JPEG at once, in 4 bytes per pixel, 1 if it is grey.
"""

import struct
import warnings
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import BinaryIO

import numpy as np
from PIL.JpegImagePlugin import JpegImageFile
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import WARNINGS_LOCK, quiet_gdal
from pipeline.raster.geotiff import JPEG, PNG, GeoTiff, open_geotiff, require_content
from pipeline.raster.layout import TIFF_ENDINGS
from pipeline.raster.remote import Location

DRIVERS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
"""File endings in lower case, and the GDAL driver that opens them."""
IMAGE_ENDINGS = (*TIFF_ENDINGS, *DRIVERS)
"""Those of all images, GeoTIFF included."""
FORMATS = {
    PNG: "PNG",
    JPEG: "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"RIFF": "WebP",
    b"\0\0\0\x0cjP": "JPEG 2000",
}
"""First bytes of formats that are found under the name of another."""
ENDINGS = {"PNG": ".png", "JPEG": ".jpg", "TIFF": ".tif"}
MAX_JPEG_PIXELS = 1 << 29
"""Largest JPEG: 2 GiB are decoded."""
ORIENTATION, SHORT = 0x0112, 3
"""EXIF tag, and its type: how the stored image is turned or mirrored for display, 1 to 8."""
EXIF_PREFIX = b"Exif\0\0"
START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
START_OF_SCAN, END_OF_IMAGE, APP1 = 0xDA, 0xD9, 0xE1
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
    require_content(path)
    driver = DRIVERS[path.suffix.lower()]
    with path.open("rb") as reader:
        _require_format(path, reader.read(12), driver)
        reader.seek(0)
        exif = _check_png(path, reader) if driver == "PNG" else _check_jpeg(path, reader)
    orientation = _orientation(exif)
    with ExitStack() as stack:
        stack.enter_context(quiet_gdal(**READ_OPTIONS))
        with _exif_errors(path, exif):
            file = stack.enter_context(open_geotiff(path, driver=driver))
        if orientation != 1 and file.georeference.is_known:
            raise PipelineError(
                f"{path} has a georeference, and EXIF orientation {orientation}, which would turn or mirror it against "
                "its position; remove the orientation (exiftool -Orientation= -n), or its world file"
            )
        try:
            yield Picture(file, orientation, stack.enter_context(_open_jpeg(path, file)) if driver == "JPEG" else None)
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


def _open_jpeg(path: Path, file: GeoTiff) -> JpegImageFile:
    """Open a JPEG with Pillow; not by its `open`, whose limit of pixels is of the whole process."""
    if file.height * file.width > MAX_JPEG_PIXELS:
        raise PipelineError(
            f"{path} has {file.width} x {file.height} px; at most {MAX_JPEG_PIXELS} of a JPEG are decoded: "
            "convert it to GeoTIFF: gdal_translate -co TILED=YES -co COMPRESS=JPEG -co PHOTOMETRIC=YCBCR"
        )
    with _pillow_errors(path), WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # of EXIF
        return JpegImageFile(path)


@contextmanager
def _pillow_errors(path: Location) -> Iterator[None]:
    """Re-raise errors of Pillow over a bad file."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error) as error:
        raise PipelineError(f"{path} cannot be read, the file is damaged: {error}") from None


def _require_format(path: Path, start: bytes, driver: str) -> None:
    actual = next((name for magic, name in FORMATS.items() if start.startswith(magic)), None)
    if actual == driver:
        return
    if actual is None:
        raise PipelineError(f"{path} is not a {driver} file: it begins with {start[:8].hex(' ')}; save it again")
    ending = ENDINGS.get(actual)
    advice = f"rename it to {path.stem}{ending}" if ending else "save it as PNG"
    raise PipelineError(f"{path} is a {actual} file, although its name ends in {path.suffix}; {advice}")


def _check_png(path: Path, reader: BinaryIO) -> bytes:
    """Check lengths and checksums of all chunks; return the EXIF data, or nothing.

    Format: https://www.w3.org/TR/png-3/#5Chunk-layout
    """
    exif = b""
    reader.seek(len(PNG))
    while True:
        head = reader.read(8)
        if len(head) < 8:
            raise _truncated(path)
        length, kind = struct.unpack(">I4s", head)
        content, checksum = b"", zlib.crc32(kind)
        left = length
        while left:
            part = reader.read(min(left, 1 << 20))
            if not part:
                raise _truncated(path)
            checksum, left = zlib.crc32(part, checksum), left - len(part)
            content = content + part if kind == b"eXIf" else b""
        expected = reader.read(4)
        if len(expected) < 4:
            raise _truncated(path)
        if expected != checksum.to_bytes(4, "big"):
            name = kind.decode("ascii", "replace")
            raise PipelineError(f"{path} is damaged: its chunk {name!r} has a wrong checksum; copy or save it again")
        exif = exif or content
        if kind == b"IEND":
            return exif


def _check_jpeg(path: Path, reader: BinaryIO) -> bytes:
    """Check the markers before the pixels; return the EXIF data, or nothing.

    Format: ITU-T T.81, annex B. What follows is checked as it is decoded.
    """
    exif = b""
    reader.seek(2)
    while True:
        prefix = reader.read(1)
        marker = reader.read(1)
        while marker == b"\xff":  # fill bytes
            marker = reader.read(1)
        length = reader.read(2)
        if prefix != b"\xff" and prefix:
            raise PipelineError(f"{path} is a damaged JPEG: no marker at byte {reader.tell() - 4}; save it again")
        if len(length) < 2 or marker[0] == END_OF_IMAGE:
            raise _truncated(path)
        size = max(int.from_bytes(length, "big") - 2, 0)
        content = reader.read(size)
        if len(content) < size:
            raise _truncated(path)
        if marker[0] == START_OF_SCAN:
            return exif
        if marker[0] == APP1 and content.startswith(EXIF_PREFIX):
            exif = exif or content
        if marker[0] in START_OF_FRAME and len(content) >= 6:
            _require_colours(path, bits=content[0], bands=content[5])


def _require_colours(path: Path, bits: int, bands: int) -> None:
    if bands == 4:
        raise PipelineError(
            f"{path} has four bands, CMYK or YCCK colours for print, whose conversion depends on a colour profile; "
            "convert it to RGB with the program that made it"
        )
    if bits != 8:
        raise PipelineError(f"{path} is a JPEG of {bits} bits; supported are 8: save it as PNG or GeoTIFF")


def _truncated(path: Path) -> PipelineError:
    size = path.stat().st_size
    return PipelineError(f"{path} is truncated: it ends after {size} bytes; copy or download it again")


def _orientation(exif: bytes) -> int:
    """Return the orientation in the first directory of EXIF data; 1 without one, or where it is unreadable.

    Format: TIFF 6.0, section 2.
    """
    tiff = exif.removeprefix(EXIF_PREFIX)
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return 1
    try:
        (start,) = struct.unpack_from(f"{order}I", tiff, 4)
        (count,) = struct.unpack_from(f"{order}H", tiff, start)
        for place in range(start + 2, start + 2 + 12 * count, 12):
            tag, kind, values, value = struct.unpack_from(f"{order}HHIH", tiff, place)
            if (tag, kind, values) == (ORIENTATION, SHORT, 1):
                return int(value) if value in range(1, 9) else 1
    except struct.error:  # it is cut off
        pass
    return 1
