"""What a result depends on, as one short text: two runs with the same fingerprint make the same bytes."""

import hashlib
import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

IMAGING = ("numpy", "opencv-python-headless", "pillow", "rasterio")
"""The distributions whose versions decide the bytes of a chip."""


def digest(*parts: Any) -> str:
    """32 hex digits for values that JSON can hold; others, such as paths, count as their text."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def code_digest() -> str:
    """Of the project's modules that this process has loaded: the stage and all that it imports."""
    loaded = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "pipeline"}
    main = getattr(sys.modules["__main__"], "__spec__", None)  # the stage itself, under `python -m`
    if main is not None and main.name.startswith("pipeline."):
        loaded[main.name] = main.origin
    files = {name: Path(file).read_bytes() for name, file in loaded.items() if file}
    return digest({name: hashlib.sha256(text).hexdigest() for name, text in files.items()})


def versions(distributions: Iterable[str] = IMAGING) -> dict[str, str]:
    """From distribution to the version installed."""
    return {name: version(name) for name in distributions}
