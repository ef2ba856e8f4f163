"""Write tests/README.md, the table of what each test file protects: `python -m tests.table`."""

import ast
from pathlib import Path

TESTS = Path(__file__).parent
HEAD = """# What the tests protect

Every module with code has a test file of its name in the same folder; the others are of several modules, and those
beside this page of stages, commands and the whole. Each line is the file's docstring; `python -m tests.table` writes
this page.

| file | protects |
|---|---|
"""


def table() -> str:
    """Return the page; a file without a docstring has an empty line."""
    files = sorted(TESTS.rglob("test_*.py"), key=lambda path: (len(path.relative_to(TESTS).parts), path))
    docs = [
        (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").partition("\n\n")[0] for path in files
    ]
    rows = zip(files, docs, strict=True)
    return HEAD + "".join(
        f"| [`{path.relative_to(TESTS)}`]({path.relative_to(TESTS)}) | {' '.join(doc.split())} |\n"
        for path, doc in rows
    )


if __name__ == "__main__":
    (TESTS / "README.md").write_text(table(), encoding="utf-8")
