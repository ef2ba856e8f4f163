"""The cache folder, for files that must outlive a stage's outputs: DVC removes those before it runs the stage."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """Return `PIPELINE_CACHE`, by default `.pipeline_cache` in the project.

    Relative paths start at `DVC_ROOT`, which DVC sets to the project even where it runs a stage in a copy
    (`--temp`, `--queue`), so copies share downloads.
    """
    return Path(os.environ.get("DVC_ROOT", ""), os.environ.get("PIPELINE_CACHE") or ".pipeline_cache")
