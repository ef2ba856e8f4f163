"""The report of a study has what DVC says of its experiments, and is one page that works in a browser."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.report import main, measure
from pipeline.studies.dataset_tables import Measured
from pipeline.studies.study import Run, load_study, plan
from pipeline.studies.values import override_texts
from tests.browser import DESKTOP, PHONE, Browser, browse
from tests.studies.made import STUDY, finished, study_results, write_scores
from tests.studies.world import DVC, call, make_repository, run_command, run_experiments

SCRIPT = "<script>alert(1)<"
"""As the name of a class, a chip and an experiment: a file name has no slash."""
CLASSES = ("field", SCRIPT)
SHARES = {"dice-1": 0.25, "focal-1": 0.5, "focal-2": 0.75}
"""Share of the pixels that each run predicts correctly: its IoU is share / (2 - share)."""
METRICS = ("summary.json", "evaluate.json")
# a pipeline of one stage, whose "training" copies what its params select
STAGE: dict[str, Any] = {
    "cmd": "cp -r made/${loss}-${seed}/. .",
    "params": ["dataset", "encoder", "loss", "seed", "train"],
    "outs": [
        "plots/train",
        "plots/evaluate",
        *({f"metrics/{name}": {"cache": False}} for name in ("units.csv", "cost.json")),
    ],
    "metrics": [{f"metrics/{name}": {"cache": False}} for name in METRICS],
}


def write_run(folder: Path, share: float, seed: int) -> None:
    """Write what a run writes, with `share` of the pixels of each group predicted correctly."""
    accuracies = dict.fromkeys(CLASSES, {"users_accuracy": share, "producers_accuracy": share})
    calibration = {"temperature": share, "error_before": share / 2, "error_after": share / 4}
    validation = {"paper_iou": share / 3}
    changes = {"classes": accuracies, "calibration": calibration, "validation": validation}
    write_scores(folder / "metrics", share, names=CLASSES, seed=seed, synthetic=True, **changes)
    (folder / "metrics/cost.json").write_text(json.dumps({"seconds": 60, "device": "cpu"}))
    for part in ("train", "val"):
        curves = folder / "plots/train/plots/metrics" / part
        curves.mkdir(parents=True)
        for score in ("loss", "mean_iou", "f_score"):
            (curves / f"{score}.tsv").write_text(f"step\t{score}\n1\t{share / 2}\n2\t{share}\n3\t{share / 1.5}\n")
    predictions = folder / "plots/evaluate/predictions"
    for kind in ("images", "targets", "predictions"):
        (predictions / kind).mkdir(parents=True)
        picture = Image.fromarray(np.full((8, 8, 3), 200, np.uint8))
        (picture if kind == "images" else picture.convert("P")).save(predictions / kind / f"{SCRIPT}.png")
    classes = [{"id": number, "name": name, "colour": [9, 9, 9]} for number, name in enumerate(CLASSES)]
    (predictions / "classes.json").write_text(json.dumps({"classes": classes}))


@dataclass(frozen=True)
class Toy:
    """A repository with three of the four runs of a study, and their report."""

    folder: Path
    runs: dict[str, Run]
    """By arm and seed."""

    @property
    def page(self) -> Path:
        return self.folder / "plots/report/index.html"

    @property
    def tables(self) -> dict[str, list[dict[str, str]]]:
        """Rows of the tables of the study in report.md, by caption."""
        text = (self.folder / "plots/report/report.md").read_text().split("\n## Losses\n")[1]
        tables = {}
        for section in text.split("\n### ")[1:]:
            lines = [line for line in section.splitlines() if line.startswith("|")]
            titles, _, *rows = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
            tables[section.splitlines()[0].split(":")[0]] = [dict(zip(titles, row, strict=True)) for row in rows]
        return tables


@pytest.fixture(scope="module")
def toy(tmp_path_factory: pytest.TempPathFactory) -> Toy:
    folder = tmp_path_factory.mktemp("toy")
    for name, share in SHARES.items():
        write_run(folder / "made" / name, share, int(name[-1]))
    (folder / "toy.yaml").write_text(STUDY)
    make_repository(folder, {"evaluate": STAGE})
    _, study = load_study(str(folder / "toy.yaml"))
    runs = {f"{run.arm.name}-{run.seed}": run for run in plan("toy", study, {}, seeds=2)}
    names = {name: runs[name].name for name in SHARES} | {"focal-1": f"{SCRIPT}-{runs['focal-1'].hash}"}
    run_experiments(folder, {own_name: override_texts(runs[name].overrides) for name, own_name in names.items()})
    output = run_command(folder, main, "toy.yaml", "--seeds", "2")
    assert re.fullmatch(r"report: plots/report/index\.html: 1 study, 3 of 4 runs, 0\.\d MB\n", output)
    return Toy(folder, runs)


@pytest.fixture(scope="module")
def shown(toy: Toy) -> dict[str, dict[str, Any]]:
    """Metrics and params of the experiments in `dvc exp show --json`, by arm and seed."""
    shown = json.loads(call(toy.folder, [*DVC, "exp", "show", "--json"]))
    of_hash = {run.hash: name for name, run in toy.runs.items()}
    found = {}
    for row in shown:
        for experiment in row["experiments"] or ():
            (rev,) = experiment["revs"]
            metrics = {Path(path).stem: file["data"] for path, file in rev["data"]["metrics"].items()}
            found[of_hash[experiment["name"].rpartition("-")[2]]] = metrics | {
                "params": rev["data"]["params"]["params.yaml"]["data"],
                "name": experiment["name"],
                "rev": rev["rev"],
            }
    return found


def test_every_cell_is_recomputed_from_dvc_exp_show(toy: Toy, shown: dict[str, dict[str, Any]]) -> None:
    tables = toy.tables
    assert shown.keys() == SHARES.keys()
    dice, focal, other = (shown[name] for name in SHARES)

    def mean(*keys: str) -> float:
        values = [focal, other]
        for key in keys:
            values = [value[key] for value in values]
        return sum(values) / 2

    low, high = focal["summary"]["mean_iou"], other["summary"]["mean_iou"]
    scores = {
        "runs": "2 of 2 runs",
        "mean IoU, test": f"{mean('summary', 'mean_iou'):.4f}",
        "95 % interval, or range": f"range {low:.4f} to {high:.4f} of 2 seeds",
        "mean IoU as in the paper": f"{mean('evaluate', 'validation', 'paper_iou'):.4f}",
        "paper": "0.875 (section VI); 0.871 (Table IV)",
    }
    (of_dice, of_focal) = tables["Scores (Table IV)"]
    reasons = of_focal.pop("difference")
    assert of_focal == {"arm": "focal"} | scores
    assert of_dice == {
        "arm": "dice",
        "runs": "1 of 2 runs",
        "mean IoU, test": f"{dice['summary']['mean_iou']:.4f}",
        "95 % interval, or range": " to ".join(f"{dice['summary'][f'mean_iou_{end}']:.4f}" for end in ("low", "high")),
        "mean IoU as in the paper": f"{dice['evaluate']['validation']['paper_iou']:.4f}",
        "paper": "–",
        "difference": "–",
    }
    text = (toy.folder / "plots/report/report.md").read_text()
    (listed,) = re.findall(r"^Not comparable, because (.*)\.$", text, re.MULTILINE)
    because = dict(re.findall(r"\((\w+)\) (.*?)(?:;|$)", listed))
    assert reasons == f"not comparable ({', '.join(because)})"
    assert because.pop("a") == "the images are synthetic"
    for reason in because.values():
        key, value, _ = re.fullmatch(r"(.*) is (.*), not (.*)", reason).groups()  # type: ignore[union-attr]
        actual = focal["params"]
        for part in key.split("."):
            actual = actual[part]
        assert str(actual) == value


def test_the_other_tables_are_recomputed_from_dvc_exp_show(toy: Toy, shown: dict[str, dict[str, Any]]) -> None:
    tables = toy.tables
    dice, focal, other = (shown[name] for name in SHARES)
    (pair,) = tables["Paired differences"]
    assert pair["difference of mean IoU"] == f"{focal['summary']['mean_iou'] - dice['summary']['mean_iou']:+.4f}"
    assert (pair["pair"], pair["paired seeds"]) == ("focal minus dice", "1")
    for row, name in zip(tables["Classes"][2:], CLASSES, strict=True):
        both = [each["evaluate"] for each in (focal, other)]
        assert row["IoU"] == f"{sum(each['iou'][name] for each in both) / 2:.4f}"
        for title, key in (("user's accuracy", "users_accuracy"), ("producer's accuracy", "producers_accuracy")):
            assert row[title] == f"{sum(each['classes'][name][key] for each in both) / 2:.4f}"
    calibration = dice["evaluate"]["calibration"]
    assert list(tables["Calibration"][0].values()) == [
        "dice",
        f"{calibration['temperature']:.3f}",
        f"{calibration['error_before']:.4f}",
        f"{calibration['error_after']:.4f}",
    ]
    for row, each in zip(tables["Provenance"], (dice, focal, other), strict=True):
        assert row["experiment"] == each["name"].replace("<", "&lt;").replace(">", "&gt;")
        assert row["commit"] == each["rev"][:10]
        assert row["params"] == f"loss={each['params']['loss']}, seed={each['params']['seed']}"


def test_without_any_run_the_report_is_complete(toy: Toy) -> None:
    output = run_command(toy.folder, main, "-o", "empty")
    assert output.startswith("report: empty/index.html: 6 studies, 0 of ")
    text = (toy.folder / "empty/report.md").read_text()
    for name in ("Table I)", "Table II)", "Table III)", "Table IV)", *(f"Figure {number}" for number in range(2, 9))):
        assert name in text
    assert "| unet-resnet101 | 0 of 1 run | – | – | – | 0.887 (Table IV) | – |" in text


def test_mistakes_are_one_line(toy: Toy, tmp_path: Path) -> None:
    for folder, arguments in ((toy.folder, ("losses", "-o", "toy.yaml")), (tmp_path, ())):  # no folder, no repository
        with pytest.raises(SystemExit, match=r"^report: error: .+$"):
            run_command(folder, main, *arguments)


def test_shares_are_those_of_a_run_with_all_chips_or_of_the_working_tree(tmp_path: Path) -> None:
    folder = tmp_path / "metrics/split"
    folder.mkdir(parents=True)
    here, of_run = {"train": {"classes": {"maize": 1.0}}}, {"train": {"classes": {"field": 1.0}}}
    (folder / "ghana.json").write_text(json.dumps(here))
    (folder / "landcoverai.json").write_text('{"synthetic": true, "refused": "too few"}')
    ghana = Measured(here, "ghana, last run here")
    assert measure(tmp_path, []) == {"ghana": ghana}
    results = study_results(make=lambda run: finished(run, split=of_run))
    assert measure(tmp_path, [results]) == {"ghana": ghana, "landcoverai": Measured(of_run, "landcoverai, archive")}
    for run in results.finished:
        run.params["split"]["skew"]["class"] = "field"
    assert measure(tmp_path, [results]) == {"ghana": ghana}


def test_a_file_that_is_not_json_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "metrics/split").mkdir(parents=True)
    (tmp_path / "metrics/split/ghana.json").write_text("{")
    with pytest.raises(PipelineError, match=r"ghana\.json is not valid JSON \(.*\); run dvc repro$"):
        measure(tmp_path, [])


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with browse(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


LINES = """[...document.querySelectorAll("svg")].map((svg) =>
  [...svg.querySelectorAll(".line")].filter((line) => {
    const box = line.getBoundingClientRect();
    return box.width > 50 && box.height > 5;
  }).map((line) => Number(line.dataset.run)))"""
PICTURES = "[...document.images].map((image) => image.complete && image.naturalWidth)"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_page_in_a_browser(browser: Browser, toy: Toy, size: tuple[int, int]) -> None:
    browser.open(toy.page, size)
    assert browser.problems == []
    assert browser.requests == [toy.page.as_uri()]
    assert browser.evaluate(LINES) == [[0, 0, 1, 1, 2, 2]] * 3
    assert browser.evaluate(PICTURES) == [8] * 4
    assert browser.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert browser.evaluate("Number.parseFloat(getComputedStyle(document.querySelector('td')).fontSize)") >= 14


def test_the_legend_picks_runs(browser: Browser, toy: Toy) -> None:
    browser.open(toy.page)
    arms = "[...document.querySelectorAll('.legend li')].map((item) => item.textContent.trim().split(/\\s+/).join(' '))"
    assert browser.evaluate(arms) == ["dice", "focal seed 1 seed 2", "solid: validation, dashed: training"]
    browser.evaluate("document.querySelectorAll('.legend input')[2].click()")  # seed 1 of focal
    assert browser.evaluate(LINES) == [[0, 0, 2, 2]] * 3
    assert browser.evaluate("document.querySelectorAll('.legend input')[1].indeterminate")
    browser.evaluate("document.querySelectorAll('.legend input')[1].click()")  # focal, both on again
    browser.evaluate("document.querySelectorAll('.legend input')[0].click()")  # dice
    assert browser.evaluate(LINES) == [[1, 1, 2, 2]] * 3
    browser.evaluate("document.querySelectorAll('.legend input')[1].click()")
    assert browser.evaluate(LINES) == [[]] * 3
    assert browser.problems == []
