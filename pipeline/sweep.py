"""Run the experiments of studies that are not yet done, and continue after an interruption.

python -m pipeline.sweep losses --seeds 5 --jobs 2
python -m pipeline.sweep my-study.yaml --set train.epochs=20 --dry-run
python -m pipeline.sweep losses --seeds 5 --grid grid.txt
"""

import argparse
import json
import os
from collections import defaultdict, deque
from pathlib import Path

from dvc.repo import Repo

from pipeline.check import validate_params
from pipeline.core.cli import one_line_errors
from pipeline.core.cpus import available_cpus
from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json
from pipeline.core.params import PARAMS_FILE, read_yaml
from pipeline.learning.device import gpu_count
from pipeline.studies.arguments import add_study_arguments, planned
from pipeline.studies.experiments import Experiment, Experiments, open_repository
from pipeline.studies.grid import Row, write_grid
from pipeline.studies.schedule import Schedule, distinct, estimate, run_all
from pipeline.studies.study import Run
from pipeline.studies.values import merged, override_texts
from pipeline.studies.workers import Clones, Worker, exclusive, git, require_identity

RUN_BY_CLONES = (
    *("pipeline", "params.yaml", "dvc.yaml"),
    *(f":!pipeline/{path}" for path in ("studies", "sweep.py", "row.py", "report.py")),
)
"""What must be committed, since clones run it."""


def require_commit(root: Path) -> str:
    """Return the checked-out commit, which the clones run.

    Raises:
        PipelineError: there is none, what they run is not committed, or Git has no name and address for commits.
    """
    try:
        commit = git(root, "rev-parse", "--verify", "HEAD")
    except PipelineError:
        raise PipelineError("the repository has no commit; commit your files: a sweep runs in clones") from None
    if changed := git(root, "status", "--porcelain", "--", *RUN_BY_CLONES).splitlines():
        more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
        raise PipelineError(
            f"{changed[0].split(maxsplit=1)[-1]}{more} has uncommitted changes; commit or stash them: a sweep runs the "
            "committed code and params in clones (--set changes params)"
        )
    require_identity(root)
    return commit


def check_runs(runs: list[Run], root: Path) -> None:
    """Check the params of every arm, as the stage `check` does.

    Raises:
        PipelineError: params are not valid; names the arms.
    """
    params, errors = read_yaml(root / PARAMS_FILE), defaultdict[str, list[str]](list)
    for run in {(run.study, run.arm.name): run for run in runs}.values():
        try:
            validate_params(merged(params, run.overrides))
            override_texts(run.overrides)
        except PipelineError as error:
            errors[str(error)].append(f"{run.study}-{run.arm.name}")
    if errors:
        raise PipelineError("; ".join(f"{', '.join(arms)}: {message}" for message, arms in errors.items()))


def environments(jobs: int) -> list[dict[str, str]]:
    """Return the environment variables of each worker: a GPU each if there are several, else a share of the cores."""
    gpus = gpu_count()
    if gpus > 1:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", ",".join(map(str, range(gpus)))).split(",")
        return [{"CUDA_VISIBLE_DEVICES": visible[number % gpus]} for number in range(jobs)]
    if gpus or jobs == 1 or "OMP_NUM_THREADS" in os.environ:
        return [{}] * jobs
    threads = max(1, available_cpus() // jobs)
    return [{"OMP_NUM_THREADS": str(threads), "OMP_WAIT_POLICY": "PASSIVE"}] * jobs


def find_missing(runs: list[Run], experiments: Experiments, jobs: int) -> tuple[list[Run], str]:
    """Return the runs that are not done, and a summary of all."""
    finished = [found for run in runs if (found := experiments.done(run))]
    missing = [run for run in runs if not experiments.done(run)]
    counts = f"{len(runs)} runs: {len(finished)} done, {len(missing)} to run"
    return missing, f"{counts}, {estimate_missing(missing, finished, experiments, jobs)}" if missing else counts


def estimate_missing(missing: list[Run], finished: list[Experiment], experiments: Experiments, jobs: int) -> str:
    """Estimate the missing runs by those that are done, else by the last training in the working tree."""
    if finished:
        costs = [json.loads(experiments.read(each.rev, "metrics/cost.json")) for each in finished]
        return f"{estimate(costs, len(missing), jobs)} (by {len(finished)} finished run{'s' * (len(finished) != 1)})"
    last = Path("metrics/cost.json")
    if not last.is_file():
        return "no estimate: no training has finished yet"
    return f"{estimate([read_json(last)], len(missing), jobs)} (by the last training, whatever its settings: {last})"


def run_missing(runs: list[Run], repo: Repo, jobs: int) -> None:
    """Run what is not done, after collecting what an interrupted sweep has finished.

    Raises:
        PipelineError: another sweep is running, the code is not committed, or runs failed.
    """
    root, commit = Path(repo.root_dir), require_commit(Path(repo.root_dir))
    clones = Clones.of(repo, commit)
    with exclusive(clones.folder / "sweep.lock"):
        own = environments(jobs)
        numbers = sorted({*range(1, jobs + 1), *clones.numbers})
        workers = [Worker(clones, number, own[(number - 1) % jobs]) for number in numbers]
        missing, summary = find_missing(runs, Experiments(repo, commit), jobs)
        print(summary, flush=True)
        schedule = Schedule(root, commit, deque(missing))
        run_all(schedule, workers, jobs)
    if schedule.failures:
        raise PipelineError(
            f"{len(schedule.failures)} of {len(missing)} runs failed, see above; mend the cause and run this again"
        )


def write_missing(path: Path, runs: list[Run], repo: Repo, jobs: int) -> None:
    """Write what is not done to a file, for jobs on other machines.

    Raises:
        PipelineError: the code is not committed.
    """
    commit = require_commit(Path(repo.root_dir))
    missing, summary = find_missing(runs, Experiments(repo, commit), jobs)
    write_grid(path, [Row(commit, run) for run in missing])
    print(f"{summary}; rows written to {path}")


def sweep(arguments: argparse.Namespace, repo: Repo) -> None:
    """Check the runs of the studies, then list, write or run them.

    Raises:
        PipelineError: params are not valid, or see `run_missing`.
    """
    runs = distinct(run for _, of_study in planned(arguments).values() for run in of_study)
    check_runs(runs, Path(repo.root_dir))
    if arguments.grid:
        write_missing(arguments.grid, runs, repo, arguments.jobs)
        return
    if not arguments.dry_run:
        run_missing(runs, repo, arguments.jobs)
        return
    experiments = Experiments(repo)
    print(find_missing(runs, experiments, arguments.jobs)[1])
    for run in runs:
        found, state = experiments.done(run), experiments.state(run)
        print(f"{state:9}{run.name}" + (f" (as {found.name})" if found and found.name != run.name else ""))


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    result = argparse.ArgumentParser(prog="python -m pipeline.sweep", description="Run the experiments of studies.")
    add_study_arguments(result)
    result.add_argument(
        "--jobs", type=int, default=1, metavar="N", help="experiments at a time, each in a clone of the repository"
    )
    nothing = result.add_mutually_exclusive_group()
    nothing.add_argument("--dry-run", action="store_true", help="check every arm and list the runs; run nothing")
    nothing.add_argument(
        "--grid", type=Path, metavar="FILE", help="write the missing runs to FILE, a row each, for pipeline.row"
    )
    return result


def main() -> None:
    """Run the studies named on the command line."""
    arguments = parser().parse_args()
    with one_line_errors("sweep"):
        if arguments.jobs < 1:
            raise PipelineError(f"--jobs is {arguments.jobs}; give 1 or more")
        with open_repository() as repo:
            sweep(arguments, repo)


if __name__ == "__main__":
    main()
