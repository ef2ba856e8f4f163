"""Pictures of all arms are of the same chips, small, in the classes' colours, or left out."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.studies.pictures import FOLDER, MAX_CHIPS, grids, picture_url
from pipeline.studies.results import Finished
from pipeline.studies.study import Run
from tests.studies.made import STUDY, finished, missing, study_results

PALETTE = bytes((0, 0, 0, 10, 20, 30, 255, 204, 0)) + bytes(759)
CLASSES = {
    "classes": [{"id": 0, "name": "<i>", "colour": [0, 0, 0]}, {"id": 1, "name": "wood", "colour": [10, 20, 30]}]
}


def png(mask_HW: np.ndarray | None = None, image_HWC: np.ndarray | None = None) -> bytes:
    buffer = io.BytesIO()
    if mask_HW is None:
        Image.fromarray(np.zeros((8, 16, 3), np.uint8) if image_HWC is None else image_HWC).save(buffer, "PNG")
    else:
        picture = Image.fromarray(mask_HW)
        picture.putpalette(PALETTE)
        picture.save(buffer, "PNG")
    return buffer.getvalue()


def opened(url: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2])))


class Made:
    """Every experiment has the chips of its arm; a prediction is filled with the number of letters of its arm."""

    def __init__(self, chips: dict[str, list[str]], classes: bool = True) -> None:
        self.chips, self.classes, self.reads = chips, classes, list[str]()

    def _arm(self, rev: str) -> str:
        return next(arm for arm in self.chips if f"-{arm}-" in rev)

    def names_in(self, rev: str, folder: str) -> list[str]:
        assert folder == f"{FOLDER}/predictions"
        return self.chips[self._arm(rev)]

    def read(self, rev: str, path: str) -> bytes:
        self.reads.append(f"{rev}:{path}")
        if path.endswith("classes.json"):
            if not self.classes:
                raise FileNotFoundError(path)
            return json.dumps(CLASSES).encode()
        if path.split("/")[-1] == "gone.png":
            raise FileNotFoundError(path)
        return png() if "/images/" in path else png(np.full((8, 16), len(self._arm(rev)), np.uint8))


def by_name(run: Run) -> Finished:
    """The revision is the name of the experiment."""
    made = finished(run, 0.5)
    object.__setattr__(made.experiment, "rev", run.name)
    return made


def test_a_grid_has_a_row_per_chip_and_a_column_per_arm() -> None:
    made = Made({"dice": ["a.png", "b.png"], "focal": ["b.png", "c.png", "a.png"]})
    (grid,) = grids(study_results(seeds=2, make=by_name), made, 64)  # type: ignore[arg-type]
    assert (grid.caption, grid.synthetic) == ("Predictions (Figure 6)", False)
    assert grid.columns == ("image", "target", "dice", "focal")
    assert [chip for chip, _ in grid.rows] == ["a", "b"]
    assert grid.classes == (("<i>", "#000000"), ("wood", "#0a141e"), ("ignored", "#ffffff"))
    image, target, dice, focal = grid.rows[0][1]
    assert (opened(image).format, opened(target).format) == ("JPEG", "PNG")
    assert [int(np.asarray(opened(url))[0, 0]) for url in (target, dice, focal)] == [4, 4, 5]
    assert not any("-2-" in read for read in made.reads)  # the first seed only


def test_chips_that_cannot_be_read_are_left_out_and_there_is_a_limit() -> None:
    chips = [f"{number:02}.png" for number in range(MAX_CHIPS - 1)] + ["gone.png", "more.png", "most.png"]
    (grid,) = grids(study_results(make=by_name), Made({"dice": chips, "focal": chips}), 64)  # type: ignore[arg-type]
    assert len(grid.rows) == MAX_CHIPS - 1


def test_arms_of_other_test_sets_have_their_own_grid() -> None:
    def make(run: Run) -> Finished:
        made = by_name(run)
        made.params["dataset"] = {"dice": "ghana", "focal": "landcoverai"}[run.arm.name]
        return made

    made = grids(study_results(make=make), Made({"dice": ["a.png"], "focal": ["a.png"]}), 64)  # type: ignore[arg-type]
    assert [grid.columns for grid in made] == [("image", "target", "dice"), ("image", "target", "focal")]
    assert [grid.caption for grid in made] == ["Predictions (Figure 6), ghana", "Predictions (Figure 6), landcoverai"]


def test_without_pictures_there_is_no_grid() -> None:
    nothing = Made({"dice": [], "focal": []}, classes=False)
    assert grids(study_results(make=by_name), nothing, 64) == []  # type: ignore[arg-type]
    assert grids(study_results(make=missing), nothing, 64) == []  # type: ignore[arg-type]
    some = Made({"dice": ["a.png"], "focal": []}, classes=False)
    (grid,) = grids(study_results(STUDY, make=by_name), some, 64)  # type: ignore[arg-type]
    assert (grid.columns, grid.classes) == (("image", "target", "dice"), ())


@pytest.mark.parametrize(("side", "size"), [(64, (16, 8)), (8, (8, 4)), (1, (1, 1))])
def test_pictures_are_reduced_to_the_longest_side(side: int, size: tuple[int, int]) -> None:
    assert opened(picture_url(png(), side)).size == size
    assert opened(picture_url(png(np.zeros((8, 16), np.uint8)), side)).size == size


def test_masks_keep_their_classes_and_colours() -> None:
    mask_HW = np.kron(np.array([[0, 1], [2, 1]], np.uint8), np.ones((4, 4), np.uint8))
    picture = opened(picture_url(png(mask_HW), 2))
    np.testing.assert_array_equal(np.asarray(picture), [[0, 1], [2, 1]])
    np.testing.assert_array_equal(np.asarray(picture.convert("RGB"))[1, 0], [255, 204, 0])


def test_what_is_no_picture_is_one_line() -> None:
    for content in (b"no picture", png()[:40]):
        with pytest.raises(PipelineError, match=r"^a picture of plots/evaluate/predictions cannot be read \(.*\); run"):
            picture_url(content, 64)
