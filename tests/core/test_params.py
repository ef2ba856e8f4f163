"""params.yaml: what it accepts, and one line with what is allowed for each bad value."""

import re
from pathlib import Path
from typing import Annotated, Literal

import pytest
import yaml
from pydantic import Field

from pipeline.core.errors import PipelineError
from pipeline.core.params import BandNumbers, Params, Share, Stretch, flow_yaml, load_params, read_yaml, validate


class Inner(Params):
    lr: float = Field(gt=0)
    kind: str = "plain"


class Member(Params):
    name: str
    width: int


class Outer(Params):
    inner: Inner
    share: Share = 0.5
    stretch: Stretch = (0.0, 1.0)
    bands: BandNumbers = (1, 2, 3)
    steps: Literal["auto"] | Annotated[int, Field(gt=0)] = "auto"
    limits: Literal["none"] | Stretch = "none"
    counts: dict[int, int] = {}
    side: int = Field(multiple_of=32, default=32)
    members: tuple[Member, ...] = Field(min_length=1, default=(Member(name="a", width=1),))


def load(tmp_path: Path, text: str) -> Outer:
    (tmp_path / "params.yaml").write_text(text, encoding="utf-8")
    return load_params(Outer, tmp_path / "params.yaml")


def refusal(tmp_path: Path, text: str) -> str:
    with pytest.raises(PipelineError) as error:
        load(tmp_path, text)
    return str(error.value).removeprefix(f"{tmp_path / 'params.yaml'}")


def test_keys_of_other_stages_are_ignored(tmp_path: Path) -> None:
    assert load(tmp_path, "inner: {lr: 0.1}\nother: {x: nonsense}\n").inner.lr == 0.1


def test_1e_05_as_dvc_writes_it_is_a_number(tmp_path: Path) -> None:
    assert load(tmp_path, "inner: {lr: 1e-05}\n").inner.lr == 0.00001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("other: 1", ": inner is missing"),
        ("iner: {lr: 1}", ": inner is missing"),
        ("inner: {lr: 0.1, knd: a}", ": inner.knd is not a known key; did you mean 'kind'? known here: lr, kind"),
        ("inner: {lr: 0}", ": inner.lr is 0; input should be greater than 0"),
        ("inner: {lr: .nan}", ": inner.lr is nan; input should be a finite number"),
        ("inner: {lr: .inf}", ": inner.lr is inf; input should be a finite number"),
        ("{inner: {lr: 1}, share: 1.5}", ": share is 1.5; input should be less than or equal to 1"),
        (
            "{inner: {lr: 1}, stretch: [5, 1]}",
            ": stretch: [5.0, 1.0]: need low < high; low becomes black, high becomes white",
        ),
        (
            "{inner: {lr: 1}, bands: [4, 2]}",
            ": bands: [4, 2]: need three or more bands, red, green and blue first; repeat one if need be",
        ),
        (
            "{inner: {lr: 1}, bands: [0, 2, 3]}",
            ": bands.0 is 0; input should be greater than or equal to 1",
        ),
        (
            "{inner: {lr: 1}, members: [{name: b, widht: 3}]}",
            ": members.0.width is missing; members.0.widht is not a known key; did you mean 'width'? known here: name",
        ),
        (
            "{inner: {lr: 1}, steps: atuo}",
            ": steps is 'atuo'; did you mean 'auto'? allowed: auto; else input should be a ",
        ),
        ("{inner: {lr: 1}, steps: 0}", ": steps is 0; allowed: auto; else input should be greater than 0"),
        ("{inner: {lr: 1}, limits: [5, 1]}", ": limits is [5, 1]; allowed: none; else [5.0, 1.0]: need low < high; "),
        ("{inner: {lr: 1}, limits: [a, 1]}", ": limits.0 is 'a'; input should be a valid number"),
        ("{inner: {lr: 1}, limits: wide}", ": limits is 'wide'; allowed: none; else input should be a valid list"),
        ("{inner: {lr: 1}, counts: {3: x}}", ": counts.3 is 'x'; input should be a valid integer"),
        ("{inner: {lr: 1}, side: 500}", ": side is 500; input should be a multiple of 32, such as 512"),
        ("{inner: 5}", ": inner is 5; input should be a valid dictionary"),
        ("inner:\n", ": inner is None; input should be a valid dictionary"),
        ("{inner: {lr: -1, kind: [a]}}", ": inner.lr is -1; input should be greater than 0; inner.kind is ['a']; "),
    ],
)
def test_an_invalid_value_is_reported_with_what_is_allowed(tmp_path: Path, text: str, message: str) -> None:
    refused = refusal(tmp_path, text)
    assert refused.startswith(message)
    assert "\n" not in refused
    assert not re.search(r"literal|constrained|function|tuple|instance", refused)


def test_invalid_yaml_is_reported_in_one_line(tmp_path: Path) -> None:
    refused = refusal(tmp_path, "inner: {lr: 0.1\nshare: [")
    assert refused.startswith(" is not valid YAML: ")
    assert "\n" not in refused


@pytest.mark.parametrize(("text", "kind"), [("", "NoneType"), ("- 1", "list"), ("hello", "str")])
def test_yaml_other_than_a_mapping_is_refused(tmp_path: Path, text: str, kind: str) -> None:
    assert refusal(tmp_path, text) == f" contains {kind}; expected a mapping of keys to values"


def test_a_file_that_is_not_utf_8_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"name: \xff\xfe")
    with pytest.raises(PipelineError, match=r"a.yaml is not in UTF-8; save it as UTF-8"):
        read_yaml(tmp_path / "a.yaml")


def test_a_missing_file_is_reported_with_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        PipelineError, match=rf"params.yaml does not exist in {re.escape(str(tmp_path))}; run from the folder that"
    ):
        load_params(Outer)


def test_values_of_the_wrong_shape_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"classes.yaml: it is \[1\]; input should be a valid dictionary"):
        validate(Outer, [1], Path("classes.yaml"))


@pytest.mark.parametrize("text", ["a: 1\na: 2\n", "remap: {5: 0, 5: 1}\n", "a: {b: {c: 1, c: 1}}\n"])
def test_a_duplicate_key_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(PipelineError, match=r"is not valid YAML: duplicate key \S+"):
        read_yaml(tmp_path / "params.yaml")


def test_pasted_yaml_is_read_back_as_it_was() -> None:
    for values in (["road", "yes", "3", "a, b: c", "ü" * 200], {"values": {"311": "no", "B": "ignore"}}):
        text = flow_yaml(values)
        assert "\n" not in text
        assert yaml.safe_load(text) == values
    assert flow_yaml({"order": ["road", "building"]}) == "{order: [road, building]}"
