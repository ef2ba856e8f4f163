"""Coverage of nominal 95 % intervals, by simulation: ours and the alternatives.

    python -m benchmarks.coverage        # 2000 test sets a row, about 2 minutes
    python -m benchmarks.coverage 100    # fewer, for a quick look

Groups are drawn from populations with known mean IoU (`_coverage_populations.py`) and scored together as in `evaluate`;
each method computes an interval. A cell is the coverage in percent, and the mean width. The truth is the mean IoU of
the whole population, over the classes present in the test set. `bias` is the mean difference of the scores from it;
`held` the share of test sets with a class in fewer than three groups, whose intervals are called approximate; `others`
the coverage of ours in the rest. The second table is the coverage of ours over all populations, by the number of groups
with the rarest class. The third is for paired differences, over a quarter of the test sets. With 2000 test sets the
standard error of a coverage of 95 % is half a point.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri, stdtrit

from benchmarks._coverage_populations import (
    Population,
    classes_present,
    draw,
    draw_pairs,
    populations,
    predict,
    true_difference,
    true_iou,
    true_mean,
)
from pipeline.evaluation.intervals import MIN_GROUPS_PER_CLASS, Interval, difference_interval, mean_iou_interval
from pipeline.scoring.counts import PREDICTED, TRUE
from pipeline.scoring.scores import class_iou

TESTS = 2000
GROUPS = (11, 20, 30, 100)
DRAWS = 500
"""Draws of a bootstrap."""
PAIRED = ("classes in half of them", "two patchy classes")
PAIRED_GROUPS = (11, 30)
TRAININGS = ((1, 0.0), (5, 0.05), (5, 0.15))
"""Number of paired training runs, and standard deviation between them (on the logit of recall)."""
NAMES = ("background", "woodland", "water", "building", "road")
LIMITS = (0.025, 0.975)
RAREST = range(1, 6)
"""Numbers of groups with the rarest class; the last means that many or more."""


@dataclass(frozen=True)
class Row:
    """Results of all methods for one population and number of groups."""

    population: Population
    groups: int
    bias: float
    methods: dict[str, str]
    """Formatted coverage and mean width, by method."""
    hits_R: np.ndarray
    """Whether our interval covers the truth."""
    rarest_R: np.ndarray
    """Number of groups with the rarest class."""


def mean_over(iou_RK: np.ndarray, selected_RK: np.ndarray) -> np.ndarray:
    """Average IoU over the selected classes (the last dimension)."""
    return np.asarray((iou_RK * selected_RK).sum(axis=-1) / selected_RK.sum(axis=-1))


def pooled(counts_RG3K: np.ndarray) -> np.ndarray:
    """Return the mean IoU of each test set, all groups together."""
    return mean_over(class_iou(counts_RG3K.sum(axis=1)), classes_present(counts_RG3K))


def resampled(counts_RG3K: np.ndarray, weights_DG: np.ndarray) -> np.ndarray:
    """Return the mean IoU of each test set in each draw, (D, R); a class that is only predicted counts as 0."""
    tests, groups, rows, classes = counts_RG3K.shape
    flat_GX = counts_RG3K.transpose(1, 0, 2, 3).reshape(groups, -1).astype(np.float64)
    totals_DR3K = (weights_DG @ flat_GX).reshape(-1, tests, rows, classes)
    present_DRK = (totals_DR3K[:, :, TRUE] + totals_DR3K[:, :, PREDICTED] > 0) & classes_present(counts_RG3K)
    return mean_over(class_iou(totals_DR3K), present_DRK)


def multinomial(groups: int) -> np.ndarray:
    """Draw the number of times that each bootstrap draw contains each group, (D, G)."""
    return np.random.default_rng(0).multinomial(groups, np.full(groups, 1 / groups), DRAWS)


def bca(scores_DR: np.ndarray, score_R: np.ndarray, left_out_RG: np.ndarray) -> np.ndarray:
    """Compute the limits of the bias-corrected and accelerated bootstrap (Efron 1987), (2, R)."""
    shift_R = ndtri(np.clip((scores_DR < score_R).mean(axis=0), 1 / DRAWS, 1 - 1 / DRAWS))
    deviation_RG = left_out_RG.mean(axis=1, keepdims=True) - left_out_RG
    skew_R = (deviation_RG**3).sum(axis=1) / (6 * (deviation_RG**2).sum(axis=1) ** 1.5)
    levels_2R = np.array([ndtr(shift_R + (shift_R + z) / (1 - skew_R * (shift_R + z))) for z in ndtri(LIMITS)])
    ranks_2R = np.clip(np.rint(levels_2R * (DRAWS - 1)).astype(int), 0, DRAWS - 1)
    return np.take_along_axis(np.sort(scores_DR, axis=0), ranks_2R, axis=0)


def left_out(counts_RG3K: np.ndarray) -> np.ndarray:
    """Return the mean IoU of each test set without each group, (R, G); classes in few groups are held fixed."""
    total_R13K = counts_RG3K.sum(axis=1, keepdims=True)
    held_RK = (counts_RG3K[:, :, TRUE] > 0).sum(axis=1) < MIN_GROUPS_PER_CLASS
    iou_RGK = np.where(held_RK[:, None], class_iou(total_R13K), class_iou(total_R13K - counts_RG3K))
    return mean_over(iou_RGK, classes_present(counts_RG3K)[:, None])


def on_logit(score_R: np.ndarray, error_R: np.ndarray, groups: int) -> np.ndarray:
    """Compute the limits on the logit scale by Student's t with G - 1 degrees of freedom, (2, R)."""
    half_R = stdtrit(groups - 1, LIMITS[1]) * error_R / (score_R * (1 - score_R))
    return np.asarray(expit(np.stack([logit(score_R) - half_R, logit(score_R) + half_R])))


def linearised_error(counts_RG3K: np.ndarray) -> np.ndarray:
    """Compute the standard error with each IoU as a ratio estimator, as in survey sampling; hold no class fixed."""
    groups = counts_RG3K.shape[1]
    true, predicted, hits = (counts_RG3K[:, :, row] for row in range(3))
    union_RGK = true + predicted - hits
    residual_RGK = hits - class_iou(counts_RG3K.sum(axis=1, keepdims=True)) * union_RGK
    influence_RGK = residual_RGK / np.maximum(union_RGK.sum(axis=1, keepdims=True), 1)
    influence_RG = mean_over(influence_RGK, classes_present(counts_RG3K)[:, None])
    return np.asarray(np.sqrt(groups / (groups - 1) * (influence_RG**2).sum(axis=1)))


def alternatives(counts_RG3K: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the limits by other methods, (2, R) each.

    Returns:
        Bootstraps: percentiles; percentiles with Dirichlet weights, by which no group is ever absent; BCa. On the logit
        scale with Student's t: linearised ratios, and the standard jackknife.
    """
    groups, score_R, left_out_RG = counts_RG3K.shape[1], pooled(counts_RG3K), left_out(counts_RG3K)
    scores_DR = resampled(counts_RG3K, multinomial(groups))
    dirichlet_DR = resampled(counts_RG3K, np.random.default_rng(0).dirichlet(np.ones(groups), DRAWS))
    return {
        "percentile": np.quantile(scores_DR, LIMITS, axis=0),
        "Dirichlet": np.quantile(dirichlet_DR, LIMITS, axis=0),
        "BCa": bca(scores_DR, score_R, left_out_RG),
        "linearised": on_logit(score_R, linearised_error(counts_RG3K), groups),
        "jackknife": on_logit(score_R, np.sqrt((groups - 1) * left_out_RG.var(axis=1)), groups),
    }


def limits_of(intervals: Sequence[Interval | None]) -> np.ndarray:
    """Return the low and high limits, (2, R)."""
    return np.array([(interval.low, interval.high) for interval in intervals if interval]).T


def covered(limits_2R: np.ndarray, truth_R: np.ndarray) -> np.ndarray:
    """Return which intervals cover the truth."""
    return np.asarray((limits_2R[0] <= truth_R) & (truth_R <= limits_2R[1]))


def percent(hits_R: np.ndarray) -> float:
    """Return the percentage of true values; NaN if empty."""
    return 100 * float(hits_R.mean()) if len(hits_R) else float("nan")


def cell(limits_2R: np.ndarray, truth_R: np.ndarray) -> str:
    """Format coverage and mean width."""
    return f"{percent(covered(limits_2R, truth_R)):5.1f} ({(limits_2R[1] - limits_2R[0]).mean():.3f})"


def rows(tests: int) -> Iterator[Row]:
    """Compute every method on `tests` test sets of every population."""
    for number, population in enumerate(populations()):
        iou_K = true_iou(population)
        for groups in GROUPS:
            random = np.random.default_rng((number, groups))
            counts_RG3K = predict(draw(random, tests * groups, population)).reshape(tests, groups, 3, -1)
            truth_R = true_mean(iou_K, counts_RG3K)
            ours_2R = limits_of([mean_iou_interval(counts_G3K, NAMES[: len(iou_K)]) for counts_G3K in counts_RG3K])
            methods = alternatives(counts_RG3K) | {"ours": ours_2R}
            in_groups_RK = (counts_RG3K[:, :, TRUE] > 0).sum(axis=1)
            yield Row(
                population,
                groups,
                float((pooled(counts_RG3K) - truth_R).mean()),
                {name: cell(limits_2R, truth_R) for name, limits_2R in methods.items()},
                covered(ours_2R, truth_R),
                np.where(in_groups_RK > 0, in_groups_RK, groups).min(axis=1),
            )


def title(population: Population) -> str:
    """Format the first columns of a row."""
    return f"{population.name:24} {population.spread:6.1f}"


def print_scores(tests: int) -> list[Row]:
    """Print the table of scores."""
    printed: list[Row] = []
    for row in rows(tests):
        if not printed:
            names = " ".join(f"{name:>13}" for name in row.methods)
            print(f"{'population':24} spread groups   bias {names}  held others")
        printed.append(row)
        held_R = row.rarest_R < MIN_GROUPS_PER_CLASS
        cells = " ".join(row.methods.values())
        print(
            f"{title(row.population)} {row.groups:6} {row.bias:+.3f} {cells} {percent(held_R):4.0f}% "
            f"{percent(row.hits_R[~held_R]):5.1f}",
            flush=True,
        )
    return printed


def print_by_rarest(rows: list[Row]) -> None:
    """Print the coverage of ours, and the number of test sets, by the number of groups with the rarest class."""
    print(f"\n{'rarest class in':24} " + " ".join(f"{number:>13}" for number in RAREST) + " or more groups")
    for spread in sorted({row.population.spread for row in rows}):
        for groups in GROUPS:
            selected = [row for row in rows if row.population.spread == spread and row.groups == groups]
            hits = np.concatenate([row.hits_R for row in selected])
            rarest = np.minimum(np.concatenate([row.rarest_R for row in selected]), RAREST[-1])
            cells = (f"{percent(hits[rarest == number]):5.1f} ({(rarest == number).sum():5})" for number in RAREST)
            print(f"spread {spread}, {groups:3} groups   " + " ".join(f"{text:>13}" for text in cells))


def paired_percentile(ours_SG3K: np.ndarray, theirs_SG3K: np.ndarray) -> tuple[float, float]:
    """Compute the percentile bootstrap interval of the difference, over groups and training runs."""
    trainings, groups = ours_SG3K.shape[:2]
    gains_DS = resampled(theirs_SG3K, multinomial(groups)) - resampled(ours_SG3K, multinomial(groups))
    weights_DS = np.random.default_rng(1).multinomial(trainings, np.full(trainings, 1 / trainings), DRAWS)
    low, high = np.quantile((gains_DS * weights_DS).sum(axis=1) / trainings, LIMITS)
    return float(low), float(high)


def print_differences(tests: int) -> None:
    """Print the table of paired differences."""
    paired = [population for population in populations() if population.name in PAIRED]
    print(f"\n{'differences':24} spread groups trainings noise  truth    percentile          ours")
    for number, population in enumerate(paired):
        for trainings, noise in TRAININGS:
            difference_K = true_difference(population, noise)
            for groups in PAIRED_GROUPS:
                random = np.random.default_rng((number, trainings, groups))
                ours, theirs = draw_pairs(random, (tests, trainings, groups), population, noise)
                truth_R = true_mean(difference_K, ours[:, 0])
                pairs = list(zip(ours, theirs, strict=True))
                before = cell(np.array([paired_percentile(*pair) for pair in pairs]).T, truth_R)
                now = cell(limits_of([difference_interval(*pair, NAMES) for pair in pairs]), truth_R)
                print(
                    f"{title(population)} {groups:6} {trainings:9} {noise:5.2f} {truth_R.mean():+.3f} {before} {now}",
                    flush=True,
                )


def main() -> None:
    """Print the three tables."""
    tests = int(sys.argv[1]) if len(sys.argv) > 1 else TESTS
    print_by_rarest(print_scores(tests))
    print_differences(max(tests // 4, 1))


if __name__ == "__main__":
    main()
