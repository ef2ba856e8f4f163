"""What may import what, which code a stage depends on, and that every module has its test file."""

import ast
import json
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PIPELINE = ROOT / "pipeline"
MODULES = sorted(PIPELINE.rglob("*.py"))
STAGES = ("check", "download", "cloud_filter", "tif_to_png", "tile", "split", "train", "evaluate")
COMMANDS = ("classes", "compare", "predict", "vectors", "export", "sweep", "row", "report")
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

LEARNING = "torch torchvision torchmetrics lightning segmentation_models_pytorch timm safetensors dvclive matplotlib"
RASTER = "rasterio PIL cv2 osgeo"
NETWORK = (
    "requests urllib.request urllib3 http httpx aiohttp socket ssl ftplib radiant_mlhub boto3 botocore s3fs fsspec"
)
DASK = "dask distributed"
ALLOWED = {
    LEARNING: "learning evaluation inference publishing check.py train.py evaluate.py predict.py export.py",
    RASTER: "formats raster sentinel orthophoto splitting shapes importing scenes polygons inference studies",
    NETWORK: "sources learning/weights.py",
    DASK: "core/cluster.py",
}
"""Libraries, and the only paths under pipeline/ that may import them. Own folders: see the diagram in
docs/development.md, which tests/test_docs.py compares with the code."""

NOT_MIRRORED = ("core/errors.py", "sources/base.py")
"""Modules without code: exceptions, Protocols and records."""


def within_pipeline(path: Path) -> str:
    return path.relative_to(PIPELINE).as_posix()


@cache
def imported(path: Path) -> set[str]:
    """Dotted names of all modules that are imported, in functions too; `from a import b` counts as a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def own_imports(path: Path) -> set[tuple[str, ...]]:
    """Imports of the package: `pipeline.formats.png.save_chip` as (formats, png, save_chip)."""
    names = (name.split(".") for name in imported(path))
    return {tuple(name[1:]) for name in names if name[0] == "pipeline" and len(name) > 1}


def test_only_check_imports_stages_and_only_their_params() -> None:
    of_stages = {
        within_pipeline(path): {name for name in own_imports(path) if name[0] in {*STAGES, *COMMANDS}}
        for path in MODULES
    }
    others = set(STAGES) - {"check"}
    params = {(name, "".join(map(str.title, name.split("_"))) + "Params") for name in others}
    assert {module: names for module, names in of_stages.items() if names} == {
        "check.py": params | {(name,) for name in others},
        "sweep.py": {("check",), ("check", "validate_params")},  # checks the params of every run before the first
    }


@pytest.mark.parametrize("libraries", ALLOWED)
def test_libraries_are_imported_only_where_allowed(libraries: str) -> None:
    for path in MODULES:
        names = imported(path) | {
            name.split(".")[0] for name in imported(path)
        }  # urllib.parse reaches no network, urllib.request does
        within = within_pipeline(path)
        if not {within, within.split("/")[0]} & set(ALLOWED[libraries].split()):
            assert names.isdisjoint(libraries.split()), path


def closure(module: Path) -> set[Path]:
    """Files of a module and of all modules it imports, directly or indirectly, except pipeline/__init__.py."""
    visited, todo = set(), [module]
    while todo:
        path = todo.pop()
        visited.add(path)
        for name in own_imports(path):
            for candidate in (PIPELINE.joinpath(*name[:end]) for end in range(1, len(name) + 1)):
                files = {candidate.with_suffix(".py"), candidate / "__init__.py"}
                todo += [file for file in files - visited if file.is_file()]
    return visited


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_it_imports_and_on_no_other(stage: str) -> None:
    declared = [dep for dep in GRAPH[stage].get("do", GRAPH[stage])["deps"] if dep.startswith("pipeline")]
    imported = {f"pipeline/{within_pipeline(path)}" for path in closure(PIPELINE / f"{stage}.py")}
    needed = {file if file.count("/") == 1 else file.rsplit("/", 1)[0].replace("/sample", "") for file in imported}
    assert declared == ["pipeline"] if stage == "check" else set(declared) == needed


def test_data_stages_start_without_what_takes_long_to_import() -> None:
    script = """if True:
        import json, sys
        loaded = {}
        for name in sys.argv[2:]:
            __import__("pipeline." + name)
            loaded[name] = sorted(set(sys.argv[1].split()) & sys.modules.keys())
        print(json.dumps(loaded))
    """
    heavy = "torch lightning matplotlib pipeline.learning dask distributed pandas scipy pyogrio s3fs radiant_mlhub dvc"
    *first, split = STAGES[1:6]  # the last needs two of these
    command = [sys.executable, "-W", "ignore", "-c", script, heavy, *first, split]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {name: [] for name in first} | {split: ["pandas", "scipy"]}


def test_every_module_and_tool_has_a_test_file_that_mirrors_it() -> None:
    mirrored = {within_pipeline(path) for path in MODULES if path.stem != "__init__"} - set(NOT_MIRRORED)
    mirrored |= {f"tools/{path.stem}.py" for path in (ROOT / "tools").iterdir() if path.suffix in (".py", ".sh")}
    paths = {name: ROOT / "tests" / name for name in mirrored}
    missing = [name for name, path in paths.items() if not path.with_name(f"test_{path.name}").is_file()]
    assert sorted(missing) == []


def test_only_a_fixture_refers_to_the_real_data() -> None:
    names = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split("\n")
    files = [name for name in names if name.endswith((".py", ".sh", ".md", ".yaml", "Makefile", ".ci/run"))]
    path_into = re.compile(r"""(\.\.|work|parents\[\d\])"?\s?/\s?"?shared|["']shared["'/]""")
    texts = {name: (ROOT / name).read_text(encoding="utf-8") for name in files if (ROOT / name).is_file()}
    assert [name for name, text in texts.items() if path_into.search(text)] == ["tests/conftest.py"]
