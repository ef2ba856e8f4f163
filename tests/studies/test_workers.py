"""What failed in a clone is named by its own error, and only one sweep runs at a time."""

import pytest

from pipeline.studies.workers import EXPERIMENT_REF, failure


def test_the_stages_own_error_is_reported() -> None:
    log = "Running stage 'train':\ntrain: error: no chips\nERROR: failed to reproduce 'train'\n"
    assert failure(log) == "train: error: no chips"
    assert failure("one\nERROR: no luck\n\nHaving any troubles?\n") == "ERROR: no luck"
    assert failure("one\ntwo\n\n") == "two"
    assert failure("") == "no output"


@pytest.mark.parametrize(
    ("ref", "is_experiment"),
    [
        (f"refs/exps/ab/{'0' * 38}/losses-focal-1-0123456789", True),
        ("refs/exps/stash", False),
        ("refs/exps/exec/EXEC_HEAD", False),
        ("refs/heads/main", False),
    ],
)
def test_refs_of_experiments(ref: str, is_experiment: bool) -> None:
    assert bool(EXPERIMENT_REF.fullmatch(ref)) == is_experiment
