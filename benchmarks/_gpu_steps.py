"""Training steps of a network on a batch in the device's memory; used by `benchmarks.gpu`."""

import itertools
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch

from benchmarks._gpu_report import BARE, FORWARD, MEMORY, OVERHEAD, STEP, VALIDATION
from benchmarks._gpu_setup import Network, Setup
from benchmarks._predict_common import peak_mb
from pipeline.learning.data import Chips
from pipeline.learning.distributed import SINGLE_PROCESS
from pipeline.learning.task import Task
from pipeline.train import Training, TrainParams, build_task, training_loaders

STEPS = 64
"""Batches of an epoch; each has its own augmentation."""
COMPILED = "training step, compiled"
DETERMINISTIC = "training step, deterministic"


@contextmanager
def training_flags(setup: Setup, deterministic: bool = False) -> Iterator[None]:
    """Set the global flags of torch as the trainer of `pipeline.learning.fit` does; restore them."""
    before = torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()
    workspace = os.environ.get("CUBLAS_WORKSPACE_CONFIG")
    torch.backends.cudnn.benchmark = setup.on_cuda and not deterministic
    torch.use_deterministic_algorithms(deterministic)
    if deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before[0]
        torch.use_deterministic_algorithms(before[1])
        os.environ.pop("CUBLAS_WORKSPACE_CONFIG", None)
        if workspace is not None:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = workspace


def compile_as_fit(task: Task) -> None:
    """Compile what `pipeline.learning.fit.fit` compiles."""
    if task.config.compile:
        task.compile_steps()


class Steps:
    """A task as `train` builds it, its optimizer, and a batch of chips on the device."""

    def __init__(self, setup: Setup, network: Network, **train: Any) -> None:
        """Build it for a network; `train`: changes to this section of params.yaml."""
        self.device, values = setup.device, setup.params(network, workers=0, **train)
        params = TrainParams.model_validate({name: values[name] for name in TrainParams.model_fields})
        chips = Chips(setup.chips, setup.repeated(STEPS * setup.size.batch), setup.table)
        parts = {"train": chips, "val": chips}
        task = build_task(Training(parts, {}, params, params.network(chips, setup.table)), SINGLE_PROCESS)
        loader, _ = training_loaders(parts, params)
        task.prepare(self.device, loader.batch_sampler)  # type: ignore[arg-type]
        compile_as_fit(task)
        self.task = task.to(self.device.name).train()
        self.optimizer: torch.optim.Optimizer = task.configure_optimizers()["optimizer"]
        images_NCHW, masks_NHW = next(iter(loader))
        self.images_NCHW, self.masks_NHW = images_NCHW.to(self.device.name), masks_NHW.to(self.device.name)
        self._numbers = itertools.cycle(range(len(loader)))
        task.on_train_epoch_start()

    def prepare_network(self) -> None:
        """Compute what the network alone needs: normalised images, and a gradient of its logits."""
        segmenter, memory_format = self.task.segmenter, self.device.memory_format
        normalised_NCHW = (self.images_NCHW.float() - segmenter.mean) / segmenter.std
        self.normalised_NCHW = normalised_NCHW.contiguous(memory_format=memory_format)
        self.gradient_NKHW = 1e-3 * torch.randn_like(self._forward())

    def learn_network(self) -> None:
        """Make a step of the network alone, with a gradient that is given."""
        logits_NKHW = self._forward()
        self.optimizer.zero_grad()
        torch.autograd.backward(logits_NKHW, self.gradient_NKHW)
        self.optimizer.step()

    def predict_network(self) -> None:
        """Compute the logits of the network alone; as in validation after `task.eval()`."""
        with torch.inference_mode():
            self._forward()

    def learn(self) -> None:
        """Make a training step as Lightning does."""
        with self.device.autocast():
            loss = self.task.training_step((self.images_NCHW, self.masks_NHW), next(self._numbers))
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        self.optimizer.step()

    def validate(self) -> None:
        """Make a validation step as Lightning does, after `task.eval()`."""
        with torch.inference_mode(), self.device.autocast():
            self.task.validation_step((self.images_NCHW, self.masks_NHW), 0)

    def logits(self) -> torch.Tensor:
        """Return logits_NKHW, float32, of the batch; without gradients."""
        with torch.no_grad(), self.device.autocast():
            images_NCHW = self.images_NCHW.contiguous(memory_format=self.device.memory_format)
            logits_NKHW: torch.Tensor = self.task.segmenter(images_NCHW)
        return logits_NKHW

    def _forward(self) -> torch.Tensor:
        with self.device.autocast():
            logits_NKHW: torch.Tensor = self.task.segmenter.net(self.normalised_NCHW)
        return logits_NKHW


def measure_steps(setup: Setup, network: Network) -> None:
    """Measure the network alone and whole steps, in training and in validation."""
    report, batch = setup.report, setup.size.batch
    with training_flags(setup):
        steps = Steps(setup, network)
        if setup.on_cuda:
            torch.cuda.reset_peak_memory_stats()
        with report.attempt(STEP):
            report.time(STEP, setup.milliseconds(steps.learn), batch)
            peak = torch.cuda.max_memory_allocated() / 1e9 if setup.on_cuda else peak_mb() / 1e3
            report.add(MEMORY, peak, "GB", note="" if setup.on_cuda else "resident, of this process")
        steps.prepare_network()
        for name, run in ((BARE, steps.learn_network), (FORWARD, steps.predict_network), (VALIDATION, steps.validate)):
            steps.task.train(name == BARE)
            with report.attempt(name):
                report.time(name, setup.milliseconds(run), batch)
    whole, alone = report.find(STEP), report.find(BARE)
    if whole and alone:
        report.add(OVERHEAD, whole.value / alone.value, "")


def measure_deterministic_step(setup: Setup, network: Network) -> None:
    """Measure the training step of `train.deterministic`."""
    with training_flags(setup, deterministic=True):
        milliseconds = setup.milliseconds(Steps(setup, network, deterministic=True).learn)
    default = setup.report.find(STEP)
    note = f"{milliseconds / default.value:.2f} times as long as by default" if default else ""
    setup.report.time(DETERMINISTIC, milliseconds, setup.size.batch, note)


def measure_compiled_step(setup: Setup, network: Network) -> None:
    """Measure the training step of `train.compile`, and how long compiling takes.

    On a CPU nothing is compiled: it takes a minute and brings nothing.
    """
    stance = nullcontext() if setup.on_cuda else torch.compiler.set_stance("force_eager")
    with training_flags(setup), stance:
        steps = Steps(setup, network, compile=True)
        start = time.perf_counter()
        steps.learn()
        if setup.on_cuda:
            torch.cuda.synchronize()
        note = "with the first step" if setup.on_cuda else "not compiled without a GPU"
        setup.report.add("compiling", time.perf_counter() - start, "s", note=note)
        setup.report.time(COMPILED, setup.milliseconds(steps.learn), setup.size.batch)
    if setup.on_cuda:
        torch.compiler.reset()
