"""Groups and the leak between training and test are told as they are."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.splits import leak_summary, read_groups


@pytest.mark.parametrize(
    ("share", "at_least", "start", "advice"),
    [
        (0.974, 0.974, "97 % of test chips touch a training chip", True),
        (0.0, 0.0, "0 % of test chips touch a training chip", False),
        (None, 0.62, "at least 62 % of test chips touch a training chip; unknown between images: ", True),
        (None, 0.0, "at least 0 % of test chips touch a training chip; unknown between images: ", False),
    ],
)
def test_a_leak_is_summarised_with_advice(share: float | None, at_least: float, start: str, advice: bool) -> None:
    summary = leak_summary(share, at_least)
    assert summary.startswith(start)
    assert summary.endswith("; see split.strategy") == advice


def test_groups_are_read_by_chip_as_text(tmp_path: Path) -> None:
    (tmp_path / "groups.csv").write_text("id,group\nNA,007\n1,b c\n")
    assert read_groups(tmp_path) == {"NA": "007", "1": "b c"}


def test_a_split_without_groups_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"groups\.csv does not exist; .* run `dvc repro`"):
        read_groups(tmp_path)
