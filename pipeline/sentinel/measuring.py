"""Measure dates, on any machine that shares the raw folder and the cache."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.core.stage_cache import CachedTask
from pipeline.raster.gdal import quiet_gdal
from pipeline.raster.layout import SourceItem
from pipeline.raster.sidecars import with_sidecars
from pipeline.sentinel.date_selection import DateSelection, measure
from pipeline.sentinel.items import ReadOptions


@dataclass(frozen=True)
class MeasureTask(CachedTask):
    """Measure a date, or reuse what an earlier run measured."""

    options: ReadOptions

    def file(self, item: SourceItem) -> str:
        """Return the item's folder in the raw folder."""
        return str(item.folder.relative_to(self.raw))

    def __call__(self, item: SourceItem) -> DateSelection:
        """Measure a date.

        Raises:
            PipelineError: a file is missing or cannot be read.
        """

        def build(_: Path) -> dict[str, Any]:
            with quiet_gdal():  # once for all files
                return asdict(measure(item, self.options, self.options.has_bands(item)))

        return DateSelection(**self.cache.get(item.id, with_sidecars(item.files), build)[1])
