"""Typed access to params.yaml, and validation of any YAML or JSON a user may write.

pydantic validates; its messages are rewritten. Its own, joined to one line, do not contain the given value and suggest
no name, and a union has one for each alternative, at a path that is not in the file: three mistakes gave six, one of
them at `train.augment.tuple[literal['scale','colour','blur'], ...]`.
"""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from pipeline.core.choices import invalid_choice, unknown_key
from pipeline.core.errors import PipelineError


class Params(BaseModel):
    """Base of all params sections: frozen, unknown keys are errors, no NaN or infinity.

    Not strict: DVC writes 1e-05 for `-S train.lr=1e-5`, which PyYAML reads as a string and pydantic converts.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _require_ascending(limits: tuple[float, float]) -> tuple[float, float]:
    if limits[0] >= limits[1]:
        raise ValueError(f"{list(limits)}: need low < high; low becomes black, high becomes white")
    return limits


def require_three_bands(bands: tuple[Any, ...]) -> tuple[Any, ...]:
    """Check that there are three or more bands; duplicates are allowed.

    Raises:
        ValueError: there are fewer.
    """
    if len(bands) < 3:
        raise ValueError(f"{list(bands)}: need three or more bands, red, green and blue first; repeat one if need be")
    return bands


Share = Annotated[float, Field(ge=0, le=1)]
BandNumber = Annotated[int, Field(ge=1)]
"""Index of a band in a file, from 1."""
BandNumbers = Annotated[tuple[BandNumber, ...], AfterValidator(require_three_bands)]
"""Three or more bands: red, green, blue, and any others."""
Stretch = Annotated[tuple[float, float], AfterValidator(_require_ascending)]
"""The values rendered black and white."""

PARAMS_FILE = Path("params.yaml")

M = TypeVar("M", bound=BaseModel)


class _UniqueKeyLoader(yaml.SafeLoader):
    """Reject duplicate keys; PyYAML would silently use the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        if duplicates := [key for key, count in Counter(map(repr, keys)).items() if count > 1]:
            raise yaml.YAMLError(f"duplicate key {duplicates[0]}{node.start_mark}")
        return super().construct_mapping(node, deep)


def load_params(kind: type[M], path: Path = PARAMS_FILE) -> M:
    """Read the top-level keys of `path` that are fields of `kind`.

    Raises:
        PipelineError: the file does not exist, is not valid YAML, or has invalid values, all named in one line.
    """
    values = read_yaml(path)
    return validate(kind, {key: values[key] for key in kind.model_fields if key in values}, path)


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a YAML file whose top level is a mapping.

    Raises:
        PipelineError: the file cannot be read, or its top level is not a mapping.
    """
    values = parse_yaml(path)
    if not isinstance(values, dict):
        raise PipelineError(f"{path} contains {type(values).__name__}; expected a mapping of keys to values")
    return values


def parse_yaml(path: Path) -> Any:
    """Read a YAML file of any structure.

    Raises:
        PipelineError: the file cannot be read.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _UniqueKeyLoader)  # a SafeLoader
    except FileNotFoundError:
        raise PipelineError(f"{path} does not exist in {Path.cwd()}; run from the folder that contains it") from None
    except UnicodeDecodeError:
        raise PipelineError(f"{path} is not in UTF-8; save it as UTF-8") from None
    except yaml.YAMLError as error:
        raise PipelineError(f"{path} is not valid YAML: {' '.join(str(error).split())}") from None


def flow_yaml(values: list[Any] | dict[Any, Any]) -> str:
    """Return YAML on one line, to be pasted: names such as `yes` or `3` are in quotes."""
    return yaml.safe_dump(values, default_flow_style=True, allow_unicode=True, sort_keys=False, width=2**31).strip()


def validate(kind: type[M], values: Any, path: Path) -> M:
    """Validate `values` as a `kind`.

    Raises:
        PipelineError: naming `path` and each invalid key with its value and what is allowed.
    """
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise PipelineError(f"{path}: {'; '.join(_describe_errors(kind, values, error.errors()))}") from None


def first_error(error: ValidationError) -> str:
    """Describe the first error in a file that a program wrote, where nobody needs a suggestion."""
    first = error.errors(include_url=False, include_input=False)[0]
    key = ".".join(map(str, first["loc"]))
    return f"{key} is missing" if first["type"] == "missing" else f"{key}: {first['msg']}".removeprefix(": ")


KeyPath = tuple[int | str, ...]
"""A nested key: `("members", 0, "name")`."""


def _describe_errors(kind: type[BaseModel], values: Any, errors: list[ErrorDetails]) -> Iterator[str]:
    """Describe each invalid value once; pydantic reports one error per alternative of a union."""
    by_path: dict[KeyPath, list[ErrorDetails]] = {}
    for details in errors:
        by_path.setdefault(_key_path(values, details), []).append(details)
    # an invalid member also makes its list too short and its union fail: report the member only
    parents = {path[:depth] for path in by_path for depth in range(len(path))}
    for path, alternatives in by_path.items():
        if path not in parents:
            yield _describe_error(kind, path, alternatives)


def _key_path(values: Any, details: ErrorDetails) -> KeyPath:
    """Return the path as written in the file, without the steps that pydantic adds for a union."""
    path: list[int | str] = []
    for step in details["loc"]:
        children = range(len(values)) if isinstance(values, list) else values if isinstance(values, dict) else ()
        if step in children:
            path.append(step)
            values = values[step]
    return (*path, details["loc"][-1]) if details["type"] == "missing" else tuple(path)


def _dotted(path: KeyPath) -> str:
    return ".".join(map(str, path))


def _describe_error(kind: type[BaseModel], path: KeyPath, alternatives: list[ErrorDetails]) -> str:
    """Describe one invalid value and what each alternative of its type expects."""
    key, given = _dotted(path) or "it", alternatives[0]["input"]
    types = [details["type"] for details in alternatives]
    if types == ["missing"]:
        return f"{key} is missing"
    if types == ["extra_forbidden"]:
        return unknown_key(key, _known_keys(kind, path[:-1]))
    if types == ["value_error"]:
        return f"{key}: {_expectation(alternatives[0])}" if path else _expectation(alternatives[0])
    expected = (details.get("ctx", {}).get("expected", "") for details in alternatives)
    choices = [choice for text in expected for choice in re.findall(r"'(.*?)'", text)]
    others = (_expectation(details) for details in alternatives if details["type"] != "literal_error")
    expectations = " or ".join(dict.fromkeys(others))
    if choices:
        return invalid_choice(key, given, choices, f"; else {expectations}" if expectations else "")
    return f"{key} is {given!r}; {expectations}"


def _expectation(details: ErrorDetails) -> str:
    """Return pydantic's message without Python's terms."""
    if details["type"] == "value_error":
        return str(details["ctx"]["error"])
    message = f"{details['msg'][0].lower()}{details['msg'][1:]}".replace("valid tuple", "valid list")
    message = re.sub(r" or instance of \w+", "", message)
    if details["type"] == "multiple_of":
        step = details["ctx"]["multiple_of"]
        message += f", such as {max(1, round(details['input'] / step)) * step}"
    return message


def _known_keys(kind: type[BaseModel], path: KeyPath) -> Iterator[str]:
    """Return the keys allowed in the section at `path`."""
    for step in path:
        if not isinstance(step, int):  # an index: `kind` is already the type of the list's members
            field = kind.model_fields.get(step)  # a section's field has the name of its key
            kind = next(_models(field.annotation if field else None), BaseModel)
    return iter(field.alias or name for name, field in kind.model_fields.items())


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    """Yield the model classes within a type annotation."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models(inner)
