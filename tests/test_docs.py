"""README and docs agree with the code: links, commands, keys, files, diffs."""

import ast
import json
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.cli.parser import get_main_parser
from PIL import Image

from tests.pages import PAGES, ROOT, arguments, blocks, commands, prose, section
from tests.table import table

EACH_PAGE = pytest.mark.parametrize("page", PAGES)
PARAMS = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
DEVELOPMENT = "docs/development.md"


def anchors(text: str) -> set[str]:
    """Return the anchors that GitHub gives to the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def value_at(key: str) -> Any:
    value = PARAMS
    for part in key.split("."):
        assert part in value, key
        value = value[part]
    return value


def cells(table: str) -> list[list[str]]:
    """Return the rows of a Markdown table, without its header."""
    lines = [line for line in table.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


@EACH_PAGE
def test_every_link_has_a_target(page: str) -> None:
    folder = (ROOT / page).parent
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(PAGES[page])):
        if target.startswith("https://"):
            continue
        name, _, anchor = target.partition("#")
        path = (folder / name).resolve() if name else ROOT / page
        assert path.exists(), target
        if anchor:
            assert anchor in anchors(PAGES[path.relative_to(ROOT).as_posix()]), target


def test_readme_links_every_page() -> None:
    pages = {page for page in PAGES if page.startswith("docs/")}
    assert {"docs/data.md", DEVELOPMENT} < pages
    assert [page for page in pages if f"]({page})" not in PAGES["README.md"]] == []


@EACH_PAGE
def test_every_file_named_exists(page: str) -> None:
    named = re.findall(r"`((?:pipeline|tools|benchmarks|tests|docs)/[\w/.]+\.\w+)`", prose(PAGES[page]))
    added = {"tests/test_count.py"}  # by a diff
    assert [name for name in named if name not in added and not (ROOT / name).is_file()] == []
    text = "\n".join([prose(PAGES[page]), *commands(page)])
    modules = re.findall(r"python -m ((?:pipeline|benchmarks)\.[a-z_]+)", text)
    assert [name for name in modules if not (ROOT / f"{name.replace('.', '/')}.py").is_file()] == []


PARSED = [f"pipeline.{name}" for name in ("predict", "vectors", "export", "sweep", "row", "report")]
SHELL = ("mkdir", "cp", "chgrp", "chmod", "umask")
INLINE = [command for text in PAGES.values() for command in re.findall(r"`((?:dvc|make) [^`]+)`", prose(text))]


@pytest.mark.parametrize("command", sorted({*commands(), *INLINE}))
def test_every_command_shown_is_valid(command: str) -> None:
    program, *rest = arguments(command)
    if program == "make":
        assert re.search(rf"^{rest[0]}:", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    elif program == "dvc":
        get_main_parser().parse_args(rest)  # exits where DVC would
    elif rest[1:2] and rest[1] in PARSED:
        if "--help" not in rest:
            import_module(rest[1]).parser().parse_args(rest[2:])  # here, since torch takes seconds to import
    elif program in ("python", "sbatch"):
        assert rest[0] == "-m" or (ROOT / next(word for word in rest if not word.startswith("--"))).is_file()
    elif "/" in program:
        assert (ROOT / program).is_file()
    else:
        assert program in ("git", "source", "export", "gdalbuildvrt", "chromium", "dask", *SHELL)


@EACH_PAGE
def test_every_key_shown_is_in_params(page: str) -> None:
    for key in re.findall(r"-S\s+[\"']?([a-z_.]+)=", PAGES[page]):
        value_at(key)
    sections = "|".join(name for name, value in PARAMS.items() if isinstance(value, dict))
    for key in re.findall(rf"`((?:{sections})\.[a-z_]+(?:\.[a-z_]+)*)", prose(PAGES[page])):
        if not key.endswith((".py", ".json", ".md", ".txt")):
            value_at(key)


@pytest.mark.parametrize("command", [command for command in commands() if " -S " in command])
def test_every_value_shown_is_valid(command: str) -> None:
    from pipeline.check import CheckParams  # torch takes seconds to import

    shown = [word.partition("=")[::2] for word in arguments(command) if "=" in word]
    sweeps = [(key, re.split(r",(?![^\[]*\])", values)) for key, values in shown]  # a list is one value
    for number in range(max(len(options) for _, options in sweeps)):
        params = deepcopy(PARAMS)
        for key, options in sweeps:
            place, (*steps, last) = params, key.split(".")
            for step in steps:
                place = place[step]
            place[last] = yaml.safe_load(options[number % len(options)])
        CheckParams.model_validate(params)


def test_every_score_is_explained() -> None:
    text = PAGES["docs/scores.md"]
    keys = json.loads((ROOT / "metrics/evaluate.json").read_text(encoding="utf-8"))
    assert [key for key in keys if f"`{key}`" not in text] == []


def test_readme_shows_score_and_examples_of_the_committed_run() -> None:
    command = ["git", "show", "HEAD:metrics/evaluate.json"]  # the checkout's may come from another machine
    metrics = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    score = f"{metrics['mean_iou']:.3f}"
    assert f"| {score} (1 seed" in section("README.md", "Results")
    with Image.open(ROOT / "docs/examples.png") as image:
        assert image.info["Title"] == f"synthetic sample: {metrics['chips']} test chips, mean IoU {score}"


def test_names_in_the_table_of_decisions_exist() -> None:
    rows = cells(section(DEVELOPMENT, "Where is X decided?"))
    assert len(rows) > 10
    for topic, file, names in rows:
        if match := re.search(r"`(pipeline/.+?\.py)`", file):
            code = (ROOT / match[1]).read_text(encoding="utf-8")
            for name in re.findall(r"`(\w+)`", names):
                assert re.search(rf"^\s*(def |class )?{name}\b\s*[(:=]", code, re.MULTILINE), (topic, name)


def test_the_tree_lists_every_folder() -> None:
    (tree,) = blocks(section(DEVELOPMENT, "What goes where?"), "")
    top = re.findall(r"^(\S+)", tree, re.MULTILINE)
    assert [name for name in top if not (ROOT / name).exists()] == []
    packages = {f"{path.parent.name}/" for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert set(re.findall(r"^  (\w+/)", tree, re.MULTILINE)) == packages


def test_the_table_of_tests_is_that_of_their_docstrings() -> None:
    assert "|  |" not in table()
    assert (ROOT / "tests/README.md").read_text(encoding="utf-8") == table(), "run python -m tests.table"


def folder_of(path: Path) -> str:
    """Return the folder of a module below pipeline/; `stages` for stages and commands."""
    parts = path.relative_to(ROOT / "pipeline").parts
    return parts[0] if len(parts) > 1 else "stages"


def reachable_folders() -> dict[str, set[str]]:
    """Map each folder of the diagram to those that its arrows lead to, directly or indirectly."""
    (diagram,) = blocks(section(DEVELOPMENT, "Who may import whom?"), "mermaid")
    arrows: dict[str, set[str]] = {}
    for left, right in re.findall(r"^  (.+) --> (.+)$", re.sub(r"\[.*?\]", "", diagram), re.MULTILINE):
        for source in left.split(" & "):
            arrows.setdefault(source, set()).update(right.split(" & "))

    def reachable(folder: str) -> set[str]:
        return {folder}.union(*(reachable(target) for target in arrows.get(folder, ())))

    return {folder: reachable(folder) for folder in arrows.keys() | set().union(*arrows.values())}


def test_folders_import_only_what_the_diagram_of_layers_allows() -> None:
    reachable = reachable_folders()
    packages = {path.parent.name for path in (ROOT / "pipeline").glob("*/__init__.py")}
    assert reachable.keys() == packages | {"stages"}
    for path in (ROOT / "pipeline").rglob("*.py"):
        imported = set(re.findall(r"^\s*from pipeline\.(\w+)", path.read_text(encoding="utf-8"), re.MULTILINE))
        assert imported & packages <= reachable[folder_of(path)], path


def mentions(path: Path, word: str) -> bool:
    """Return whether a name, attribute, field or string in the code is the word; docstrings do not count."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    texts = (getattr(node, "id", None) or getattr(node, "attr", None) or getattr(node, "value", None) for node in nodes)
    return any(isinstance(text, str) and text.lower() == word for text in texts)


def test_the_table_lists_every_file_that_names_a_dataset() -> None:
    listed = {row[0].strip("`") for row in cells(section(DEVELOPMENT, "How do I add a dataset?"))}
    files = [path for path in (ROOT / "pipeline").rglob("*.py") if path.stem != "ghana"]
    expected = {path.relative_to(ROOT).as_posix() for path in files if mentions(path, "ghana")}
    assert {name for name in listed if name.endswith(".py")} == expected
    assert listed > {"params.yaml", "dvc.yaml"}


def test_the_diffs_apply(tmp_path: Path) -> None:
    diffs = blocks(PAGES[DEVELOPMENT], "diff")
    assert len(diffs) >= 5
    shutil.copytree(ROOT / "pipeline", tmp_path / "pipeline", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("params.yaml", "dvc.yaml", "pyproject.toml"):
        shutil.copyfile(ROOT / name, tmp_path / name)
    for diff in diffs:
        command = ["git", "apply", "--unidiff-zero", "-"]
        done = subprocess.run(command, cwd=tmp_path, input=diff, text=True, capture_output=True)
        assert done.returncode == 0, f"{done.stderr}{diff}"
    for check in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *check, "--no-cache", "pipeline"],
            cwd=tmp_path,
            text=True,
            capture_output=True,
        )
        assert done.returncode == 0, done.stdout
    assert yaml.safe_load((tmp_path / "params.yaml").read_text())["count"] in ("scene", "date")
    assert "count" in yaml.safe_load((tmp_path / "dvc.yaml").read_text())["stages"]
