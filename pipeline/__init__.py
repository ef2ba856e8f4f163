"""A reproducible pipeline from land-cover archives to a scored segmentation model."""

import sys

if sys.argv[:1] == ["-m"]:  # this is imported first by `python -m pipeline.NAME`, and by nothing else in that way
    from pipeline.core.interrupt import end_at_once

    end_at_once()
