"""The scores of a study beside the published ones, and the paired differences of its arms."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import mean

from pipeline.core.errors import PipelineError
from pipeline.evaluation.intervals import MIN_SEEDS, Interval, mean_iou_interval
from pipeline.evaluation.verdict import Comparison, compare_results
from pipeline.studies.comparable import why_not_comparable
from pipeline.studies.results import ArmResults, StudyResults, is_skewed
from pipeline.studies.study import Published
from pipeline.studies.table import ABSENT, Table, score_text
from pipeline.studies.values import look_up

MIN_CHIPS = 30
"""Training chips of a skewed arm below which there is no verdict."""
LEAK_AXIS = "split.neighbours"
SCORE_NAMES = {"mean_iou": "mean IoU", "pixel_accuracy": "pixel accuracy"}
PAPER_KEYS = {"mean_iou": "paper_iou", "pixel_accuracy": "pixel_accuracy"}
"""From published score to its key in `validation` of metrics/evaluate.json, since the paper scored validation chips."""


def scores_table(results: StudyResults) -> Table:
    """Make a row per arm: runs, mean IoU, its spread; and the published scores where the study has any."""
    published = results.study.published
    names = [name for name in SCORE_NAMES if any(score.score == name for score in published)]
    paper = [f"{SCORE_NAMES[name]} as in the paper" for name in names]
    extra = (*paper, "paper", "difference") if published else ()
    titles = ("arm", "runs", "mean IoU, test", "95 % interval, or range", *extra)
    reasons = _number_reasons(results) if published else {}
    rows = []
    for arm in results.arms:
        scores, limits = [result.mean_iou for result in arm.by_seed], spread(arm)
        row: tuple[str, ...] = (arm.arm.name, arm.progress, score_text(mean(scores) if scores else None), limits.text)
        if published:
            own = [score for score in published if score.arm == arm.arm.name]
            ours = [score_text(arm.mean_of("evaluate", "validation", PAPER_KEYS[name])) for name in names]
            row += (*ours, "; ".join(map(_published_text, own)) or ABSENT, _difference_cell(arm, own, reasons))
        rows.append(row)
    numbers = ("mean IoU, test", *paper)
    notes = [
        "Mean IoU of the test chips: the mean over seeds"
        + (", each pooled over its folds." if results.folds else ".")
        + " Of one seed the 95 % interval, which covers the sampling of the test set, not training; of several the "
        "range of the seeds."
    ]
    notes += approximate_notes(map(spread, results.arms))
    if published:
        notes.append(
            "As in the paper: of validation chips; IoU over all pixels and classes of 32 chips at a time, averaged. "
            "The difference is ours minus the paper's, only where data and settings are the paper's."
        )
    if reasons:
        listed = "; ".join(f"({label}) {reason}" for reason, label in reasons.items())
        notes.append(f"Not comparable, because {listed}.")
    notes += [problem for arm in results.arms for problem in arm.problems]
    caption = with_counterpart("Scores", results.study.counterparts.table)
    return Table.of(caption, titles, rows, notes, results.synthetic, numbers=numbers)


@dataclass(frozen=True)
class Limits:
    """An interval or range as text."""

    text: str
    why_approximate: str | None = None


def spread(arm: ArmResults) -> Limits:
    """Describe the interval of one seed, or the range of several."""
    by_seed = arm.by_seed
    if not by_seed:
        return Limits(ABSENT)
    if len(by_seed) > 1:
        scores = [result.mean_iou for result in by_seed]
        return Limits(f"range {min(scores):.4f} to {max(scores):.4f} of {len(scores)} seeds")
    (only,) = by_seed
    if only.folds > 1:
        return interval_limits(mean_iou_interval(only.counts_G3K, only.classes), len(only.groups), ".4f")
    evaluate = next(run.evaluate for run in arm.finished if run.result is only)
    low, high = evaluate.get("mean_iou_low"), evaluate.get("mean_iou_high")
    if low is None or high is None:
        return interval_limits(None, look_up(evaluate, "interval", "units") or len(only.groups), ".4f")
    return Limits(f"{low:.4f} to {high:.4f}", look_up(evaluate, "interval", "why_approximate"))


def interval_limits(interval: Interval | None, groups: int, form: str) -> Limits:
    """Format an interval, or why there is none."""
    if interval is None:
        return Limits(f"none: {groups} independent groups")
    return Limits(f"{interval.low:{form}} to {interval.high:{form}}", interval.why_approximate)


def approximate_notes(limits: Iterable[Limits]) -> list[str]:
    """List once why intervals are approximate."""
    reasons = dict.fromkeys(each.why_approximate for each in limits if each.why_approximate)
    return [f"The intervals are approximate: {'; '.join(reasons)}."] if reasons else []


def _published_text(score: Published) -> str:
    value = " to ".join(f"{number:g}" for number in _limits(score))
    name = "" if score.score == "mean_iou" else f"{SCORE_NAMES[score.score]} "
    return f"{name}{value} ({score.where})"


def _limits(score: Published) -> tuple[float, ...]:
    return score.value if isinstance(score.value, tuple) else (score.value,)


def _number_reasons(results: StudyResults) -> dict[str, str]:
    """Letter the reasons why scores of the study cannot be compared, in the order in which they occur."""
    with_paper = {score.arm for score in results.study.published}
    runs = [run for arm in results.arms if arm.arm.name in with_paper for run in arm.finished]
    reasons = dict.fromkeys(reason for run in runs for reason in why_not_comparable(run.params, run.evaluate))
    return {reason: _label(index) for index, reason in enumerate(reasons)}


def _label(index: int) -> str:
    """Return the label of a footnote: a to z, aa, ab and so on."""
    return (_label(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def _difference_cell(arm: ArmResults, published: Sequence[Published], labels: dict[str, str]) -> str:
    if not (arm.finished and published):
        return ABSENT
    own = {reason for run in arm.finished for reason in why_not_comparable(run.params, run.evaluate)}
    if own:
        return f"not comparable ({', '.join(label for reason, label in labels.items() if reason in own)})"
    return "; ".join(_difference(arm, score) for score in published)


def _difference(arm: ArmResults, score: Published) -> str:
    ours, limits = arm.mean_of("evaluate", "validation", PAPER_KEYS[score.score]), _limits(score)
    if ours is None:
        return ABSENT
    if min(limits) <= ours <= max(limits) and len(limits) > 1:
        return "within the range"
    return f"{ours - min(limits, key=lambda limit: abs(ours - limit)):+.4f}"


def differences_table(results: StudyResults) -> Table:
    """Compare every two values of each axis of `compare` where the other axes have the same values."""
    rows, limits = [], list[Limits]()
    for axis, first, second in pairs(results):
        of_first, of_second = first.arm.values[axis], second.arm.values[axis]
        name = ", ".join(filter(None, [f"{of_second} minus {of_first}", second.arm.without(axis)]))
        if not (first.by_seed and second.by_seed):
            rows.append((name, ABSENT, ABSENT, ABSENT, "not yet: runs are missing"))
            continue
        try:
            comparison = compare_results(first.by_seed, second.by_seed)
        except PipelineError as error:
            rows.append((name, ABSENT, ABSENT, ABSENT, str(error)))
            continue
        limits.append(interval_limits(comparison.interval, comparison.groups, "+.4f"))
        verdict = _why_no_verdict(results, axis, first, second) or _verdict(comparison, of_first, of_second)
        rows.append((name, f"{comparison.difference:+.4f}", limits[-1].text, str(len(comparison.seeds)), verdict))
    numbers = ("difference of mean IoU", "paired seeds")
    titles = ("pair", "difference of mean IoU", "95 % interval", "paired seeds", "verdict")
    notes = [
        "Paired by seed, on the same test chips. The interval covers the sampling of the test set and, with several "
        f"seeds, of training; a verdict needs {MIN_SEEDS} seeds."
    ]
    if len(rows) > 1:
        notes.append(
            "Each interval holds for its own pair: of many pairs without any difference, one in twenty excludes 0."
        )
    notes += approximate_notes(limits)
    return Table.of("Paired differences", titles, rows, notes, results.synthetic, numbers=numbers)


def pairs(results: StudyResults) -> Iterator[tuple[str, ArmResults, ArmResults]]:
    """Yield axis and two arms that differ in it only."""
    for axis in results.study.compare:
        for first, second in combinations(results.arms, 2):
            if {name for name, value in first.arm.values.items() if second.arm.values[name] != value} == {axis}:
                yield axis, first, second


def _verdict(comparison: Comparison, first: str, second: str) -> str:
    verdicts = {"first": f"{first} is better", "second": f"{second} is better", "neither": "no significant difference"}
    return verdicts.get(comparison.verdict, comparison.verdict)


def _why_no_verdict(results: StudyResults, axis: str, first: ArmResults, second: ArmResults) -> str:
    """Return why a pair has no verdict, whatever its interval; empty if it has one."""
    if axis == LEAK_AXIS and (first.synthetic or second.synthetic):
        return "synthetic: says nothing"
    for arm in (first, second):
        chips = min(arm.values("split", "train", "chips"), default=MIN_CHIPS)
        if is_skewed(results) and chips < MIN_CHIPS:
            return f"no verdict: {arm.arm.name} has {chips:.0f} training chips, at least {MIN_CHIPS} are needed"
    return ""


def with_counterpart(caption: str, counterpart: str) -> str:
    """Add the study's table or figure that a part of the report corresponds to."""
    return f"{caption} ({counterpart})" if counterpart else caption
