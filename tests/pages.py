"""README and docs as text, and the commands they show."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}


def blocks(text: str, language: str) -> list[str]:
    """The code blocks of a language, without the indentation of a list."""
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def prose(text: str) -> str:
    """A page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def section(page: str, heading: str) -> str:
    """What stands below a heading, up to the next one."""
    return PAGES[page].split(f"\n## {heading}\n")[1].split("\n## ")[0]


def commands(*pages: str) -> list[str]:
    """The lines of all shell blocks of some pages, or of every page; comments and line breaks are taken out."""
    text = "".join(code for page in pages or PAGES for code in blocks(PAGES[page], "sh"))
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [line for line in (re.split(r"\s+#", each)[0].strip() for each in lines) if line]


def arguments(command: str) -> list[str]:
    """The words of a command, without the variables before it."""
    words = shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return words
