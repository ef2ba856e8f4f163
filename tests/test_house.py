"""Rules for the package: imports, dependencies of stages, test files."""

import ast
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
STAGES = ("check", "download", "cloud_filter", "tif_to_png", "tile", "split", "train", "evaluate")
DATA_STAGES = STAGES[1:6]
COMMANDS = ("classes", "compare", "predict", "vectors", "export", "sweep", "row", "report")
GRAPH = yaml.safe_load((ROOT / "dvc.yaml").read_text(encoding="utf-8"))["stages"]

LAYERS = {
    "core": (),
    "scoring": (),
    "formats": ("core",),
    "raster": ("core", "formats"),
    "shapes": ("core", "raster"),
    "splitting": ("core", "formats"),
    "learning": ("core", "formats", "scoring"),
    "sentinel": ("core", "formats", "raster"),
    "orthophoto": ("core", "formats", "raster"),
    "evaluation": ("core", "formats", "scoring", "learning"),
    "studies": ("core", "formats", "scoring", "learning", "evaluation"),
    "importing": ("core", "formats", "raster", "shapes"),
    "sources": ("core", "formats", "raster", "sentinel", "importing"),
    "scenes": ("core", "formats", "raster", "orthophoto", "shapes"),
    "polygons": ("core", "formats", "raster", "scenes"),
    "inference": ("core", "formats", "raster", "learning", "scenes", "polygons"),
    "publishing": ("core", "formats", "learning", "scenes", "inference"),
}
"""Folders of pipeline/ to the folders they may import, which are listed before them."""

LEARNING = "torch torchvision torchmetrics lightning segmentation_models_pytorch timm safetensors dvclive matplotlib"
RASTER = "rasterio PIL cv2 osgeo"
NETWORK = (
    "requests urllib.request urllib3 http httpx aiohttp socket ssl ftplib radiant_mlhub boto3 botocore s3fs fsspec"
)
RASTER_FOLDERS = ("formats/", "raster/", "shapes/", "importing/", "sentinel/", "orthophoto/")
TORCH_COMMANDS = ("check.py", "train.py", "evaluate.py", "predict.py", "export.py")
ALLOWED = [
    (LEARNING, ("learning/", "evaluation/", "inference/", "publishing/", *TORCH_COMMANDS)),
    (
        RASTER,
        (
            "formats/",
            "raster/",
            "sentinel/",
            "orthophoto/",
            "splitting/",
            "shapes/",
            "importing/",
            "scenes/",
            "polygons/",
            "inference/",
            "studies/",
        ),
    ),
    (NETWORK, ("sources/", "learning/weights.py")),
    ("dask distributed", ("core/cluster.py",)),
]
"""Libraries, and the only paths under pipeline/ that may import them."""

NOT_MIRRORED = {
    "core/errors.py": "exceptions without code",
    "sources/base.py": "a Protocol and two records, without code",
    "scenes/scene.py": "a Protocol and a record, without code",
}
"""Modules without a test file, except `__init__.py`, and why."""


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def within_pipeline(path: Path) -> str:
    return path.relative_to(ROOT / "pipeline").as_posix()


def imported(code: ast.Module) -> set[str]:
    """Dotted names of all modules that are imported, in functions too; `from a import b` counts as a and a.b."""
    names = set()
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, "relative imports are not followed here"
            names |= {f"{node.module}", *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def own_imports(path: Path) -> set[tuple[str, ...]]:
    """Imports of the package: `pipeline.formats.png.save_chip` as (formats, png, save_chip)."""
    names = (name.split(".") for name in imported(tree(path)))
    return {tuple(name[1:]) for name in names if name[0] == "pipeline" and len(name) > 1}


def is_broad(handler: ast.ExceptHandler) -> bool:
    """Whether it catches every exception."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(each is None or ast.unparse(each) in ("Exception", "BaseException") for each in caught)


def test_imports_within_functions_are_found() -> None:
    code = ast.parse("import a.b, c\ndef f():\n    from d.e import g as h\n")
    assert imported(code) == {"a.b", "c", "d.e", "d.e.g"}


def test_broad_handlers_are_found() -> None:
    kinds = ("", " Exception", " (OSError, BaseException)", " OSError", " (OSError, ValueError)")
    (code,) = ast.parse("try: ...\n" + "".join(f"except{kind}: ...\n" for kind in kinds)).body
    assert isinstance(code, ast.Try)
    assert [is_broad(handler) for handler in code.handlers] == [True, True, True, False, False]


@pytest.mark.parametrize("path", python_files("pipeline"), ids=within_pipeline)
def test_only_check_imports_stages_and_only_their_params(path: Path) -> None:
    of_stages = {name for name in own_imports(path) if name[0] in {*STAGES, *COMMANDS}}
    if path == ROOT / "pipeline/check.py":
        others = set(STAGES) - {"check"}
        params = {(name, "".join(map(str.title, name.split("_"))) + "Params") for name in others}
        assert of_stages == params | {(name,) for name in others}
    elif path == ROOT / "pipeline/sweep.py":  # checks the params of every run before the first
        assert of_stages == {("check",), ("check", "validate_params")}
    else:
        assert of_stages == set()


@pytest.mark.parametrize(("libraries", "paths"), ALLOWED)
def test_libraries_are_imported_only_where_allowed(libraries: str, paths: tuple[str, ...]) -> None:
    for path in python_files("pipeline"):
        names = imported(tree(path))
        names |= {name.split(".")[0] for name in names}  # urllib.parse reaches no network, urllib.request does
        if not within_pipeline(path).startswith(paths):
            assert names.isdisjoint(libraries.split()), path


def test_imports_are_statements() -> None:  # these tests do not see others
    for path in python_files("pipeline"):
        assert "__import__" not in path.read_text(encoding="utf-8"), path
        assert imported(tree(path)).isdisjoint({"importlib", "importlib.import_module", "runpy"}), path


def test_each_folder_imports_only_the_layers_below_it() -> None:
    assert {path.name for path in (ROOT / "pipeline").iterdir() if any(path.glob("*.py"))} == LAYERS.keys()
    for folder, below in LAYERS.items():
        for path in python_files(f"pipeline/{folder}"):
            assert {name[0] for name in own_imports(path)} <= {folder, *below}, path
        assert set(below) <= set(list(LAYERS)[: list(LAYERS).index(folder)])


def closure(module: Path) -> set[Path]:
    """Files of a module and of all modules it imports, directly or indirectly, except pipeline/__init__.py."""
    visited, todo = set(), [module]
    while todo:
        path = todo.pop()
        visited.add(path)
        for name in own_imports(path):
            for candidate in (ROOT.joinpath("pipeline", *name[:end]) for end in range(1, len(name) + 1)):
                files = {candidate.with_suffix(".py"), candidate / "__init__.py"}
                todo += [file for file in files - visited if file.is_file()]
    return visited


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_depends_on_all_code_it_imports(stage: str) -> None:
    declared = [dep for dep in GRAPH[stage].get("do", GRAPH[stage])["deps"] if dep.startswith("pipeline")]
    imported = {name_of(path) for path in closure(ROOT / f"pipeline/{stage}.py")}
    needed = {file if file.count("/") == 1 else file.rsplit("/", 1)[0].replace("/sample", "") for file in imported}
    assert declared == ["pipeline"] if stage == "check" else set(declared) == needed


def test_edits_outside_training_do_not_retrain(tmp_path: Path) -> None:
    subprocess.run(["git", "clone", "--quiet", str(ROOT), "project"], cwd=tmp_path, check=True)
    project = tmp_path / "project"
    for name in ("dvc.yaml", "dvc.lock", ".dvcignore"):
        shutil.copy(ROOT / name, project / name)

    def status() -> dict[str, list[str]]:
        """Code deps changed since dvc.lock, by stage."""
        command = [sys.executable, "-W", "ignore", "-m", "dvc", "status", "--json"]
        run = subprocess.run(command, cwd=project, capture_output=True, text=True, check=True)
        changed: dict[str, list[str]] = {}
        for stage, reasons in json.loads(run.stdout).items():
            deps = [dep for each in reasons if isinstance(each, dict) for dep in each.get("changed deps", ())]
            changed[stage] = [dep for dep in deps if dep.startswith("pipeline")]
        return changed

    shutil.rmtree(project / "pipeline")
    shutil.copytree(ROOT / "pipeline", project / "pipeline")
    before = status()["train"]
    for name in ("raster/geotiff.py", "raster/labels.py", "evaluation/intervals.py", "evaluation/figures.py"):
        with (project / "pipeline" / name).open("a") as file:
            file.write("# edited\n")
    (project / "pipeline/learning/.task.py.swp").touch()
    (project / "pipeline/learning/task.py~").touch()
    after = status()
    assert after["train"] == before
    assert "pipeline/raster" in after["tile"]
    assert "pipeline/evaluation" in after["evaluate"]
    (project / "pipeline/learning/task.py").write_text("")
    assert "pipeline/learning" in status()["train"]


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
    assert DATA_STAGES[-1] == "split"  # which needs two of these
    command = [sys.executable, "-W", "ignore", "-c", script, heavy, *DATA_STAGES]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert json.loads(run.stdout) == {name: [] for name in DATA_STAGES} | {"split": ["pandas", "scipy"]}


def test_nothing_catches_every_exception() -> None:
    for path in python_files("pipeline", "tools", "tests", "benchmarks"):
        handlers = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ExceptHandler)]
        assert [handler.lineno for handler in handlers if is_broad(handler)] == [], path
        suppressed = re.search(r"suppress\((Base)?Exception\b", path.read_text(encoding="utf-8"))
        assert suppressed is None, path


def test_modules_are_imported_by_their_own_names() -> None:  # `from pipeline import tile` could mean module or name
    for path in python_files("pipeline", "tools", "tests", "benchmarks"):
        froms = [node.module for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom)]
        assert "pipeline" not in froms, path


def test_every_module_has_a_test_file_that_mirrors_it() -> None:
    modules = {within_pipeline(path) for path in python_files("pipeline") if path.stem != "__init__"}
    assert modules > NOT_MIRRORED.keys()
    mirrors = {module: ROOT / "tests" / module for module in modules - NOT_MIRRORED.keys()}
    missing = [module for module, path in mirrors.items() if not path.with_name(f"test_{path.name}").is_file()]
    assert sorted(missing) == []


def test_every_tool_has_a_test_file_that_mirrors_it() -> None:
    tools = [path.stem for path in (ROOT / "tools").iterdir() if path.suffix in (".py", ".sh")]
    assert [tool for tool in tools if not (ROOT / f"tests/tools/test_{tool}.py").is_file()] == []


def test_only_a_fixture_refers_to_the_real_data() -> None:
    files = [path for folder in ("pipeline", "tools", "benchmarks", "tests") for path in (ROOT / folder).rglob("*.*")]
    files += [ROOT / name for name in ("Makefile", "dvc.yaml", "params.yaml", ".ci/run")] + [
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
    ]
    path_into = re.compile(r"""(\.\.|work|parents\[\d\])"?\s?/\s?"?shared|["']shared["'/]""")
    texts = {name_of(path): path.read_text(encoding="utf-8") for path in files if path.suffix not in (".pyc", ".png")}
    assert [name for name, text in texts.items() if path_into.search(text)] == ["tests/conftest.py"]
