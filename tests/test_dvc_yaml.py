"""dvc.yaml, params.yaml and the code agree: names, arguments, params, outputs, and the edges of the graph."""

import inspect
import re
import shlex
import subprocess
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, get_type_hints

import pytest
import yaml
from dvc.utils.hydra import apply_overrides

from pipeline.core.params import Params
from pipeline.formats.datasets import DATASETS, DatasetName
from tests.studies.world import DVC

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "dvc.yaml").read_text(encoding="utf-8")
GRAPH = yaml.safe_load(TEXT)
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
MARKER = "data/params.ok"
LAUNCHER = "env GLIBC_TUNABLES=glibc.malloc.hugetlb=1 $LAUNCHER "
UNSEEN = ("size", "nfiles")
"""Keys of params that DVC's run cache ignores."""
each_stage = pytest.mark.parametrize("name", GRAPH["stages"])

PREFIXES = {
    "marker": MARKER,
    "raw": "data/raw/",
    "clear": "data/clear/",
    "chips": "data/chips/",
    "failures": "metrics/failures/",
    "lists": "data/split/",
    "model": "data/model",
    "metrics": "metrics/",
    "cost_file": "metrics/cost.json",
    "summary": "metrics/summary.json",
    "units": "metrics/units.csv",
    "card": "plots/data/",
    "picture": "plots/data/",
    "plots": "plots/",
}
"""Parameter of a stage to the prefix of its path."""

PER_DATASET = {"${item.bands}": "bands.${key}"}
"""Placeholders in dvc.yaml for params that not all datasets have."""


def body(name: str) -> dict[str, Any]:
    return GRAPH["stages"][name].get("do", GRAPH["stages"][name])  # type: ignore[no-any-return]


def listed(name: str, key: str) -> list[str]:
    """Paths listed under a key, without their options."""
    return [entry if isinstance(entry, str) else next(iter(entry)) for entry in body(name).get(key, [])]


def function(name: str) -> Callable[..., str]:
    return getattr(import_module(f"pipeline.{name}"), name)  # type: ignore[no-any-return]


def parameters(name: str) -> dict[str, Any]:
    return {key: hint for key, hint in get_type_hints(function(name)).items() if key not in ("params", "return")}


def params_class(name: str) -> type[Params]:
    return get_type_hints(function(name))["params"]  # type: ignore[no-any-return]


def command(name: str) -> list[str]:
    return shlex.split(body(name)["cmd"].removeprefix(LAUNCHER))


def arguments(name: str) -> dict[str, str]:
    """Parameter of a stage to its argument in the command."""
    return dict(zip(parameters(name), command(name)[3:], strict=True))


def one_entry_per_dataset(key: str) -> bool:
    return isinstance(PARAMS[key], dict) and PARAMS[key].keys() <= set(DATASETS)


def output_of(*command: str) -> str:
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout


@each_stage
def test_module_function_params_class_and_section_are_named_after_the_stage(name: str) -> None:
    assert command(name)[:3] == ["python", "-m", f"pipeline.{name}"]
    assert function(name).__module__ == f"pipeline.{name}"
    assert params_class(name).__name__ == "".join(map(str.title, name.split("_"))) + "Params"
    assert name in PARAMS or name == "check"


@each_stage
def test_a_command_has_an_argument_for_each_parameter(name: str) -> None:
    assert list(inspect.signature(function(name)).parameters) == [*parameters(name), "params"]
    assert len(command(name)[3:]) == len(parameters(name))
    assert (LAUNCHER in body(name)["cmd"]) == (name == "train")  # training may run on several machines


@each_stage
def test_each_argument_fits_its_parameter(name: str) -> None:
    for parameter, given in arguments(name).items():
        if parameters(name)[parameter] == DatasetName:
            assert given == "${key}", parameter
        else:
            assert parameters(name)[parameter] is Path, parameter
            assert given.startswith(PREFIXES[parameter]), parameter


@each_stage
def test_a_command_lists_data_deps_first_then_outputs(name: str) -> None:
    paths = [given for parameter, given in arguments(name).items() if parameters(name)[parameter] is Path]
    reads = {
        dep for dep in listed(name, "deps") if not dep.startswith("pipeline") and dep not in (MARKER, "${item.path}")
    }
    assert set(paths[: len(reads)]) == reads
    assert sorted(paths[len(reads) :]) == sorted(listed(name, "outs") + listed(name, "metrics"))


@each_stage
def test_the_params_of_a_stage_are_the_fields_of_its_class(name: str) -> None:
    fields = params_class(name).model_fields
    if name == "check":
        assert body(name)["params"] == [{"params.yaml": None}]  # the whole file
        assert fields.keys() == PARAMS.keys()
    else:
        foreach = "foreach" in GRAPH["stages"][name]
        given = [PER_DATASET.get(param, param) for param in body(name)["params"]] if name == "download" else None
        expected = [f"{key}.${{key}}" if foreach and one_entry_per_dataset(key) else key for key in fields]
        listed_params = [param for param in given or body(name)["params"] if param.split(".")[-1] not in UNSEEN]
        assert sorted(listed_params) == sorted(expected)


def test_every_key_of_params_yaml_is_read() -> None:
    read = {key for name in GRAPH["stages"] if name != "check" for key in params_class(name).model_fields}
    assert set(PARAMS) - read == set()
    assert "${dataset}" in body("train")["cmd"]
    assert "${dataset}" in body("evaluate")["cmd"]


def unseen(value: Any, key: str = "") -> list[str]:
    """Dotted keys within a value that DVC's run cache ignores."""
    if not isinstance(value, dict):
        return []
    keys = [f"{key}.{name}".lstrip(".") for name in value]
    below = zip(keys, value, value.values(), strict=True)
    return [each for path, name, inner in below for each in ([path] if name in UNSEEN else unseen(inner, path))]


@each_stage
def test_params_that_the_run_cache_ignores_are_listed_separately(name: str) -> None:
    entries = body(name)["outs"] + body(name).get("metrics", [])
    if all(isinstance(entry, str) for entry in entries):  # only these stages use the run cache
        read = [key for key in unseen(PARAMS) if key.split(".")[0] in params_class(name).model_fields]
        assert set(read) <= set(body(name)["params"])


def test_dvc_keeps_chips_of_two_sizes_apart_in_its_run_cache(tmp_path: Path) -> None:
    (tmp_path / "code").touch()
    tile = {"cmd": "cp params.yaml chips", "deps": ["code"], "params": body("tile")["params"], "outs": ["chips"]}
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"tile": tile}}), encoding="utf-8")
    subprocess.run([*DVC, "init", "--quiet", "--no-scm"], cwd=tmp_path, check=True)
    for size in (512, 256, 512):
        params = {"on_error": "stop", "tile": {"size": size}}
        (tmp_path / "params.yaml").write_text(yaml.safe_dump(params), encoding="utf-8")
        ended = subprocess.run([*DVC, "repro"], cwd=tmp_path, check=True, capture_output=True, text=True)
        assert yaml.safe_load((tmp_path / "chips").read_text(encoding="utf-8")) == params
    assert "is cached" in ended.stdout


def test_the_folders_for_local_sources_are_in_git() -> None:  # DVC refuses a dep that does not exist
    assert output_of("git", "ls-files", "data/local").split() == [
        "data/local/ghana/.gitkeep",
        "data/local/landcoverai/.gitkeep",
        "data/local/landcovernet/.gitkeep",
    ]


@each_stage
def test_metrics_are_in_git_and_other_outputs_in_the_cache(name: str) -> None:
    assert body(name).get("metrics", []) == [{path: {"cache": False}} for path in listed(name, "metrics")]
    for out in body(name)["outs"]:  # without options: cached, and removed before the stage runs
        path = out if isinstance(out, str) else next(iter(out))
        in_git = path == MARKER or re.match("metrics/(?!failures/)", path) or path.endswith(".md")
        assert out == ({path: {"cache": False}} if in_git else path)
    assert "plots" not in body(name)


def test_an_experiment_changes_only_its_own_line_of_params_yaml(tmp_path: Path) -> None:
    """DVC writes lists as blocks, without comments after them, and breaks long lines."""
    before = (ROOT / "params.yaml").read_text(encoding="utf-8")
    path = tmp_path / "params.yaml"
    path.write_text(before, encoding="utf-8")
    apply_overrides(path, ["loss=dice"])
    assert path.read_text(encoding="utf-8") == before.replace("\nloss: focal ", "\nloss: dice  ", 1)


def test_dvc_loads_the_graph_with_these_edges() -> None:
    dataset = PARAMS["dataset"]
    chips = {"landcoverai": "tile", "landcovernet": "tif_to_png@landcovernet", "ghana": "tif_to_png@ghana"}
    expected = {("check", f"download@{each}") for each in DATASETS} | {("check", "train")}
    expected |= {("download@landcoverai", "tile"), *((chips[each], f"split@{each}") for each in DATASETS)}
    for each in ("landcovernet", "ghana"):
        expected |= {(f"download@{each}", f"{stage}@{each}") for stage in ("cloud_filter", "tif_to_png")}
        expected.add((f"cloud_filter@{each}", f"tif_to_png@{each}"))
    for stage in ("train", "evaluate"):
        expected |= {(chips[dataset], stage), (f"split@{dataset}", stage)}
    expected.add(("train", "evaluate"))
    dot = output_of(*DVC, "dag", "--dot")
    assert set(re.findall(r'"(.+?)" -> "(.+?)"', dot)) == expected
