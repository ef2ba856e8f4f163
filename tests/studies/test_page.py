"""The page and its Markdown show every table and figure, mark synthetic data, and no name in them is markup."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from pipeline.core.errors import PipelineError
from pipeline.studies.dataset_tables import class_tables
from pipeline.studies.page import Report, Section, escape_markdown, fit_page, render_markdown, render_page
from pipeline.studies.pictures import Grid
from pipeline.studies.results import Finished, StudyResults
from pipeline.studies.study import Run
from tests.studies.made import STUDY, finished, missing, study_results
from tests.studies.test_details import LEAK, SKEWED

SCRIPT = "<script>alert(1)</script>"
PIXEL = "data:image/png;base64,iVBORw0KGgo="


class Page(HTMLParser):
    """The tags of a page, the URLs in their attributes, and its text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags, self.urls, self.texts, self._raw = list[str](), list[str](), list[str](), False
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self._raw = tag in ("script", "style")
        self.urls += [value or "" for key, value in attrs if key in ("src", "href", "xlink:href", "srcset", "action")]

    def handle_endtag(self, tag: str) -> None:
        self._raw = False

    def handle_data(self, data: str) -> None:
        if not self._raw and data.strip():
            self.texts.append(" ".join(data.split()))


def made(*studies: StudyResults, chip: str = "chip", class_name: str = "field") -> Report:
    grid = Grid(
        "Predictions",
        ("image", "target", "focal"),
        ((chip, (PIXEL, PIXEL, PIXEL)),),
        ((class_name, "#0a141e"),),
        any(results.synthetic for results in studies),
    )
    sections = tuple(replace(Section.of(results), grids=(grid,) if results.finished else ()) for results in studies)
    return Report(sections, tuple(class_tables({})), "0123456789", "python -m pipeline.report")


def test_the_page_contains_everything_and_refers_to_nothing_else() -> None:
    page = Page(render_page(made(study_results(seeds=2), study_results(SKEWED, make=missing, name="b"))))
    assert all(url.startswith(("data:", "#")) for url in page.urls)
    assert {"link", "iframe", "object"}.isdisjoint(page.tags)
    assert (page.tags.count("script"), page.tags.count("style")) == (1, 1)
    assert page.tags.count("svg") == 3
    assert {"Scores (Table IV)", "Mean IoU over the epochs (Figure 2)", "A note."} <= set(page.texts)
    assert "mine (Table IV, Figure 2, Figure 6): 4 of 4 runs" in page.texts
    assert "url(" not in render_page(made(study_results()))


def test_missing_runs_are_shown_as_missing() -> None:
    report = made(study_results(seeds=5, make=missing))
    page = Page(render_page(report))
    assert page.texts.count("0 of 5 runs") == 2
    assert page.texts.count("No run is done yet.") == 4  # three charts, pictures
    assert "Predictions (Figure 6)" in page.texts
    assert {"svg", "img"}.isdisjoint(page.tags)
    assert "| focal | 0 of 5 runs | – | – | – | 0.875 (section VI); 0.871 (Table IV) | – |" in render_markdown(report)


def test_curves_and_pictures_that_are_not_in_the_cache_are_named() -> None:
    results = study_results(make=lambda run: finished(run, curves={}))
    page = Page(render_page(Report((Section.of(results),), (), "", "")))
    assert page.texts.count("Not in DVC's cache; of experiments from a remote, dvc exp pull fetches it.") == 4


def hostile() -> Report:
    def make(run: Run) -> Finished:
        results = finished(run, 0.5, cost={"device": SCRIPT, "revision": SCRIPT}, data=SCRIPT)
        object.__setattr__(results.experiment, "name", SCRIPT)
        result = replace(results.result, classes=(SCRIPT, "road"))
        return replace(results, result=result)

    text = STUDY.replace("title: Losses", f"title: {SCRIPT}").replace("A note.", SCRIPT).replace("section VI", SCRIPT)
    text = text.replace("loss: [dice, focal]", "loss: [dice, focal]\n  other: {none: {}}")
    text = text.replace("arm: focal", "arm: focal-none") + f"watch: '{SCRIPT}'\n"
    return made(study_results(text, make=make), chip=SCRIPT, class_name=SCRIPT)


def test_names_are_text_in_the_page() -> None:
    page = Page(render_page(hostile()))
    assert page.tags.count("script") == 1
    shown = " ".join(page.texts)
    assert shown.count(SCRIPT) >= 9  # title twice, note, published, class, chip, experiments, device


def test_names_are_text_in_markdown() -> None:
    text = render_markdown(hostile())
    assert "<script" not in text
    assert text.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 8


def test_markdown_is_escaped() -> None:
    assert escape_markdown("a|b *c* `d` [e](f) <g> &amp; #h\ni") == (
        r"a\|b \*c\* \`d\` \[e\](f) &lt;g&gt; &amp;amp; #h i"
    )
    assert escape_markdown("# a") == r"\# a"
    assert escape_markdown(3) == 3


def test_every_row_of_markdown_has_the_cells_of_its_table() -> None:
    text = render_markdown(
        made(
            study_results(STUDY.replace("dice, focal", "dice, focal, ce")),
            study_results(LEAK, name="b", make=lambda run: finished(run, 0.5)),
        )
    )
    blocks = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    assert len(blocks) == 3 + 6 + 7
    for block in blocks:
        counts = {len(re.findall(r"(?<!\\)\|", line)) for line in block.splitlines()}
        assert len(counts) == 1
        assert re.fullmatch(r"\|( (---|--:) \|)+", block.splitlines()[1])
    assert "](" not in text


@pytest.mark.parametrize("synthetic", [True, False])
def test_synthetic_data_is_marked_on_every_table_and_figure(synthetic: bool) -> None:
    studies = [
        study_results(text, name=name, make=lambda run: finished(run, 0.5, evaluate={"synthetic": synthetic}))
        for text, name in ((STUDY, "a"), (SKEWED, "b"), (LEAK, "c"))
    ]
    report = replace(made(*studies), class_tables=())
    captions = re.findall(r"<(summary|figcaption)>(.*?)</\1>", render_page(report), re.DOTALL)
    assert len(captions) == 6 + 8 + 7 + 3 * 4
    assert [("synthetic data" in text) for _, text in captions] == [synthetic] * len(captions)
    headings = re.findall(r"^### (.*)", render_markdown(report), re.MULTILINE)
    assert len(headings) == 6 + 8 + 7
    assert [heading.endswith(": synthetic data") for heading in headings] == [synthetic] * len(headings)


def test_pictures_are_reduced_until_the_page_is_small_enough() -> None:
    tried = []

    def draw(results: StudyResults, side: int) -> list[Grid]:
        tried.append((results.name, side))
        return [Grid("Predictions", ("image",), (("chip", (PIXEL + 1000 * side * "A",)),), (), False)]

    page = fit_page(made(study_results()), draw, limit=250_000, sides=(256, 192, 128, 64))
    assert tried == [("mine", 256), ("mine", 192)]
    assert 192_000 < len(page.encode()) <= 250_000
    with pytest.raises(PipelineError, match=r"^the page has 0\.\d MB, at most 0\.05 are allowed; name fewer studies"):
        fit_page(made(study_results()), draw, limit=50_000)
