"""Suggest a classes.yaml for a folder of images and labels: the values, colours or attributes that it finds.

python -m pipeline.classes FOLDER                      # prints it, to be edited
python -m pipeline.classes FOLDER > FOLDER/classes.yaml
"""

import argparse
import sys
from pathlib import Path

from pipeline.core.cli import one_line_errors
from pipeline.core.errors import PipelineError
from pipeline.core.files import visible_files
from pipeline.importing.importer import default_rules, read_rules
from pipeline.importing.label_contents import find_contents
from pipeline.importing.rules import LabelRules
from pipeline.importing.suggestion import suggest
from pipeline.importing.survey import survey


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    command = argparse.ArgumentParser(
        prog="python -m pipeline.classes",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("folder", type=Path, metavar="FOLDER", help="the folder for download.landcoverai.path")
    return command


def run(folder: Path) -> str:
    """Return the text of a `classes.yaml` for the labels in a folder.

    Raises:
        PipelineError: the folder has no images with labels, or a label cannot be read.
    """
    if not folder.is_dir():
        raise PipelineError(f"{folder} is not a folder; give the one that contains images and labels")
    rules = _rules(folder)
    files = [path.relative_to(folder) for path in visible_files(folder)]
    pairs = survey(folder, files, rules.polygons.annotated)
    print(f"classes: reading the labels of {len(pairs)} image{'s' * (len(pairs) != 1)}", file=sys.stderr)
    return suggest(find_contents(folder, pairs, rules))


def _rules(folder: Path) -> LabelRules:
    """Return how a `classes.yaml` that exists reads labels; the shell may have emptied it for the output."""
    try:
        return read_rules(folder)
    except PipelineError:
        return default_rules()


def main() -> None:
    """Run the command; a user's mistake is one line."""
    arguments = parser().parse_args()
    with one_line_errors("classes"):
        print(run(arguments.folder), end="")


if __name__ == "__main__":
    main()
