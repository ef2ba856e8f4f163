"""Write the report of studies: what is done of them, beside the published scores.

python -m pipeline.report
python -m pipeline.report losses my-study.yaml --seeds 5 -o plots/mine
"""

import argparse
import json
import shlex
import sys
from collections.abc import Iterable
from pathlib import Path

from dvc.repo import Repo

from pipeline.core.cli import one_line_errors
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.formats.datasets import DATASETS
from pipeline.studies.arguments import add_study_arguments, planned
from pipeline.studies.dataset_tables import Measured, class_tables
from pipeline.studies.details import SHORT
from pipeline.studies.experiments import Experiments, open_repository
from pipeline.studies.page import Report, Section, fit_page, render_markdown
from pipeline.studies.pictures import grids
from pipeline.studies.results import StudyResults, read_study

OUTPUT = Path("plots/report")
PAGE, TEXT = "index.html", "report.md"


def measure(root: Path, studies: Iterable[StudyResults]) -> dict[str, Measured]:
    """Return the class shares of each dataset: of a finished run with all training chips, else of the working tree.

    Raises:
        PipelineError: a file of the working tree is not valid.
    """
    measured: dict[str, Measured] = {}
    for dataset in DATASETS:
        path = root / "metrics" / "split" / f"{dataset}.json"
        if path.is_file():
            try:
                measured[dataset] = Measured(json.loads(path.read_text(encoding="utf-8")), f"{dataset}, last run here")
            except ValueError as error:
                raise PipelineError(f"{path} is not valid JSON ({error}); run dvc repro") from None
    runs = [run for study in studies for run in study.finished if run.split and run.has_all_chips]
    measured |= {run.dataset: Measured(run.split, run.data_source) for run in runs}
    return {name: each for name, each in measured.items() if "train" in each.split}


def report(arguments: argparse.Namespace, repo: Repo) -> tuple[Path, str]:
    """Write the report; return the path of its page, and how many runs are in it.

    Raises:
        PipelineError: an argument is not valid, or an output cannot be written.
    """
    experiments = Experiments(repo)
    studies = [read_study(name, study, runs, experiments) for name, (study, runs) in planned(arguments).items()]
    classes = tuple(class_tables(measure(Path(repo.root_dir), studies)))
    command = shlex.join(["python", "-m", "pipeline.report", *sys.argv[1:]])
    made = Report(tuple(map(Section.of, studies)), classes, repo.scm.get_rev()[:SHORT], command)
    page = fit_page(made, lambda results, side: grids(results, experiments, side))
    write_text(arguments.output / PAGE, page)
    write_text(arguments.output / TEXT, render_markdown(made))
    runs = [run for study in studies for run in study.runs]
    done = sum(len(study.finished) for study in studies)
    noun, size = "study" if len(studies) == 1 else "studies", len(page.encode()) / 1e6
    return arguments.output / PAGE, f"{len(studies)} {noun}, {done} of {len(runs)} runs, {size:.1f} MB"


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    result = argparse.ArgumentParser(prog="python -m pipeline.report", description="Write the report of studies.")
    add_study_arguments(result)
    result.add_argument(
        *("-o", "--output"), type=Path, default=OUTPUT, metavar="FOLDER", help=f"where to write it ({OUTPUT})"
    )
    return result


def main() -> None:
    """Report on the studies named on the command line."""
    arguments = parser().parse_args()
    with one_line_errors("report"), open_repository() as repo:
        path, summary = report(arguments, repo)
        print(f"report: {path}: {summary}")


if __name__ == "__main__":
    main()
