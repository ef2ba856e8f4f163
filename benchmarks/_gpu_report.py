"""What `benchmarks.gpu` measured: a line for each figure at once, a JSON file, and tables for the documentation."""

import json
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

BARE = "network alone: forward, backward, fused Adam"
FORWARD = "network alone: forward, without gradients"
STEP = "training step: augmentation, network, loss, confusion matrix, Adam"
VALIDATION = "validation step: network, loss, confusion matrix"
OVERHEAD = "training step / network alone, in time"
MEMORY = "peak memory of training steps"
EPOCH = "train: an epoch, without its checkpoint"
STUDY = "train: 40 epochs (extrapolated from epochs 2 and 3)"
OF_BARE = "train / network alone, in speed"
OF_STEPS = "train / whole steps, in speed"
ARITHMETIC = "floor by arithmetic, training"
BYTES = "floor by eager bytes, training"
OF_FLOOR = "network alone, of the nearer floor"
"""Names of the figures that are looked up or are in the table of networks."""


@dataclass(frozen=True)
class Figure:
    """A measured or computed number."""

    subject: str
    """The network, with what differs from the defaults."""
    name: str
    value: float
    unit: str
    chips_per_second: float | None = None
    note: str = ""


@dataclass
class Report:
    """All figures, remarks and failures of a run."""

    path: Path | None = None
    """JSON file, written anew after each line."""
    machine: dict[str, str] = field(default_factory=dict)
    figures: list[Figure] = field(default_factory=list)
    remarks: list[tuple[str, str]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    subject: str = ""
    """Of the figures that follow."""
    _start: float = field(default_factory=time.perf_counter)

    @contextmanager
    def section(self, title: str, subject: str = "") -> Iterator[None]:
        """Measure several figures of one subject; print a title with the seconds since the start."""
        self.subject = subject
        print(f"\n== {title} (at {time.perf_counter() - self._start:.0f} s)", flush=True)
        with self.attempt(title):
            yield

    @contextmanager
    def attempt(self, name: str) -> Iterator[None]:
        """Measure what may fail without stopping the rest."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, other measurements go on
            traceback.print_exc(file=sys.stderr)
            text = str(error).strip()
            self.failures.append(f"{name}: {text.splitlines()[0] if text else type(error).__name__}")
            self._print(name, f"FAILED: {self.failures[-1].removeprefix(f'{name}: ')}")

    def add(self, name: str, value: float, unit: str, *, rate: float | None = None, note: str = "") -> None:
        """Record a figure; `rate` in chips per second."""
        self.figures.append(Figure(self.subject, name, value, unit, rate, note))
        speed = "" if rate is None else f"{rate:10.1f} chips/s"
        self._print(name, f"{value:10.2f} {unit:3} {speed} {note}".rstrip())

    def time(self, name: str, milliseconds: float, chips: int, note: str = "") -> None:
        """Record the time that a batch takes."""
        self.add(name, milliseconds, "ms", rate=1000 * chips / milliseconds, note=note)

    def remark(self, name: str, text: str) -> None:
        """Record what is no number."""
        self.remarks.append((f"{self.subject}: {name}".removeprefix(": "), text))
        self._print(name, text)

    def find(self, name: str, subject: str | None = None) -> Figure | None:
        """Return a figure of a subject, by default the current one; None if it was not measured."""
        wanted = self.subject if subject is None else subject
        return next((figure for figure in self.figures if (figure.subject, figure.name) == (wanted, name)), None)

    def rate(self, name: str, subject: str | None = None) -> float | None:
        """Return the chips per second of a figure, see `find`."""
        figure = self.find(name, subject)
        return figure.chips_per_second if figure else None

    def write(self) -> None:
        """Write the JSON file, if there is one."""
        if self.path:
            content = {"machine": self.machine, "figures": [asdict(figure) for figure in self.figures]}
            content |= {"remarks": dict(self.remarks), "failures": self.failures}
            partial = self.path.with_name(f"{self.path.name}.partial")
            partial.write_text(json.dumps(content, indent=1), encoding="utf-8")
            partial.replace(self.path)

    def tables(self) -> str:
        """Return Markdown: the machine, a row for each network, and a row for each other figure."""
        lines = [", ".join(f"{name} {value}" for name, value in self.machine.items()), "", *self._networks(), ""]
        lines += ["| of | figure | value | chips/s | |", "|---|---|---:|---:|---|"]
        for figure in self.figures:
            rate = "" if figure.chips_per_second is None else f"{figure.chips_per_second:,.0f}"
            cells = figure.subject, figure.name, f"{figure.value:,.2f} {figure.unit}", rate, figure.note
            lines.append(f"| {' | '.join(cells)} |")
        lines += [f"| {name} | {text} | | | |" for name, text in self.remarks]
        return "\n".join([*lines, *(f"\nFAILED: {failure}" for failure in self.failures)])

    def _networks(self) -> list[str]:
        """Return the rows of the networks; speeds in chips per second."""
        columns = {
            "floor by arithmetic": ARITHMETIC,
            "floor by bytes": BYTES,
            "network alone": BARE,
            "of the nearer floor": OF_FLOOR,
            "training step": STEP,
            "`train`, validation chips too": EPOCH,
            "`train` / network alone": OF_BARE,
            "`train` / whole steps": OF_STEPS,
            "40 epochs": STUDY,
            "peak memory": MEMORY,
        }
        subjects = dict.fromkeys(figure.subject for figure in self.figures if figure.name in (BARE, BYTES, EPOCH))
        rows = [f"| network | {' | '.join(columns)} |", f"|---{'|---:' * len(columns)}|"]
        for subject in subjects:
            rows.append(f"| {subject} | {' | '.join(self._cell(name, subject) for name in columns.values())} |")
        return rows

    def _cell(self, name: str, subject: str) -> str:
        figure = self.find(name, subject)
        if figure is None:
            return "not measured"
        if figure.chips_per_second is not None:
            return f"{figure.chips_per_second:,.0f}"
        return f"{figure.value:.2f} {figure.unit}".rstrip()

    def _print(self, name: str, text: str) -> None:
        print(f"{name:66} {text}", flush=True)
        self.write()
