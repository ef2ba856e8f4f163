"""VRTs of small files, written by hand, and GDAL's reading of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import rasterio
from rasterio.windows import Window

from pipeline.formats.chips import Imagery
from pipeline.raster.geotiff import write_geotiff
from pipeline.scenes.scene import ReadOptions, Scene
from tests.world import at, hide

OPTIONS = ReadOptions(Imagery(("1", "2", "3")))
WKT = at().crs


@dataclass(frozen=True)
class Piece:
    """A rectangle of a file in a VRT: SrcRect (1, 2, width, height), DstRect (column, row, width, height)."""

    row: int
    column: int
    height: int
    width: int
    kind: Literal["simple", "nodata", "mask"] = "simple"
    seed: int = 0

    def values(self) -> np.ndarray:
        """Values of 1 to 255, (3, height, width) of the whole file, which is larger than the rectangle."""
        shape = (3, self.height + 3, self.width + 4)
        values_CHW = np.random.default_rng(self.seed).integers(1, 256, shape).astype(np.uint8)
        if self.kind != "mask":
            values_CHW[:, ~self.data()] = 0
        return values_CHW

    def data(self) -> np.ndarray:
        """Where the whole file has data, bool."""
        return np.random.default_rng(self.seed + 1).random((self.height + 3, self.width + 4)) > 0.4

    def write(self, path: Path) -> None:
        write_geotiff(path, self.values(), at(), **({"nodata": 0} if self.kind == "nodata" else {}))
        if self.kind == "mask":
            hide(path, self.data())


def source(piece: Piece, file: str, band: int, extra: str = "") -> str:
    """A source of a VRT's band."""
    tag = "SimpleSource" if piece.kind == "simple" else "ComplexSource"
    end = {"simple": "", "nodata": "<NODATA>0</NODATA>", "mask": "<UseMaskBand>true</UseMaskBand>"}[piece.kind]
    return (
        f'<{tag}><SourceFilename relativeToVRT="1">{file}</SourceFilename><SourceBand>{band}</SourceBand>'
        f'<SrcRect xOff="2" yOff="1" xSize="{piece.width}" ySize="{piece.height}"/>'
        f'<DstRect xOff="{piece.column}" yOff="{piece.row}" xSize="{piece.width}" ySize="{piece.height}"/>'
        f"{end}{extra}</{tag}>"
    )


def vrt(bands: Sequence[str], height: int = 10, width: int = 12, head: str = "") -> str:
    """A VRT with these contents of its bands, at (500000, 1000000) in UTM."""
    body = "".join(
        f'<VRTRasterBand dataType="Byte" band="{number}">{band}</VRTRasterBand>' for number, band in enumerate(bands, 1)
    )
    place = "<SRS>EPSG:32630</SRS><GeoTransform>500000, 10, 0, 1000000, 0, -10</GeoTransform>"
    return f'<VRTDataset rasterXSize="{width}" rasterYSize="{height}">{place}{head}{body}</VRTDataset>'


def write_pieces(folder: Path, pieces: Sequence[Piece], head: str = "<NoDataValue>0</NoDataValue>") -> Path:
    """Write the files and the VRT of them, in order."""
    for index, piece in enumerate(pieces):
        piece.write(folder / f"{index}.tif")
    bands = [
        head + "".join(source(piece, f"{index}.tif", band) for index, piece in enumerate(pieces)) for band in (1, 2, 3)
    ]
    path = folder / "mosaic.vrt"
    path.write_text(vrt(bands))
    return path


def paint(pieces: Sequence[Piece], height: int = 10, width: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Draw the pieces in order on a canvas with a margin for what extends beyond it."""
    margin = 20
    image_HWC = np.zeros((height + 2 * margin, width + 2 * margin, 3), np.uint8)
    valid_HW = np.zeros(image_HWC.shape[:2], bool)
    for piece in pieces:
        values_HWC = piece.values()[:, 1 : 1 + piece.height, 2 : 2 + piece.width].transpose(1, 2, 0)
        data_HW = piece.data()[1 : 1 + piece.height, 2 : 2 + piece.width]
        draw_HW = data_HW | (piece.kind == "simple")
        place = (
            slice(margin + piece.row, margin + piece.row + piece.height),
            slice(margin + piece.column, margin + piece.column + piece.width),
        )
        image_HWC[place][draw_HW] = values_HWC[draw_HW]
        valid_HW[place][draw_HW] = data_HW[draw_HW]
    inside = slice(margin, margin + height), slice(margin, margin + width)
    return image_HWC[inside], valid_HW[inside]


def read_all(scene: Scene) -> tuple[np.ndarray, np.ndarray]:
    return scene.read(Window(0, 0, scene.width, scene.height))


def read_with_gdal(path: Path | str, window: Window | None = None) -> tuple[np.ndarray, np.ndarray]:
    """Return image_HWC and valid_HW of the first three bands as GDAL's own drivers read them."""
    with rasterio.open(path) as dataset:
        return dataset.read([1, 2, 3], window=window).transpose(1, 2, 0), dataset.dataset_mask(window=window) > 0
