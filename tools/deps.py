"""Writes the code that each stage runs into its `deps` in dvc.yaml.

    python tools/deps.py            write them
    python tools/deps.py --check    say what is missing or extra; exit with 1 if anything is

DVC does not see imports: after an edit to a module that is imported but not among the `deps`, it calls the stage up
to date. So the code deps of a stage are all files of the package that Python runs for it: its module, what that
imports, however far, and the `__init__.py` of every package on the way.

The lines of dvc.yaml are edited, not the data that they hold, so everything else in it stays as it was typed.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

PACKAGE = "pipeline"
COMMAND = re.compile(rf"-m\s+({PACKAGE}(?:\.\w+)+)")


class DepsError(Exception):
    """A module or a stage that nothing can be written for; the text says which and why."""


@dataclass(frozen=True)
class Stage:
    """A stage of dvc.yaml that runs a module of the package."""

    name: str
    module: str
    deps: tuple[str, ...]
    lines: tuple[int, ...]
    """The line of each of `deps`, counted from 0."""
    start: int
    """The line of the key `deps`."""
    indent: int
    """The column of their dashes."""


@dataclass(frozen=True)
class Difference:
    """What is wrong with the code deps of one stage."""

    missing: tuple[str, ...]
    extra: tuple[str, ...]


def source(module: str, root: Path) -> Path | None:
    """The file of a module or package, relative to `root`; None if there is no such module."""
    path = Path(*module.split("."))
    candidates = (path.with_suffix(".py"), path / "__init__.py")
    return next((candidate for candidate in candidates if (root / candidate).is_file()), None)


def imported(module: str, root: Path) -> set[str]:
    """The modules and packages of the package that importing `module` imports at first hand.

    Raises:
        DepsError: it imports a module that does not exist.
    """
    path = source(module, root)
    if path is None:
        raise DepsError(f"there is no module {module} in {root.resolve()}")
    found = set(parents(module))
    for node in ast.walk(ast.parse((root / path).read_text(encoding="utf-8"), filename=str(path))):
        for name in _named(node, module if path.name == "__init__.py" else module.rpartition(".")[0], root):
            if source(name, root) is None and not root.joinpath(*name.split(".")).is_dir():
                raise DepsError(f"{path}, line {getattr(node, 'lineno', '?')}: there is no module {name}")
            found |= {name, *parents(name)}
    return found


def parents(module: str) -> Iterator[str]:
    """The packages around a module, whose `__init__.py` Python runs first; those without one run nothing."""
    while module := module.rpartition(".")[0]:
        yield module


def closure(module: str, root: Path) -> list[str]:
    """The files of the package that Python runs for `module`, as sorted paths relative to `root`.

    Raises:
        DepsError: `module`, or one that it imports, does not exist.
    """
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(each for each in imported(name, root) if source(each, root))
    return sorted(path.as_posix() for name in seen if (path := source(name, root)))


def stages(text: str) -> list[Stage]:
    """The stages of a dvc.yaml, foreach and matrix ones included, that run a module of the package.

    Raises:
        DepsError: one of them has no `deps`, or not one a line.
    """
    graph = _mapping(yaml.compose(text, Loader=yaml.SafeLoader)).get("stages")
    found = []
    for name, definition in _mapping(graph).items():
        keys = _mapping(definition)
        body = keys.get("do", definition)
        if module := COMMAND.search(_text(_mapping(body).get("cmd"))):
            found.append(_stage(name, module[1], body))
    return found


def differences(text: str, root: Path) -> dict[str, Difference]:
    """From the name of a stage of a dvc.yaml to what is wrong with its code deps; right ones are left out."""
    found = {}
    for stage in stages(text):
        wanted, given = closure(stage.module, root), set(filter(is_code, stage.deps))
        missing = tuple(path for path in wanted if path not in given)
        extra = tuple(sorted(given.difference(wanted)))
        if missing or extra:
            found[stage.name] = Difference(missing, extra)
    return found


def updated(text: str, root: Path) -> str:
    """A dvc.yaml with the code deps of each stage as they should be, after its other deps."""
    lines = (text if text.endswith("\n") else f"{text}\n").splitlines(keepends=True)
    for stage in reversed(stages(text)):  # from the end, so that line numbers above stay right
        _update(lines, stage, closure(stage.module, root))
    return "".join(lines)


def is_code(dep: str) -> bool:
    """Whether a dep is code of the package, as opposed to data, or to a table or template within the package."""
    return dep.startswith(f"{PACKAGE}/") and dep.endswith(".py")


def main(arguments: list[str] | None = None, root: Path = Path()) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the code dependencies of each stage into dvc.yaml.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit with 1 if anything is to change")
    check = parser.parse_args(arguments).check
    path = root / "dvc.yaml"
    try:
        text = path.read_text(encoding="utf-8")
        for name, difference in (found := differences(text, root)).items():
            print(f"{name}: missing {_listed(difference.missing)}; extra {_listed(difference.extra)}")
        if not check:
            path.write_text(updated(text, root), encoding="utf-8")
    except (DepsError, OSError, yaml.YAMLError, SyntaxError) as error:
        print(f"{path}: {error}", file=sys.stderr)
        return 1
    print(f"{path}: {_outcome(len(found), check)}")
    return int(check and bool(found))


def _outcome(wrong: int, check: bool) -> str:
    if not wrong:
        return "the code deps of every stage are right"
    return f"the code deps of {wrong} stage(s) {'are wrong; write them with: make deps' if check else 'were written'}"


def _listed(paths: tuple[str, ...]) -> str:
    return ", ".join(paths) or "nothing"


def _named(node: ast.AST, package: str, root: Path) -> Iterator[str]:
    """The modules of the package that an import statement names; `package` is where relative ones start."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if _ours(alias.name))
    elif isinstance(node, ast.ImportFrom):
        levels = package.split(".")
        above = ".".join(levels[: len(levels) - node.level + 1]) if node.level else ""
        base = ".".join(filter(None, (above, node.module)))
        if _ours(base):
            yield base
            names = (f"{base}.{alias.name}" for alias in node.names)
            yield from (name for name in names if source(name, root))  # the others are names within `base`


def _ours(module: str) -> bool:
    return module.split(".")[0] == PACKAGE


def _stage(name: str, module: str, body: yaml.Node) -> Stage:
    """Where the deps of a stage stand."""
    key = next((key for key, _ in body.value if key.value == "deps"), None)
    if key is None:
        raise DepsError(f"stage {name} has no deps; write a line `deps:` after its cmd")
    deps = _mapping(body)["deps"]
    items = deps.value if isinstance(deps, yaml.SequenceNode) else []
    start, lines = key.start_mark.line, tuple(item.start_mark.line for item in items)
    if getattr(deps, "flow_style", False) or len({start, *lines}) != len(lines) + 1:
        raise DepsError(f"stage {name}, line {start + 1}: write its deps one a line, each after a dash")
    indent = items[0].start_mark.column - len("- ") if items else key.start_mark.column + 2
    return Stage(name, module, tuple(map(_text, items)), lines, start, indent)


def _update(lines: list[str], stage: Stage, wanted: list[str]) -> None:
    """Replace the lines of the code deps of one stage; one that stays keeps its line, and so its comment."""
    places = list(zip(stage.deps, stage.lines, strict=True))
    old = {dep: lines[line] for dep, line in places if is_code(dep)}
    place = max((line for dep, line in places if not is_code(dep)), default=stage.start) + 1
    new = [old.get(path, f"{' ' * stage.indent}- {path}\n") for path in wanted]
    for line in sorted((line for dep, line in places if is_code(dep)), reverse=True):
        del lines[line]
        place -= line < place
    lines[place:place] = new


def _mapping(node: yaml.Node | None) -> dict[str, yaml.Node]:
    return {key.value: value for key, value in node.value} if isinstance(node, yaml.MappingNode) else {}


def _text(node: yaml.Node | None) -> str:
    """A scalar's text, or the lines of a list of commands."""
    if isinstance(node, yaml.SequenceNode):
        return "\n".join(map(_text, node.value))
    return str(node.value) if isinstance(node, yaml.ScalarNode) else ""


if __name__ == "__main__":
    sys.exit(main())
