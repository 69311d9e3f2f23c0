"""Cards that are there already: what a push changes in them, and what it never does."""

import msgspec
import pytest
import yaml
from huggingface_hub import ModelCardData

from zoo.config.model import Config, Data, WeightFile, Weights
from zoo.config.part import Part
from zoo.folder.card import END, FACTS, write_card
from zoo.folder.card_edit import license_of, refresh, replace_facts


def config():
    part = Part("gravity")
    return Config(1, Data((1, 8, 8)), part, part, part, Part("heun", {"steps": 18}))


def test_only_the_block_of_facts_is_renewed():
    old = write_card("m", config()).replace("# m\n", "# Mine\n").replace("steps = 18", "steps = 9")
    new = write_card("m", config())
    assert replace_facts(old, new) == new.replace("# m\n", "# Mine\n")
    assert (
        replace_facts("---\nlicense: mit\n---\nMine.\n", new) == "---\nlicense: mit\n---\nMine.\n"
    )


@pytest.mark.parametrize("lost", [FACTS, END])
def test_a_mark_that_was_deleted_by_hand_costs_no_prose(lost):
    fresh = write_card("m", config())
    by_hand = fresh.replace(lost, "") + "\n## Thanks\n\nTo everybody.\n"
    found = refresh(by_hand, fresh)
    assert "## Thanks\n\nTo everybody." in found
    assert found.count(FACTS) == found.count(END) == 1
    assert found.index("To everybody.") < found.index(FACTS) < found.index(END)
    assert refresh(found, fresh) == found


def test_figures_of_other_weights_do_not_stay():
    def card(sha256):
        files = {"model.safetensors": WeightFile(5, sha256 * 64)}
        return write_card("m", msgspec.structs.replace(config(), weights=Weights(files=files)))

    index = "model-index:\n- name: m\n  results: []\n"
    measured = card("a").replace("---\nlicense", f"---\n{index}license")
    assert index in measured
    assert index in refresh(measured, card("a"))
    assert index not in refresh(measured, card("b"))


BOMB = "\n".join([f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 9)])


@pytest.mark.parametrize(
    "matter",
    [
        "license: [unclosed",
        "- a list",
        "to_dict: hides the method",
        "1: no text",
        f"a0: &a0 x\n{BOMB}\nmodel-index: *a8",
    ],
)
def test_a_front_matter_that_cannot_be_read_stays_as_it_is(matter):
    fresh = write_card("m", config())
    found = refresh(f"---\n{matter}\n---\nMine.\n", fresh)
    assert found.startswith(f"---\n{matter}\n---\nMine.\n\n{FACTS}")
    assert license_of(found) == ""


def test_a_fresh_card_that_cannot_be_read_brings_its_facts_alone():
    fresh = write_card("m", config())
    broken = fresh.replace("license: unknown", "license: [unclosed").replace(
        "steps = 18", "steps = 9"
    )
    assert refresh(fresh, broken) == fresh.replace("steps = 18", "steps = 9")


def test_keys_of_ones_own_stay_in_their_order():
    by_hand = "---\nextra: [a, b]\nlicense: mit\ndate: 2026-01-02\n---\n"
    found = refresh(by_hand, write_card("m", config()))
    matter = found.split("---\n")[1]
    keys = [*ModelCardData(**yaml.safe_load(matter)).to_dict()]
    assert matter.startswith("extra:\n- a\n- b\nlicense: mit\ndate: 2026-01-02\nlibrary_name: f")
    assert {"tags", "model_name"} <= {*keys}
    assert refresh(found, write_card("m", config())) == found


@pytest.mark.parametrize(
    ("card", "license"),
    [
        ("---\nlicense: mit\n---\n", "mit"),
        ("---\ntags: [x]\nlicense:  cc-by-4.0 \n---\n", "cc-by-4.0"),
        ("---\nlicense: [unclosed\n---\n", ""),
        ("---\nlicense:\n- mit\n---\n", ""),
        ("license: mit\n", ""),
        ("", ""),
    ],
)
def test_the_license_that_a_card_names(card, license):
    assert license_of(card) == license
