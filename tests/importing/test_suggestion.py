"""A suggested classes.yaml is valid, and has a class for every value, colour or attribute that was found."""

from collections import Counter

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.errors import PipelineError
from pipeline.importing.label_contents import Contents
from pipeline.importing.rules import LabelRules
from pipeline.importing.suggestion import suggest


def parsed(text: str) -> LabelRules:
    return LabelRules.model_validate(yaml.safe_load(text))


@settings(max_examples=40)
@given(st.dictionaries(st.integers(-5, 70000), st.integers(1, 9), min_size=1, max_size=60))
def test_every_value_has_a_class(values: dict[int, int]) -> None:
    rules = parsed(suggest(Contents(Counter(values))))
    targets = {value: rules.remap.get(value, value) for value in values}
    assert set(targets.values()) <= set(rules.ids)
    assert len(set(targets.values())) == len(values)
    names = dict(zip(rules.ids, rules.names, strict=True))
    assert all(names[targets[value]] == f"class {value}" for value in values)


@settings(max_examples=20)
@given(st.dictionaries(st.tuples(*[st.integers(0, 255)] * 3), st.integers(1, 9), min_size=1, max_size=50))
def test_every_exact_colour_has_a_class(colours: dict[tuple[int, int, int], int]) -> None:
    rules = parsed(suggest(Contents(colours=Counter(colours))))
    assert set(colours) <= {entry.colour for entry in rules.classes}
    assert rules.colours.tolerance == 0


@settings(max_examples=40)
@given(
    st.dictionaries(
        st.text(st.characters(exclude_categories=("C", "Z")), min_size=1).filter(lambda text: text != "NULL"),
        st.floats(0.1, 9),
        min_size=2,
        max_size=9,
    )
)
def test_every_value_of_an_attribute_has_a_class(areas: dict[str, float]) -> None:
    rules = parsed(suggest(Contents(attributes={"kind": Counter(areas)})))
    if not all(value.removeprefix("-").isdecimal() for value in areas):
        assert set(rules.names) == set(areas)
    assert len(rules.classes) == len(areas)
    assert rules.polygons.attribute == "kind"


def test_masks_of_0_and_255() -> None:
    assert suggest(Contents(Counter({0: 3, 255: 1}))).splitlines() == [
        "classes:",
        '  - {id: 0, name: "background", colour: "#e64545"}  # 75.00 % of the pixels',
        '  - {id: 1, name: "foreground", colour: "#4574e6"}  # 25.00 % of the pixels',
        "remap: {255: 1}",
    ]


def test_a_palette_gives_the_colours() -> None:
    contents = Contents(Counter({1: 1, 4: 1}), {1: (255, 0, 0), 4: (0, 0, 255)})
    assert [entry.colour for entry in parsed(suggest(contents)).classes] == [(255, 0, 0), (0, 0, 255)]


def test_many_colours_are_taken_to_be_inexact() -> None:
    colours = Counter({(255, 0, 0): 60000, (0, 0, 0): 60000} | {(n, n, n): 1 for n in range(1, 80)})
    rules = parsed(suggest(Contents(colours=colours)))
    assert [entry.colour for entry in rules.classes] == [(0, 0, 0), (255, 0, 0)]
    assert (rules.colours.tolerance, rules.colours.edges) == (30, "ignore")


def test_the_attribute_with_few_values_and_a_fitting_name_is_chosen() -> None:
    attributes = {
        "fid": Counter({"1": 1.0, "2": 1.0}),
        "height": Counter({"3": 1.0, "4": 1.0}),
        "landuse": Counter({"wood": 1.0, "field": 3.0, "NULL": 1.0}),
        "remark": Counter({f"text {number}": 1.0 for number in range(90)}),
    }
    text = suggest(Contents(attributes=attributes))
    assert parsed(text).polygons.attribute == "landuse"
    assert parsed(text).polygons.values == {"NULL": "ignore"}
    assert '  - {id: 0, name: "field", colour: "#e64545"}  # 75.00 % of the area' in text
    assert '# another attribute is "height": 3, 4\n' in text


def test_codes_of_polygons_keep_their_numbers_or_are_remapped() -> None:
    rules = parsed(suggest(Contents(attributes={"code": Counter({"111": 1.0, "311": 1.0})})))
    assert rules.ids == (0, 111)
    assert rules.remap == {311: 0}


@pytest.mark.parametrize(("attributes", "name"), [({}, "object"), ({"kind": Counter({"building": 5.0})}, "building")])
def test_a_single_class_gets_a_background(attributes: dict[str, Counter[str]], name: str) -> None:
    rules = parsed(suggest(Contents(attributes=attributes)))
    assert rules.names == ("background", name)
    assert rules.polygons.background == "background"


def test_more_values_than_classes_are_refused() -> None:
    with pytest.raises(PipelineError, match="the masks have 256 values, more than the 255 classes"):
        suggest(Contents(Counter(dict.fromkeys(range(1000, 1256), 1))))


def test_more_colours_than_any_class_has_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"the masks have 2000 colours, none in 0.1% of the pixels"):
        suggest(Contents(colours=Counter({(n % 256, n // 256, 0): 1 for n in range(2000)})))


def test_colours_of_a_jpeg_are_those_that_are_far_from_more_frequent_ones() -> None:
    colours = Counter({(0, 0, 0): 60, (2, 1, 0): 20, (254, 0, 0): 30, (255, 1, 1): 9})
    rules = parsed(suggest(Contents(colours=colours, is_exact=False)))
    assert [entry.colour for entry in rules.classes] == [(0, 0, 0), (254, 0, 0)]
    assert rules.colours.tolerance == 30


def test_declared_no_data_is_named() -> None:
    text = suggest(Contents(Counter({1: 1}), nodata=Counter({"0": 3})))
    assert text.endswith("# 0 is declared no-data, in 75.00 %: ignored, unless made a class\n")
    with pytest.raises(PipelineError, match="the masks contain only no-data, declared as 0"):
        suggest(Contents(nodata=Counter({"0": 3})))


def test_the_layer_that_was_read_is_named() -> None:
    contents = Contents(attributes={"kind": Counter({"wood": 1.0})}, layers=("trees", "roads", "lakes"))
    assert parsed(suggest(contents)).polygons.layer == "trees"
    assert suggest(contents).endswith('# other layers are "roads", "lakes"\n')


def test_a_rare_value_that_is_nearly_another_may_be_a_typo() -> None:
    attributes = {"kind": Counter({"building": 90.0, "bulding": 2.0, "road": 50.0})}
    text = suggest(Contents(attributes=attributes))
    typo = '# "bulding" may be a typo: remove its line, and add to polygons values: {bulding: building}'
    assert typo in text.splitlines()
    equal = Counter({"field a": 9.0, "field b": 9.0})
    assert "typo" not in suggest(Contents(attributes={"kind": equal}))


def test_the_line_that_makes_a_background_is_ready_to_paste() -> None:
    text = suggest(Contents(attributes={"kind": Counter({"road": 1.0, "wood": 1.0})}))
    line = next(line for line in text.splitlines() if line.endswith("background: other}"))
    pasted = [row for row in text.splitlines() if not row.startswith(("polygons:", "#"))]
    rules = parsed("\n".join([*pasted, "  - {id: 9, name: other}", line.removeprefix("# ")]))
    assert rules.polygons.background == "other"


def test_values_beside_colours_are_mentioned() -> None:
    text = suggest(Contents(Counter({0: 1, 7: 1}), colours=Counter({(255, 0, 0): 1, (0, 0, 0): 1})))
    assert text.splitlines()[-1] == "# other masks hold values, such as 0, 7: they must be the ids above, or in remap"
