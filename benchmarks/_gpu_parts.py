"""The parts of a training step, each alone, and whether a step synchronises; used by `benchmarks.gpu`."""

import itertools
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import torch

from benchmarks._gpu_report import Report
from benchmarks._gpu_setup import Network, Setup
from benchmarks._gpu_steps import Steps, training_flags
from benchmarks._train_stage import ROOT
from pipeline.learning.augment import KINDS, distort, random_flip_rotate
from pipeline.learning.batches import Stream, generator
from pipeline.learning.confusion import argmax, confusion_matrix
from pipeline.learning.losses import LOSSES, LossConfig

LOSS = "loss {}, forward and backward"
SYNCHRONISES = "a training step synchronises"


def measure_parts(setup: Setup, network: Network) -> None:
    """Measure losses, scores and augmentation on the logits of a network, and look for synchronisation."""
    with training_flags(setup):
        steps = Steps(setup, network)
        runs = _losses(steps) | _scores(steps) | _augmentation(steps)
        for name, run in runs.items():
            with setup.report.attempt(name):
                setup.report.time(name, setup.milliseconds(run), setup.size.batch)
        with setup.report.attempt(SYNCHRONISES):
            check_synchronisation(setup.report, steps, setup.on_cuda)


def _losses(steps: Steps) -> dict[str, Callable[[], object]]:
    logits_NKHW, device = steps.logits().requires_grad_(), steps.device
    targets_NHW = steps.masks_NHW.long()

    def timed(loss: torch.nn.Module) -> Callable[[], object]:
        def run() -> None:
            logits_NKHW.grad = None
            with device.autocast():
                value = loss(logits_NKHW, targets_NHW)
            torch.autograd.backward(value)

        return run

    return {LOSS.format(name): timed(make(LossConfig()).to(device.name)) for name, make in LOSSES.items()}


def _scores(steps: Steps) -> dict[str, Callable[[], object]]:
    logits_NKHW, classes = steps.logits(), len(steps.task.names)
    predicted_NHW = argmax(logits_NKHW)
    return {
        "argmax": lambda: argmax(logits_NKHW),
        "confusion matrix": lambda: confusion_matrix(predicted_NHW, steps.masks_NHW, classes),
    }


def _augmentation(steps: Steps) -> dict[str, Callable[[], object]]:
    batch, numbers = (steps.images_NCHW, steps.masks_NHW), itertools.count()
    return {
        "random_flip_rotate": lambda: random_flip_rotate(*batch, generator(Stream.AUGMENTATION, next(numbers))),
        "distort, all kinds": lambda: distort(*batch, KINDS, generator(Stream.DISTORTIONS, next(numbers))),
    }


class Learner(Protocol):
    """What makes training steps: `Steps`."""

    def learn(self) -> None:
        """Make a training step."""


def check_synchronisation(report: Report, steps: Learner, on_cuda: bool) -> None:
    """Remark whether the CPU waits for the GPU in a training step, and where first."""
    if not on_cuda:
        report.remark(SYNCHRONISES, "not checked without a GPU")
        return
    steps.learn()  # what only happens in the first step
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        steps.learn()
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        report.remark(SYNCHRONISES, f"yes, at {_place(error)}: {str(error).splitlines()[0]}")
    else:
        report.remark(SYNCHRONISES, "no")
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _place(error: BaseException) -> str:
    """Return the innermost line of this project in the traceback."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).is_relative_to(ROOT) and ".venv" not in frame.filename]
    return f"{Path(own[-1].filename).relative_to(ROOT)}:{own[-1].lineno}" if own else "an unknown line"
