"""A reproducible pipeline from land-cover archives to a scored segmentation model."""

import sys

if sys.argv[:1] == ["-m"]:  # only while `python -m pipeline.NAME` imports the package
    from pipeline.core.interrupt import exit_on_sigint

    exit_on_sigint()
