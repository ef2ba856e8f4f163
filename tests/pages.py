"""README and docs as text, and the commands they show."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
PAGES = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in FILES}


def blocks(text: str, language: str) -> list[str]:
    """Return the code blocks of a language, without the indentation of a list."""
    matches = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in matches]


def prose(text: str) -> str:
    """Return a page without its code blocks."""
    return re.sub(r"^ *```.*?^ *```$", "", text, flags=re.DOTALL | re.MULTILINE)


def section(page: str, heading: str) -> str:
    """Return the text below a heading, up to the next one."""
    return PAGES[page].split(f"\n## {heading}\n")[1].split("\n## ")[0]


def commands(*pages: str) -> list[str]:
    """Return the commands in the shell blocks of some pages, or of all, without comments and line breaks."""
    return [command for page in pages or PAGES for command in commands_in(PAGES[page])]


def commands_in(text: str) -> list[str]:
    """Return the commands in the shell blocks of a text, without comments and line breaks."""
    lines = re.sub(r"\\\n\s*", "", "".join(blocks(text, "sh"))).splitlines()
    return [line for line in (re.split(r"\s+#", text)[0].strip() for text in lines) if line]


def arguments(command: str) -> list[str]:
    """Return the words of a command, without the variables before it."""
    words = shlex.split(command)
    while re.match(r"[A-Z_]+=", words[0]):
        del words[0]
    return words
