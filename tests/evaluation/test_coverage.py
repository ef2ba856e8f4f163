"""The coverage simulation of the confidence intervals, with few test sets."""

import re

import numpy as np
import pytest

from benchmarks import _coverage_populations as populations
from benchmarks import calibration_coverage
from benchmarks.coverage import alternatives, covered, limits_of, print_by_rarest, print_differences, print_scores
from pipeline.evaluation.intervals import mean_iou_interval

NAMES = ("background", "woodland", "water", "building", "road")
WIDE = next(
    population
    for population in populations.populations()
    if population.name == "classes in half of them" and population.spread > 1
)


def test_intervals_have_a_higher_coverage_than_the_percentile_bootstrap() -> None:
    groups = populations.draw(np.random.default_rng(3), 300 * 11, WIDE)
    counts_RG3K = populations.predict(groups).reshape(300, 11, 3, 5)
    truth_R = populations.true_mean(populations.true_iou(WIDE), counts_RG3K)
    ours = covered(limits_of([mean_iou_interval(counts_G3K, NAMES) for counts_G3K in counts_RG3K]), truth_R)
    bootstrap = covered(alternatives(counts_RG3K)["percentile"], truth_R)
    assert 0.91 <= ours.mean() <= 0.98
    assert bootstrap.mean() < 0.89


def test_the_tables_are_printed(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(populations, "TRUTH_GROUPS", 1000)
    monkeypatch.setattr(populations, "TRAININGS", 2)
    print_by_rarest(print_scores(2))
    print_differences(2)
    scores, rarest, differences = capsys.readouterr().out.split("\n\n")
    assert len(scores.splitlines()) == 1 + len(list(populations.populations())) * 4
    assert len(rarest.splitlines()) == 1 + 2 * 4
    assert len(differences.splitlines()) == 1 + 4 * 3 * 2


def test_limits_of_a_calibration_error_cover_more_on_its_own_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibration_coverage, "TEST_SETS", 100)
    own, on_logit = re.findall(r"(\d+\.\d) \(", calibration_coverage.row(11, 0.0, 0.3))
    assert float(on_logit) < 80 < float(own) <= 100
