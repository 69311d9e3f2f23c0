"""Cards: metadata that the Hub's own client reads, and facts without blanks."""

import hashlib
import re
from pathlib import Path

import msgspec
import pytest
import yaml
from huggingface_hub import ModelCard, ModelCardData
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import images, points

import zoo
from zoo.config.model import Config, Data, WeightFile, Weights
from zoo.config.part import Part
from zoo.config.training import TrainingRecord, public
from zoo.folder.card import write_card
from zoo.folder.card_edit import loaded_as, replace_facts
from zoo.folder.read import read_card, read_config
from zoo.folder.weights import count_parameters, untrained_parameters
from zoo.host.registry import catalogue
from zoo.training.recipes import load_recipe

RECIPE = {
    "name": "gravity-digits",
    "license": "cc0-1.0",
    "data": {"use": "digits"},
    "kernel": {"use": "gravity", "t_max": 40.0},
    "network": {"use": "unet", "width": 8},
    "train": {"images": 12_345, "batch": 16, "warmup": 100, "seed": 3},
    "card": {"summary": "Digits.", "datasets": ["ada/digits"], "tags": ["digits", "8x8"]},
}
OUTCOME = {"images_seen": 12_352, "steps_skipped": 0, "final_training_loss": 0.25, "hours": None}


def config(shape=(1, 8, 8), **training):
    kernel, network = Part("gravity", {"t_max": 40.0}), Part("unet", {"width": 8, "mode": "a|b"})
    parts = (kernel, Part("gravity"), network, Part("heun", {"steps": 18}))
    return Config(1, Data(shape), *parts, training=TrainingRecord.decode(training))


def trained(**recipe):
    return config(recipe=RECIPE | recipe, outcome=OUTCOME, data_license="CC BY 4.0")


@pytest.fixture
def text():
    return write_card("gravity-digits", trained(), parameters=count_parameters(images().network))


def matter(text):
    """The front matter as plain YAML sees it."""
    return yaml.safe_load(text.split("---\n")[1])


def test_the_hubs_client_reads_the_metadata(text):
    data = ModelCard(text).data
    assert data.license == "cc0-1.0"
    assert data.library_name == "fieldzoo"
    assert data.pipeline_tag == "unconditional-image-generation"
    assert data.datasets == ["ada/digits"]
    assert data.model_name == "gravity-digits"
    assert data.tags == ["field-diffusion", "ode", "gravity", "digits", "8x8"]


def test_the_card_says_what_the_model_is_and_how_it_was_made(text):
    count = sum(p.numel() for p in images().network.parameters())
    for fact in (
        "# gravity-digits\n",
        "Digits.\n",
        'zoo.load("gravity-digits").sample(16, seed=0)  # (16, 1, 8, 8)',
        "`zoo sample gravity-digits -n 64 -o grid.png`",
        "t_max = 40.0",
        "steps = 18",
        'mode = "a\\|b"',
        f"{count:,} parameters; data of shape 1x8x8 in [-1, 1].",
        "r = |x_t - x_0|",
        "    G = C (t, x_t - x_0) / (t² + r²)^((d+1)/2)",
        "12,345 images of digits in batches of 16",
        "seed 3",
        "| images seen | 12352 |",
        "| final training loss | 0.25 |",
        "Weights: cc0-1.0.",
        "CC BY 4.0",
    ):
        assert fact in text


def test_the_card_says_where_the_training_began_and_by_which_optimiser(text):
    assert "in batches of 16: AdamW, learning rate 0.001 with warmup and cosine," in text
    train = RECIPE["train"] | {"start": "ada/start", "optimizer": "muon", "schedule": "constant"}
    text = write_card("gravity-digits", trained(train=train))
    assert "in batches of 16, from the weights of `ada/start`: Muon, learning rate 0.001" in text
    assert "with warmup and then a constant rate," in text


def card_of(recipe):
    return write_card("mine", config(recipe=recipe))


def test_the_name_of_a_bundled_recipe_repeats_that_recipe_alone():
    bundled = load_recipe("gravity-fashion-mnist").to_dict()
    text = card_of(bundled)
    assert "Repeat it with `zoo train gravity-fashion-mnist`;" in text
    assert matter(text)["datasets"] == ["zalando-datasets/fashion_mnist"]
    changed = card_of({**bundled, "train": {**bundled["train"], "seed": 7}})
    assert "`zoo train FOLDER/config.json` repeats it." in changed
    assert "zoo train gravity-fashion-mnist" not in changed
    assert matter(changed)["datasets"] == ["zalando-datasets/fashion_mnist"]


@pytest.mark.parametrize(
    ("name", "use"), [("gravity-fashion-mnist", "array"), ("mine", "array"), (None, "digits")]
)
def test_a_card_of_other_data_than_the_recipes_says_nothing_of_the_recipes(name, use):
    bundled = load_recipe("gravity-fashion-mnist").to_dict()
    name = name or bundled["name"]
    text = card_of({**bundled, "name": name, "data": {**bundled["data"], "use": use}})
    assert f"images of {use} in batches of" in text
    assert "The recipe is in `config.json`.\n" in text
    assert "zoo train" not in text
    assert "datasets" not in matter(text)
    assert bundled["card"]["summary"] not in text


def test_every_kernel_of_the_zoo_has_a_formula_for_cards():
    for name, found in catalogue("kernels").items():
        if found.plugin.distribution == "fieldzoo":
            assert found.component.formula, name


def test_the_card_names_the_files_with_their_hashes(tmp_path):
    folder = points().save_pretrained(tmp_path / "two-moons")
    text = (folder / "README.md").read_text()
    content = (folder / "model.safetensors").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    assert f"| `model.safetensors` | {len(content):,} | `{digest}` |" in text


def test_weights_elsewhere_are_named_with_place_and_revision():
    files = {"model.safetensors": WeightFile(7, "0" * 64)}
    weights = Weights(files=files, repo="ada/tiny", revision="v1")
    text = write_card("m", msgspec.structs.replace(config(), weights=weights))
    assert "In `ada/tiny` at `v1`:" in text
    newest = msgspec.structs.replace(weights, revision=None)
    text = write_card("m", msgspec.structs.replace(config(), weights=newest))
    assert "In `ada/tiny`:" in text


def test_a_part_without_options_and_a_solver_without_steps_leave_nothing_blank():
    absent = msgspec.structs.replace(config(), prior=Part("sea:calm"), solver=Part("heun"))
    text = write_card("m", absent)
    assert "| prior sampler | `sea:calm` | no options |" in text
    assert "steps = 18" in text


def test_no_fact_is_blank(text):
    assert "None" not in text
    assert "hours" not in text
    for line in text.splitlines():
        heads = ("| part | component | |", "| result | |")
        if line.startswith("|") and line not in heads:
            assert all(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]), line


def test_every_table_row_has_the_cells_of_its_head(text):
    tables = re.findall(r"(?:^\|.*\n)+", text, flags=re.MULTILINE)
    assert len(tables) == 2
    for table in tables:
        assert len({len(re.split(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_a_model_put_together_by_hand_claims_no_license_and_no_training(tmp_path):
    folder = points().save_pretrained(tmp_path / "two-moons")
    text = (folder / "README.md").read_text()
    assert ModelCard(text).data.license == "unknown"
    assert ModelCard(text).data.pipeline_tag is None
    assert "Training" not in text
    assert "parameters; data of shape 2." in text
    assert "A field diffusion model of data of shape 2." in text
    assert 'zoo.load(".").sample(16, seed=0)  # (16, 2)' in text
    count = count_parameters(points().network)
    fresh = write_card("two-moons", read_config(folder), parameters=count)
    assert loaded_as(fresh, ".") == text


@pytest.mark.parametrize(
    "training",
    [{"recipe": "by hand"}, {"recipe": {"name": 3}}, {"recipe": None}, {"outcome": [1]}, {"x": 1}],
)
def test_training_facts_of_another_form_are_left_out(training):
    text = write_card("m", config(**training))
    assert "## Training" not in text
    assert ModelCard(text).data.license == "unknown"


def test_a_part_whose_plugin_is_absent_has_its_options_still():
    absent = msgspec.structs.replace(config(), kernel=Part("sea:wave", {"height": 3}))
    assert "| field kernel | `sea:wave` | height = 3 |" in write_card("m", absent)


# Paths are cut on purpose.
words = st.text(min_size=1).filter(lambda s: s.isprintable() and public(s) == s)


@given(words | st.sampled_from(["yes", "null", "1.0", "a: b", "- x", "#x", "'", '"', "@a", "~"]))
@settings(max_examples=60)
def test_any_text_in_the_metadata_stays_the_text_that_it_is(word):
    text = write_card(word, trained(card={"datasets": [word], "tags": [word]}))
    found = matter(text)
    assert found["model_name"] == word
    assert found["datasets"] == [word]
    assert word in found["tags"]


CARDS = Path(__file__).parents[2] / "model_cards"
OWN = sorted(f.parent for f in CARDS.glob("*/config.json"))
WITH_WEIGHTS = [folder for folder in OWN if read_config(folder).weights.repo is None]


@pytest.mark.parametrize("folder", OWN, ids=lambda folder: folder.name)
def test_the_zoos_cards_have_metadata_that_the_hubs_client_takes(folder):
    data = ModelCard.load(folder / "README.md").data
    assert ModelCardData(**data.to_dict()).to_dict() == data.to_dict()
    assert data.library_name == "fieldzoo"
    assert data.license
    assert data.pipeline_tag == "unconditional-image-generation"
    assert read_config(folder).kernel.use in data.tags


@pytest.mark.parametrize("folder", WITH_WEIGHTS, ids=lambda folder: folder.name)
def test_the_zoos_cards_say_what_config_and_weights_say(folder):
    """Formula, parts, files, training and figures, as they would be written today."""
    card, model = read_card(folder), zoo.load(f"path:{folder}")
    parameters = count_parameters(model.network)
    assert untrained_parameters(read_config(folder), folder.name) == parameters
    fresh = write_card(folder.name, read_config(folder), parameters=parameters)
    assert replace_facts(card, fresh) == card
    assert "](samples.png)" in card
    assert (folder / "samples.png").is_file()


@pytest.mark.parametrize(
    ("shape", "unit"), [((1, 8, 8), "images"), ((2,), "points"), ((3,), "points"), ((8,), "rows")]
)
def test_samples_are_called_what_they_are(shape, unit):
    assert Data(shape).unit == unit
