"""Run a row of a grid that `pipeline.sweep --grid` wrote, in a clone on this machine: the job of a sweep over machines.

python -m pipeline.row grid.txt 3
python -m pipeline.row grid.txt 3 --push origin
"""

import argparse
from pathlib import Path

from pipeline.core.cli import one_line_errors
from pipeline.studies.experiments import open_repository
from pipeline.studies.grid import read_row, run_row


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    result = argparse.ArgumentParser(prog="python -m pipeline.row", description="Run a row of a grid.")
    result.add_argument("grid", type=Path, metavar="FILE", help="written by pipeline.sweep --grid; - for stdin")
    result.add_argument("row", type=int, metavar="ROW", help="number of the line, from 1")
    result.add_argument("--push", metavar="REMOTE", help="push the experiment to this Git remote, such as origin")
    return result


def main() -> None:
    """Run the row named on the command line."""
    arguments = parser().parse_args()
    with one_line_errors("row"), open_repository() as repo:
        print(f"row {arguments.row}: {run_row(read_row(arguments.grid, arguments.row), repo, arguments.push)}")


if __name__ == "__main__":
    main()
