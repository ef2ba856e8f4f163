"""The typed way into params.yaml, and the only reader of it."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from pipeline.core.choices import refusal, unknown_key
from pipeline.core.errors import PipelineError


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

RENAMED_KEYS = {"split.thin": "split.subsample", "evaluate.pictures": "evaluate.examples"}
"""Keys of earlier versions, refused with their new names."""

M = TypeVar("M", bound=BaseModel)


class _OneValueAKey(yaml.SafeLoader):
    """Refuses a key that occurs twice, of which YAML's reader would silently take the last."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if twice := [key for key, count in Counter(map(repr, keys)).items() if count > 1]:
            raise yaml.YAMLError(f"the key {twice[0]} occurs twice{node.start_mark}")
        return super().construct_mapping(node, deep)


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
        values = yaml.load(path.read_text(encoding="utf-8"), _OneValueAKey)  # a SafeLoader
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
        raise PipelineError(f"{path}: {'; '.join(_problems(kind, values, error.errors()))}") from None


Place = tuple[int | str, ...]
"""A key by its steps: `("members", 0, "name")`."""


def _problems(kind: type[BaseModel], values: Any, errors: list[ErrorDetails]) -> Iterator[str]:
    """Each wrong value in words, once, whatever pydantic tried in turn to make of it."""
    places: dict[Place, list[ErrorDetails]] = {}
    for details in errors:
        places.setdefault(_place(values, details), []).append(details)
    # a list is too short, and no alternative of a union fits, only because one of their members is wrong
    outer = {place[:depth] for place in places for depth in range(len(place))}
    renamed = {RENAMED_KEYS.get(_dotted(place)) for place in places}
    for place, tried in places.items():
        missing_under_new_name = tried[0]["type"] == "missing" and _dotted(place) in renamed
        if place not in outer and not missing_under_new_name:
            yield _problem(kind, place, tried)


def _place(values: Any, details: ErrorDetails) -> Place:
    """The steps that a person wrote: pydantic adds which alternative of a union it tried, such as `int`."""
    kept: list[int | str] = []
    for step in details["loc"]:
        inside = range(len(values)) if isinstance(values, list) else values if isinstance(values, dict) else ()
        if step in inside:
            kept.append(step)
            values = values[step]
    return (*kept, details["loc"][-1]) if details["type"] == "missing" else tuple(kept)


def _dotted(place: Place) -> str:
    return ".".join(map(str, place))


def _problem(kind: type[BaseModel], place: Place, tried: list[ErrorDetails]) -> str:
    """One wrong value in words: what it is, and what each of the alternatives wants of it."""
    key, given = _dotted(place) or "it", tried[0]["input"]
    types = [details["type"] for details in tried]
    if types == ["missing"]:
        return f"{key} is missing"
    if types == ["extra_forbidden"]:
        if key in RENAMED_KEYS:
            return f"{key} was renamed to {RENAMED_KEYS[key]}"
        return unknown_key(key, _known(kind, place[:-1]))
    if types == ["value_error"]:
        return f"{key}: {_wish(tried[0])}" if place else _wish(tried[0])
    names = [name for details in tried for name in re.findall(r"'(.*?)'", details.get("ctx", {}).get("expected", ""))]
    wishes = " or ".join(dict.fromkeys(_wish(details) for details in tried if details["type"] != "literal_error"))
    if names:
        return refusal(key, given, names, f"; else {wishes}" if wishes else "")
    return f"{key} is {given!r}; {wishes}"


def _wish(details: ErrorDetails) -> str:
    """What one alternative wants, in plain words."""
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    words = f"{details['msg'][0].lower()}{details['msg'][1:]}".replace("valid tuple", "valid list")
    words = re.sub(r" or instance of \w+", "", words)
    if details["type"] == "multiple_of":
        step = details["ctx"]["multiple_of"]
        words += f", such as {max(1, round(details['input'] / step)) * step}"
    return words


def _known(kind: type[BaseModel], location: Place) -> Iterator[str]:
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
