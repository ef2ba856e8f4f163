from pathlib import Path

import pytest

from tools.deps import DepsError, closure, main, stages, updated

MODULES = {
    "__init__": "",
    "alone": "import json\nfrom pathlib import Path\n",
    "tile": "from pipeline.raster.windows import cut\nimport pipeline.params\n",
    "params": "",
    "raster/__init__": "",
    "raster/windows": "def cut():\n    from pipeline.raster import grid  # a module\n",
    "raster/grid": "from pipeline.raster.codes import MANY  # a name in a module\n",
    "raster/codes": "MANY = 3\n",
    "sample/__init__": "from . import noise\nfrom ..params import anything\n",
    "sample/noise": "from .shapes import circle\n",
    "sample/shapes": "import pipeline.sample.noise  # a cycle\n",
    "unused": "import pipeline.params\n",
}
GRAPH = """\
# The graph.
stages:
  check:
    cmd: touch ok   # runs no module
    deps:
      - params.yaml

  alone:
    cmd: python -m pipeline.alone data
    deps:   # what it reads
      - pipeline/old.py
      - data/raw    # the archive
      - pipeline/alone.py   # itself

      - "data/a b"
    outs: [x, y]

  tile:
    foreach: ${download}
    do:
        cmd: >-
          python -m pipeline.tile
          data/${key}
        deps:
          - data/${key}
          - pipeline/tile.py
        outs:
        - data/out/${key}   # trailing spaces:  \n
plots:
  - {a: b}

"""
WRITTEN = """\
# The graph.
stages:
  check:
    cmd: touch ok   # runs no module
    deps:
      - params.yaml

  alone:
    cmd: python -m pipeline.alone data
    deps:   # what it reads
      - data/raw    # the archive

      - "data/a b"
      - pipeline/__init__.py
      - pipeline/alone.py   # itself
    outs: [x, y]

  tile:
    foreach: ${download}
    do:
        cmd: >-
          python -m pipeline.tile
          data/${key}
        deps:
          - data/${key}
          - pipeline/__init__.py
          - pipeline/params.py
          - pipeline/raster/__init__.py
          - pipeline/raster/codes.py
          - pipeline/raster/grid.py
          - pipeline/raster/windows.py
          - pipeline/tile.py
        outs:
        - data/out/${key}   # trailing spaces:  \n
plots:
  - {a: b}

"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for module, code in MODULES.items():
        path = tmp_path / f"pipeline/{module}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(code, encoding="utf-8")
    (tmp_path / "dvc.yaml").write_text(GRAPH, encoding="utf-8")
    return tmp_path


def graph(root: Path) -> str:
    return (root / "dvc.yaml").read_text(encoding="utf-8")


def one_stage(deps: str) -> str:
    return f"stages:\n  alone:\n    cmd: python -m pipeline.alone\n{deps}    outs:\n      - x\n"


def test_a_module_that_imports_nothing_of_the_package_needs_itself_and_the_package(root: Path) -> None:
    assert closure("pipeline.alone", root) == ["pipeline/__init__.py", "pipeline/alone.py"]


def test_imports_are_followed_through_packages_and_into_functions(root: Path) -> None:
    assert closure("pipeline.tile", root) == [
        "pipeline/__init__.py",
        "pipeline/params.py",
        "pipeline/raster/__init__.py",
        "pipeline/raster/codes.py",
        "pipeline/raster/grid.py",
        "pipeline/raster/windows.py",
        "pipeline/tile.py",
    ]


def test_relative_imports_and_cycles_are_followed(root: Path) -> None:
    assert closure("pipeline.sample", root) == [
        "pipeline/__init__.py",
        "pipeline/params.py",
        "pipeline/sample/__init__.py",
        "pipeline/sample/noise.py",
        "pipeline/sample/shapes.py",
    ]


def test_a_package_without_init_runs_no_file_of_its_own(root: Path) -> None:
    (root / "pipeline/raster/__init__.py").unlink()
    assert closure("pipeline.raster.codes", root) == ["pipeline/__init__.py", "pipeline/raster/codes.py"]
    assert "pipeline/raster/grid.py" in closure("pipeline.raster.windows", root)


def test_an_import_of_a_module_that_does_not_exist_is_refused_with_its_line(root: Path) -> None:
    (root / "pipeline/alone.py").write_text("import json\nfrom pipeline.gone import x\n", encoding="utf-8")
    with pytest.raises(DepsError, match=r"^pipeline/alone\.py, line 2: there is no module pipeline\.gone$"):
        closure("pipeline.alone", root)


def test_stages_that_run_a_module_are_found_foreach_ones_too() -> None:
    assert [(stage.name, stage.module) for stage in stages(GRAPH)] == [
        ("alone", "pipeline.alone"),
        ("tile", "pipeline.tile"),
    ]


def test_matrix_stages_and_lists_of_commands_are_understood(root: Path) -> None:
    text = one_stage("    deps:\n").replace("    cmd: ", "    matrix:\n      a: [1]\n    cmd:\n      - true\n      - ")
    assert [stage.module for stage in stages(text)] == ["pipeline.alone"]


def test_code_deps_are_written_after_the_others_and_nothing_else_changes(root: Path) -> None:
    assert main([], root) == 0
    assert graph(root) == WRITTEN


def test_what_was_written_is_not_changed_again(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main([], root)
    capsys.readouterr()
    assert main([], root) == 0
    assert graph(root) == WRITTEN
    assert capsys.readouterr().out == f"{root}/dvc.yaml: the code deps of every stage are right\n"


@pytest.mark.parametrize(
    ("deps", "written"),
    [
        ("    deps:\n", "    deps:\n      - pipeline/__init__.py\n      - pipeline/alone.py\n"),
        ("    deps: # none\n", "    deps: # none\n      - pipeline/__init__.py\n      - pipeline/alone.py\n"),
        ("    deps:\n    - data\n", "    deps:\n    - data\n    - pipeline/__init__.py\n    - pipeline/alone.py\n"),
        (
            "    deps:\n      - pipeline/table.csv\n",
            "    deps:\n      - pipeline/table.csv\n      - pipeline/__init__.py\n      - pipeline/alone.py\n",
        ),
    ],
    ids=["null", "null and a comment", "dashes below the key", "a table in the package is data"],
)
def test_deps_are_written_in_the_indentation_at_hand(deps: str, written: str, root: Path) -> None:
    assert updated(one_stage(deps), root) == one_stage(written)


def test_deps_at_the_end_of_a_file_without_a_last_line_break_are_written(root: Path) -> None:
    text = "stages:\n  alone:\n    cmd: python -m pipeline.alone\n    deps:\n      - data"
    assert updated(text, root) == f"{text}\n      - pipeline/__init__.py\n      - pipeline/alone.py\n"


def test_check_names_what_is_wrong_and_writes_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--check"], root) == 1
    assert graph(root) == GRAPH
    assert capsys.readouterr().out.splitlines() == [
        "alone: missing pipeline/__init__.py; extra pipeline/old.py",
        "tile: missing pipeline/__init__.py, pipeline/params.py, pipeline/raster/__init__.py, "
        "pipeline/raster/codes.py, pipeline/raster/grid.py, pipeline/raster/windows.py; extra nothing",
        f"{root}/dvc.yaml: the code deps of 2 stage(s) are wrong; write them with: make deps",
    ]


def test_check_accepts_what_was_written(root: Path) -> None:
    main([], root)
    assert main(["--check"], root) == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (one_stage("    deps: [data, more]\n"), "stage alone, line 4: write its deps one a line, each after a dash"),
        (one_stage(""), "stage alone has no deps; write a line `deps:` after its cmd"),
        (one_stage("    deps:\n").replace("alone", "gone"), "there is no module pipeline.gone in {root}"),
        ("stages: [", "while parsing"),
    ],
    ids=["deps on one line", "no deps", "a module that does not exist", "no YAML"],
)
def test_a_graph_that_cannot_be_edited_is_left_alone(
    text: str, message: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (root / "dvc.yaml").write_text(text, encoding="utf-8")
    assert main([], root) == 1
    assert graph(root) == text
    assert capsys.readouterr().err.startswith(f"{root}/dvc.yaml: {message.format(root=root)}")


def test_a_module_with_a_syntax_error_is_named(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (root / "pipeline/alone.py").write_text("def\n", encoding="utf-8")
    assert main(["--check"], root) == 1
    assert "alone.py, line 1" in capsys.readouterr().err
