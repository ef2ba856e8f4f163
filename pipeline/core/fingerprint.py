"""Digests of everything a result depends on: equal digests mean equal bytes."""

import hashlib
import json
import sys
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Any

IMAGING = ("isal", "numpy", "opencv-python-headless", "pillow", "rasterio")
"""Distributions whose version affects the bytes of a chip."""


def digest(*parts: Any) -> str:
    """Return 32 hex digits for JSON values; other values, such as paths, count as their text."""
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def loaded_code_digest() -> str:
    """Digest the source of the project's modules loaded in this process: the stage and all that it imports."""
    loaded = {name: module.__file__ for name, module in sys.modules.items() if name.partition(".")[0] == "pipeline"}
    main = getattr(sys.modules["__main__"], "__spec__", None)  # the stage itself, under `python -m`
    if main is not None and main.name.startswith("pipeline."):
        loaded[main.name] = main.origin
    return _digest_files({name: Path(file) for name, file in loaded.items() if file})


def source_digest(modules: Iterable[str]) -> str:
    """Digest the source of modules given relative to the package, such as `learning.task`."""
    root = Path(__file__).parents[1]
    return _digest_files({name: root.joinpath(*name.split(".")).with_suffix(".py") for name in modules})


def _digest_files(files: dict[str, Path]) -> str:
    return digest({name: hashlib.sha256(file.read_bytes()).hexdigest() for name, file in files.items()})


def versions(distributions: Iterable[str] = IMAGING) -> dict[str, str]:
    """Map each distribution to its installed version."""
    return {name: version(name) for name in distributions}
