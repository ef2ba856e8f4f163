"""Coverage of nominal 95 % intervals of the calibration error, on its own scale (as used) and on the logit.

    python -m benchmarks.calibration_coverage

Groups have 100,000 pixels on average, whose confidence is spread over the upper bins. The logit of accuracy is that of
confidence times a slope of mean 1 plus a shift that differs by group. The true error is that of 20,000 groups.
"""

from itertools import product

import numpy as np
from scipy.special import expit, logit

from pipeline.evaluation.calibration import BINS, calibration_error
from pipeline.evaluation.intervals import error_limits, logit_limits

TEST_SETS = 2000
CONFIDENCE_B = (np.arange(BINS) + 0.5) / BINS


def draw_groups(random: np.random.Generator, groups: int, shift: float, spread: float) -> np.ndarray:
    """Draw bins_G3B; `spread`: standard deviation of the shift between groups."""
    share_B = np.exp(3 * CONFIDENCE_B)
    share_GB = random.dirichlet(30 * share_B / share_B.sum(), groups)
    pixels_GB = 1e5 * random.lognormal(0, 0.6, (groups, 1)) * share_GB
    slope_G1, shift_G1 = random.normal(1, 0.1, (groups, 1)), random.normal(shift, spread, (groups, 1))
    accuracy_GB = expit(slope_G1 * logit(CONFIDENCE_B) + shift_G1)
    return np.stack([pixels_GB, pixels_GB * CONFIDENCE_B, pixels_GB * accuracy_GB], axis=1)


def row(groups: int, shift: float, spread: float) -> str:
    """Simulate test sets; return a row of the table."""
    random = np.random.default_rng(0)
    truth = float(calibration_error(draw_groups(random, 20_000, shift, spread).sum(axis=0)))
    found = []
    for _ in range(TEST_SETS):
        bins_G3B = draw_groups(random, groups, shift, spread)
        total_3B = bins_G3B.sum(axis=0)
        error, left_out_G = float(calibration_error(total_3B)), calibration_error(total_3B - bins_G3B)
        limits = error_limits(error, left_out_G)
        assert limits is not None
        found.append((error, *limits, *logit_limits(error, left_out_G)))
    error, low, high, logit_low, logit_high = np.array(found).T
    cells = [
        f"{100 * ((lower <= truth) & (truth <= upper)).mean():.1f} ({(upper - lower).mean():.3f})"
        for lower, upper in ((low, high), (logit_low, logit_high))
    ]
    return f"| {groups} | {shift} | {spread} | {truth:.3f} | {error.mean():.3f} | {' | '.join(cells)} |"


def main() -> None:
    """Print coverage in per cent, and mean width."""
    print("| groups | shift | spread | true error | mean estimate | own scale | logit |\n|---|---|---|---|---|---|---|")
    for groups, shift, spread in product((11, 30), (0.0, 0.3, 1.0), (0.3, 0.8)):
        print(row(groups, shift, spread), flush=True)


if __name__ == "__main__":
    main()
