"""The typed way into params.yaml, and the only reader of it."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from pipeline.errors import PipelineError


class Params(BaseModel):
    """Values that cannot change, be misspelt or be of the wrong kind.

    Not strict: DVC writes 1e-05 for `-S train.lr=1e-5`, which PyYAML reads as a string;
    pydantic turns it into the float it is. NaN and infinity are never meant.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _rising(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] >= limits[1]:
        raise ValueError(f"{list(limits)} does not rise; the first value becomes black, the second, larger one white")
    return limits


Share = Annotated[float, Field(ge=0, le=1)]
BandNumber = Annotated[int, Field(ge=1)]
"""A band of a file, counted from 1."""
Stretch = Annotated[tuple[float, float], AfterValidator(_rising)]
"""The values that become black and white."""

PARAMS_FILE = Path("params.yaml")

M = TypeVar("M", bound=BaseModel)


def load_params(kind: type[M], path: Path = PARAMS_FILE) -> M:
    """Read the top-level keys of `path` that `kind` has fields for.

    Raises:
        PipelineError: no such file, no valid YAML, or a value that is not allowed; one line for all of it.
    """
    values = read_yaml(path)
    return validated(kind, {key: values[key] for key in kind.model_fields if key in values}, path)


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds.

    Raises:
        PipelineError: the file cannot be read, or holds something else.
    """
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist in {Path.cwd()}; run from the folder that holds it") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise PipelineError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None
    if not isinstance(values, dict):
        raise PipelineError(f"{path} holds {type(values).__name__}; expected keys with values")
    return values


def validated(kind: type[M], values: Any, path: Path) -> M:
    """`values` as a `kind`.

    Raises:
        PipelineError: naming `path`, each wrong key, what it is and what it may be.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        problems = dict.fromkeys(_problem(kind, details) for details in _innermost(error.errors()))
        raise PipelineError(f"{path}: {'; '.join(problems)}") from None


def _innermost(errors: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without those that only follow from another: a list is too short once a wrong member was taken out."""
    places = [details["loc"] for details in errors]
    inside = {place[:depth] for place in places for depth in range(len(place))}
    return [details for details in errors if details["loc"] not in inside]


def _key(details: ErrorDetails) -> str:
    """The key as a person wrote it: pydantic adds which alternative of a union it tried, such as `constrained-int`."""
    *sections, last = details["loc"] or ("it",)
    kept = [step for step in sections if _is_key(step)]
    return ".".join(map(str, [*kept, last] if details["type"] == "extra_forbidden" or _is_key(last) else kept))


def _is_key(step: int | str) -> bool:
    return isinstance(step, int) or re.fullmatch(r"\w+", step) is not None


def _problem(kind: type[BaseModel], details: ErrorDetails) -> str:
    """One wrong value in words."""
    key = _key(details)
    given = details["input"]
    match details["type"]:
        case "missing":
            return f"{key} is missing"
        case "extra_forbidden":
            return f"{key} is not a known key; known here: {', '.join(_known(kind, details['loc'][:-1]))}"
        case "literal_error":
            return f"{key} is {given!r}; allowed: {details['ctx']['expected']}"
        case "value_error":
            return f"{key}: {details['ctx']['error']}" if details["loc"] else str(details["ctx"]["error"])
    return f"{key} is {given!r}; {details['msg'][0].lower()}{details['msg'][1:]}"


def _known(kind: type[BaseModel], location: tuple[int | str, ...]) -> Iterator[str]:
    """The keys that the section at `location` may have."""
    for step in location:
        if not isinstance(step, int):  # the number of a member: the list's type is known already
            field = kind.model_fields.get(step)  # sections have the names of their keys
            kind = next(_models(field.annotation if field else None), BaseModel)
    return iter(field.alias or name for name, field in kind.model_fields.items())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """The model that a field is, or holds a list of."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
