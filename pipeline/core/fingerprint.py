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
    return _digest_of({name: Path(file) for name, file in loaded.items() if file})


def code_of(modules: Iterable[str]) -> str:
    """Digest of the source of modules that are named relative to the package, such as `learning.task`."""
    root = Path(__file__).parents[1]
    return _digest_of({name: root.joinpath(*name.split(".")).with_suffix(".py") for name in modules})


def _digest_of(files: dict[str, Path]) -> str:
    return digest({name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()})


def versions(distributions: Iterable[str] = IMAGING) -> dict[str, str]:
    """From distribution to the version installed."""
    return {name: version(name) for name in distributions}
