"""Overrides as arguments of DVC."""

import re
from typing import Any

import yaml

from pipeline.core.errors import PipelineError
from pipeline.studies.study import Overrides


def override_texts(overrides: Overrides) -> list[str]:
    """Return overrides as DVC's `-S` takes them."""
    return [f"{key}={hydra(value)}" for key, value in overrides.items()]


def hydra(value: Any) -> str:
    """Return a value in the grammar of Hydra's overrides, which DVC's `-S` has.

    Raises:
        PipelineError: it is null, or of another type than the values of params.yaml.
    """
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return "'" + re.sub(r"(\\*)(?='|$)", r"\1\1", value).replace("'", "\\'") + "'"
        case list():
            return f"[{','.join(map(hydra, value))}]"
        case dict():
            return "{" + ",".join(f"{key}:{hydra(inner)}" for key, inner in value.items()) + "}"
    raise PipelineError(
        f"{yaml.safe_dump(value).split(chr(10))[0]} is no value of a parameter; write none for nothing, "
        "and dates in quotes"
    )
