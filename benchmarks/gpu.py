"""What a GPU makes of training: the network alone, whole steps, readers, the stage `train`, and how near the floor.

    make repro && python -m benchmarks.gpu [CHIPS] [full | small] [--json FILE] [--only SECTION ...]

For a few minutes on an NVIDIA GPU: sections come in the order of their importance, each line is printed at once, and no
failure stops the others. Ended early, as by `timeout 240`, it still prints the tables. `small`, the default without a
GPU, tries all of it on a CPU, where its figures mean nothing.

CHIPS are those of LandCover.ai's sample, 512 px. U-Net with ResNet34 comes first and in every detail, then the others;
batches of 32, bf16. Times are medians between two events of the GPU. The stage trains on copies of the chips, as many
as LandCover.ai has, for three epochs; with other settings and networks on fewer. Ends with tables in Markdown, and with
exit code 1 if anything failed. Needs neither a repository nor rasterio.
"""

import argparse
import gc
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from benchmarks._gpu_floor import report_floor, report_loss_floors
from benchmarks._gpu_parts import measure_parts
from benchmarks._gpu_readers import measure_readers
from benchmarks._gpu_report import Report
from benchmarks._gpu_setup import FULL, SMALL, Setup
from benchmarks._gpu_steps import measure_compiled_step, measure_deterministic_step, measure_steps
from benchmarks._gpu_train import StageSetting, later_runs, measure_stage
from benchmarks._machine import machine
from pipeline.core.fingerprint import versions
from pipeline.learning.cost import PACKAGES

CHIPS = Path("data/chips/landcoverai")
SIZES = {"full": FULL, "small": SMALL}
NAMES = ("step", "train", "parts", "networks", "readers", "floor", "variants", "compile")
"""What `--only` may name."""
SMI = "name,driver_version,memory.total,power.limit,clocks.max.sm"


@dataclass(frozen=True)
class Section:
    """Figures of one subject."""

    name: str
    """One of `NAMES`."""
    title: str
    subject: str
    run: Callable[[], None]


def sections(setup: Setup) -> Iterator[Section]:
    """Return all sections, the most important ones first; compiling may take minutes."""
    first, *others = setup.size.networks
    classes, batch, report = len(setup.table.classes), setup.size.batch, setup.report
    main, subject = StageSetting(first, setup.size.full), str(first)
    yield Section("step", f"steps of {first}", subject, partial(measure_steps, setup, first))
    yield Section("train", f"train, {first}", subject, partial(measure_stage, setup, main))
    yield Section("parts", "the parts of a step", subject, partial(measure_parts, setup, first))
    yield Section("parts", "a deterministic step", subject, partial(measure_deterministic_step, setup, first))
    for network in others:
        yield Section("networks", f"steps of {network}", str(network), partial(measure_steps, setup, network))
    yield Section("readers", "readers", "", partial(measure_readers, setup))
    for network in setup.size.networks:
        title = f"the floor of {network}"
        yield Section("floor", title, str(network), partial(report_floor, report, network, classes, batch))
    yield Section("floor", "the floor of losses", subject, partial(report_loss_floors, report, classes, batch))
    for setting in later_runs(setup):
        yield Section("variants", f"train, {setting}", str(setting), partial(measure_stage, setup, setting))
    yield Section("compile", "a compiled step", subject, partial(measure_compiled_step, setup, first))


def describe_machine(setup: Setup) -> dict[str, str]:
    """Return the GPU, its driver, the processor, and versions of libraries."""
    gpu = "none"
    if setup.on_cuda:
        command = ["nvidia-smi", f"--query-gpu={SMI}", "--format=csv,noheader"]
        try:
            gpu = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip().replace("\n", "; ")
        except (OSError, subprocess.CalledProcessError):
            gpu = torch.cuda.get_device_name()
    shared_memory = shutil.disk_usage("/dev/shm").total / 1e9 if Path("/dev/shm").is_dir() else 0
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {
        f"GPU ({SMI})": gpu,
        "processor": machine(),
        "/dev/shm": f"{shared_memory:.1f} GB",
        "precision": setup.device.precision,
        "CUDA": str(torch.version.cuda),
        "cuDNN": str(cudnn),
        "Python": sys.version.split()[0],
        **versions(PACKAGES),
    }


def release_memory(setup: Setup) -> None:
    """Give the memory of earlier sections back to the GPU, where the stage needs it."""
    gc.collect()
    if setup.on_cuda:
        torch.cuda.empty_cache()


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    lines = (__doc__ or "").split("\n\n")
    result = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=lines[0])
    default = "full" if torch.cuda.is_available() else "small"
    result.add_argument("chips", type=Path, nargs="?", default=CHIPS, help=f"the chips folder; default {CHIPS}")
    result.add_argument("size", choices=SIZES, nargs="?", default=default, help="default here: %(default)s")
    result.add_argument("--json", type=Path, metavar="FILE", help="write all figures to a file, after each line")
    result.add_argument("--only", nargs="+", choices=NAMES, default=NAMES, metavar="SECTION", help=", ".join(NAMES))
    return result


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything, print it, and return the exit code."""
    options = parser().parse_args(arguments)
    if not (options.chips / "chips.csv").is_file():
        sys.exit(f"benchmarks.gpu: error: {options.chips} has no chips.csv; run `make repro`")
    report = Report(options.json)
    with tempfile.TemporaryDirectory() as scratch:
        setup = Setup(options.chips.resolve(), Path(scratch), SIZES[options.size], report)
        report.machine = describe_machine(setup)
        for name, value in report.machine.items():
            print(f"{name}: {value}", flush=True)
        try:
            for section in sections(setup):
                if section.name in options.only:
                    with report.section(section.title, section.subject):
                        release_memory(setup)
                        section.run()
        finally:  # also when it is ended early
            print(f"\n{report.tables()}", flush=True)
            report.write()
    return 1 if report.failures else 0


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # `timeout` sends it: end with the tables
    sys.exit(main())
