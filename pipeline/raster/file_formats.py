"""What a file is by its first bytes, whatever its name says."""

from pathlib import Path

from pipeline.core.errors import PipelineError

PNG = b"\x89PNG\r\n\x1a\n"
FORMATS = {
    PNG: "PNG",
    b"\xff\xd8\xff": "JPEG",
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


def require_content(path: Path) -> None:
    """Check that a file exists and is not empty.

    Raises:
        PipelineError: it does not exist, or is empty.
    """
    if not path.is_file():
        raise PipelineError(f"{path} does not exist")
    if not path.stat().st_size:
        raise PipelineError(f"{path} is empty (0 bytes); copy or download it again")


def require_format(path: Path, format_: str) -> None:
    """Check that a file has content, and that its first bytes are not those of another format.

    Args:
        path: the file.
        format_: `TIFF`, which GDAL checks further, `PNG` or `JPEG`.

    Raises:
        PipelineError: it does not exist, is empty, or has another format.
    """
    require_content(path)
    with path.open("rb") as reader:
        start = reader.read(12)
    actual = next((name for magic, name in FORMATS.items() if start.startswith(magic)), None)
    if actual == format_ or (actual, format_) == (None, "TIFF"):
        return
    if actual is None:
        raise PipelineError(f"{path} is not a {format_} file: it begins with {start[:8].hex(' ')}; save it again")
    ending = ENDINGS.get(actual)
    if path.suffix.lower().replace(".jpeg", ".jpg") == ending:
        raise PipelineError(f"{path} is a {actual} file; {format_} is needed here: gdal_translate converts it")
    advice = f"rename it to {path.stem}{ending}" if ending else "save it as PNG"
    raise PipelineError(f"{path} is a {actual} file, although its name ends in {path.suffix}; {advice}")
