"""The stage `train` end to end, compared with its steps; used by `benchmarks.gpu`.

Chips per second count training and validation chips, both once an epoch. What an epoch would take at the speed of the
network alone is the training chips at its speed forward and backward, plus the validation chips at its speed forward.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from benchmarks._gpu_report import BARE, EPOCH, FORWARD, OF_BARE, OF_STEPS, STEP, STUDY, VALIDATION
from benchmarks._gpu_setup import ChipCount, Network, Setup
from benchmarks._train_stage import StageRun, run_stage

EPOCHS = 40
"""Of the study."""
LIMIT = 240
"""Seconds of a run, after which it is ended."""
VARIANTS: dict[str, dict[str, Any]] = {
    "deterministic": {"deterministic": True},
    "cache none": {"cache": "none"},
    "compile": {"compile": True},
}


@dataclass(frozen=True)
class StageSetting:
    """A run of the stage: network, number of chips, and changes to `train` of params.yaml."""

    network: Network
    count: ChipCount
    changes: dict[str, Any] = field(default_factory=dict)
    variant: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (str(self.network), self.variant)))


def later_runs(setup: Setup) -> Iterator[StageSetting]:
    """Return the runs that follow the first one."""
    size = setup.size
    for variant in size.variants:
        if variant == "networks":
            yield from (StageSetting(network, size.few) for network in size.networks[1:])
        else:
            yield StageSetting(size.networks[0], size.few, VARIANTS[variant], variant)


def measure_stage(setup: Setup, setting: StageSetting) -> None:
    """Run the stage for three epochs; report the speed of the last two, and its ratio to that of the steps."""
    (folder, ids), count = setup.copies, setting.count
    parts = {"train": ids[: count.train], "val": ids[-count.val :]}
    run = run_stage(folder, parts, setup.params(setting.network, **setting.changes), LIMIT)
    print("".join(f"  {line}" for line in run.lines if line.startswith(("train: ", "epoch "))), end="", flush=True)
    times = StageTimes.of(run, count)
    _report_times(setup, run, times, count)
    measured = times.epoch(setup.size.full.total / count.total)
    for name, *of_steps in ((OF_BARE, BARE, FORWARD), (OF_STEPS, STEP, VALIDATION)):
        # variants too are compared with the steps of the network as it is by default
        train, val = (setup.report.rate(step, str(setting.network)) for step in of_steps)
        if train and val:
            _report_ratio(setup, name, (train, val), measured)
        else:
            setup.report.remark(name, "unknown, since the steps were not measured")


@dataclass(frozen=True)
class StageTimes:
    """Seconds of a run of the stage."""

    first: float
    """From its start to the end of the first epoch: imports, hashing, reading, the first steps."""
    work: float
    """Training and validation of a later epoch."""
    between: float
    """From there to the next epoch: checkpoint and curves."""
    last: float
    """After the last epoch: temperature and model."""

    @classmethod
    def of(cls, run: StageRun, count: ChipCount) -> "StageTimes":
        """Compute them from the lines of the epochs; the first epoch counts apart."""
        ends = [epoch.ended for epoch in run.epochs]
        work = statistics.mean(count.total / epoch.chips_per_second for epoch in run.epochs[1:])
        whole = (ends[-1] - ends[0]) / (len(ends) - 1)
        return cls(ends[0], work, max(0.0, whole - work), run.seconds - ends[-1])

    def epoch(self, scale: float) -> float:
        """Return the seconds of an epoch with its checkpoint, of `scale` times as many chips."""
        return scale * self.work + self.between


def _report_times(setup: Setup, run: StageRun, times: StageTimes, count: ChipCount) -> None:
    report, chips = setup.report, f"{count.train:,} training and {count.val:,} validation chips"
    report.add(EPOCH, times.work, "s", rate=count.total / times.work, note=f"counted: {chips}")
    report.add("train: checkpoint and curves of an epoch", times.between, "s")
    report.add("train: from its start to the end of the first epoch", times.first, "s")
    report.add("train: from the last epoch to its end", times.last, "s", note="temperature and model")
    report.add("train: peak memory", run.cost["peak_memory_mb"] / 1000, "GB", note=f"train.cache: {run.cost['cache']}")
    if count == setup.size.full:
        study = times.first + (EPOCHS - 1) * times.epoch(1) + times.last
        report.add(STUDY, study / 60, "min", note=f"{chips}, start and end included")


def _report_ratio(setup: Setup, name: str, speeds: tuple[float, float], measured: float) -> None:
    """Report which share of the speed of its steps the stage reaches, on as many chips as LandCover.ai has.

    Args:
        setup: with the report.
        name: of the ratio.
        speeds: of training and validation steps, in chips per second.
        measured: seconds of an epoch of the stage.
    """
    full, (train, val) = setup.size.full, speeds
    predicted = full.train / train + full.val / val
    terms = f"({full.train:,} / {train:.1f} + {full.val:,} / {val:.1f} = {predicted:.2f} s) / {measured:.2f} s"
    setup.report.add(name, predicted / measured, "", note=f"{terms} with checkpoint")
