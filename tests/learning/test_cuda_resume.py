"""On an NVIDIA GPU, `deterministic` gives the same bytes in every process, after an interruption too."""

import signal
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

from pipeline.learning.progress import TrainingProgress
from tests.learning.cuda import MARKS, make_world
from tests.learning.test_checkpoint import RESUMING, finish, results, stop
from tests.learning.world import Run, World

pytestmark = MARKS
ON_GPU: dict[str, Any] = {"device": "cuda", "deterministic": True, "epochs": 6}
NAMES = ("unet 1", "unet 2", "unet killed", "unetplusplus 1", "unetplusplus 2")
"""Trainings: the architecture, and which of them."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def outcomes(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, bytes]]:
    """What trainings in processes of their own, and scoring in others, wrote; all at once, each with its own cache."""
    out = tmp_path_factory.mktemp("runs")

    def outcome(name: str) -> dict[str, bytes]:
        run = Run(world, out / name, warnings="default", cache=out / f"cache of {name}")
        params = ON_GPU | {"architecture": name.split()[0]}
        if "killed" in name:
            assert stop(run, 2, **params)[0] == -signal.SIGKILL
        assert (RESUMING in finish(run, **params)) == ("killed" in name)
        code, output = run.evaluate(device="cuda")
        assert code == 0, output
        return results(run)

    with ThreadPoolExecutor() as pool:
        return dict(zip(NAMES, pool.map(outcome, NAMES), strict=True))


@pytest.mark.parametrize(
    ("first", "second"), [("unet 1", "unet 2"), ("unet 1", "unet killed"), ("unetplusplus 1", "unetplusplus 2")]
)
def test_processes_train_and_score_to_the_same_bytes(
    outcomes: dict[str, dict[str, bytes]], first: str, second: str
) -> None:
    one, other = outcomes[first], outcomes[second]
    assert {"model/model.safetensors", "train.json", "scores.json", "units.csv"} < one.keys() == other.keys()
    assert [name for name in one if one[name] != other[name]] == []


class InterruptionError(Exception):
    """Ends a training as a bug would, so that its checkpoint stays."""


def test_fp16_skips_steps_whose_gradients_overflow_and_resumes_with_the_scale(
    world: World, tmp_path: Path, own_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scale = 2.0**40  # halved by each step that overflows: about two dozen of the 40 steps of the first epoch
    monkeypatch.setattr(torch.amp, "GradScaler", partial(torch.amp.GradScaler, init_scale=scale))
    fp16: dict[str, Any] = ON_GPU | {"precision": "fp16", "epochs": 3, "steps": 120, "lr": 0.003, "lr_step": 2}
    for name in ("whole", "interrupted"):
        (tmp_path / name).mkdir()
    world.train(tmp_path / "whole", **fp16)
    losses = pd.read_csv(tmp_path / "whole/plots/plots/metrics/train/loss.tsv", sep="\t")["loss"]
    assert losses.iloc[-1] < 0.7 * losses.iloc[0]

    start = TrainingProgress.on_train_epoch_start

    def interrupt(progress: TrainingProgress, trainer: Any, task: Any) -> None:
        if trainer.current_epoch == 1:
            raise InterruptionError
        start(progress, trainer, task)

    with monkeypatch.context() as patch, pytest.raises(InterruptionError):
        patch.setattr(TrainingProgress, "on_train_epoch_start", interrupt)
        world.train(tmp_path / "interrupted", **fp16)
    (saved,) = own_cache.glob("training/*/epoch.ckpt")
    checkpoint = torch.load(saved, map_location="cpu", weights_only=True)
    assert checkpoint["epoch"] == 0
    assert 2.0**8 <= checkpoint["MixedPrecision"]["scale"] <= scale / 2**10
    world.train(tmp_path / "interrupted", **fp16)
    assert results(Run(world, tmp_path / "interrupted")) == results(Run(world, tmp_path / "whole"))
