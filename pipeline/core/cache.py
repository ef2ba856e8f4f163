"""Where things lie that must outlive a stage's outputs, which DVC removes before it runs the stage."""

import os
from pathlib import Path


def cache_folder() -> Path:
    """The folder `PIPELINE_CACHE`; without it `.pipeline_cache` in the project.

    DVC names the project in `DVC_ROOT`, also where it runs a stage in a copy (`--temp`, `--queue`), so that copies
    share downloads. A relative `PIPELINE_CACHE` counts from there too.
    """
    return Path(os.environ.get("DVC_ROOT", ""), os.environ.get("PIPELINE_CACHE") or ".pipeline_cache")
