"""Models in diffusers' format where diffusers is not installed, and its schedules by formula."""

import itertools
import json
import math
import re
import sys
from importlib import metadata

import pytest
from click.testing import CliRunner
from common import one_line
from zoo_diffusers.format import DiffusersFormat
from zoo_diffusers.layout import folder_of, weights_of
from zoo_diffusers.schedule import betas, levels, prediction

import zoo
from zoo import ZooError
from zoo.cli import main
from zoo.config.model import parse_config
from zoo.folder.read import is_own
from zoo.formats.files import LocalFiles
from zoo.models.names import entries, own_folders

UNET = {"_class_name": "UNet2DModel", "sample_size": 8, "in_channels": 3, "out_channels": 3}
SCHEDULER = {"_class_name": "DDPMScheduler", "num_train_timesteps": 1000}
LIFTED = {
    "gravity-cifar10": "google/ddpm-cifar10-32",
    "gravity-celebahq-256": "google/ddpm-celebahq-256",
    "gravity-church-256": "google/ddpm-church-256",
    "gravity-bedroom-256": "google/ddpm-bedroom-256",
    "gravity-cat-256": "google/ddpm-cat-256",
}


@pytest.fixture
def absent(monkeypatch):
    """diffusers is neither installed nor to be imported."""
    version = metadata.version

    def without(name):
        if name == "diffusers":
            raise metadata.PackageNotFoundError(name)
        return version(name)

    monkeypatch.setattr("zoo.host.requirements.metadata.version", without)
    monkeypatch.setitem(sys.modules, "diffusers", None)


@pytest.fixture
def repository():
    return {
        "config.json": json.dumps(UNET).encode(),
        "scheduler_config.json": json.dumps(SCHEDULER).encode(),
        "diffusion_pytorch_model.bin": bytes(100),
    }


def test_the_models_are_listed_with_what_they_need(absent):
    done = CliRunner().invoke(main, ["list", "gravity-*"])
    for name in LIFTED:
        (line,) = [line for line in done.output.splitlines() if line.startswith(name)]
        assert line.endswith("needs diffusers>=0.42")
    shown = CliRunner().invoke(main, ["show", "gravity-cifar10"]).output
    assert "pip install 'diffusers>=0.42'" in shown
    assert "trained under the Gaussian kernel, by its authors" in shown
    assert "at google/ddpm-cifar10-32@267b167dc01f0e4e61923ea244e8b988f84deb80\n" in shown
    shown = CliRunner().invoke(main, ["show", "gravity-church-256"]).output
    assert re.search("^weights +at google/ddpm-church-256$", shown, re.MULTILINE)


@pytest.mark.parametrize("name", LIFTED)
def test_loading_one_says_what_to_install(absent, hub, name):
    with pytest.raises(ZooError) as caught:
        zoo.load(name)
    assert one_line(caught) == f"{name} needs diffusers>=0.42: pip install 'diffusers>=0.42'"
    assert hub.requests == []


def test_so_does_a_repository_and_before_its_weights_are_fetched(absent, hub, repository):
    hub.store.add("google/tiny", repository)
    with pytest.raises(ZooError, match=r"pip install 'diffusers>=0\.42'"):
        zoo.load("google/tiny")
    assert hub.asked("GET", ".bin") == []


def test_so_does_the_network_itself(absent):
    with pytest.raises(ZooError, match=r"pip install 'diffusers>=0\.42'") as caught:
        zoo.network(
            "diffusers",
            shape=(3, 8, 8),
            kernel=zoo.kernel("gaussian", dim=192),
            unet=UNET,
            scheduler=SCHEDULER,
        )
    one_line(caught)


def test_its_absence_breaks_nothing(absent):
    assert "diffusers" in zoo.components("networks")
    done = CliRunner().invoke(main, ["plugins"])
    (line,) = [line for line in done.output.splitlines() if line.startswith("diffusers")]
    assert line.endswith("ok")


@pytest.mark.parametrize("name", LIFTED)
def test_the_card_and_the_config_say_whose_network_it_is(name):
    (entry,) = [entry for entry in entries() if entry.name == name]
    config, card = entry.config, (own_folders() / name / "README.md").read_text()
    assert config.kernel.use == "gravity"
    assert config.lifted_from.use == "gaussian"
    assert config.weights.repo == LIFTED[name]
    assert config.weights.files == {}
    flat = " ".join(card.split())
    assert "trained under the Gaussian kernel, by its authors and not by fieldzoo" in flat
    assert f"base_model: {LIFTED[name]}\n" in card
    assert "license: apache-2.0\n" in card
    if config.weights.revision is None:
        assert "at its branch `main`" in flat
    else:
        assert re.fullmatch("[0-9a-f]{40}", config.weights.revision)
        assert config.weights.revision in card


# Schedules


def test_levels_are_those_of_the_formula():
    found = levels(SCHEDULER)
    product = 1.0
    for n, sigma in enumerate(found):
        product *= 1 - (1e-4 + (0.02 - 1e-4) * n / 999)
        assert sigma == pytest.approx(math.sqrt(1 / product - 1), rel=1e-9)
    assert all(later > earlier for earlier, later in itertools.pairwise(found))


def test_the_cosine_schedule():
    table = betas({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 50})

    def abar(u):
        return math.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2

    assert table[10] == pytest.approx(1 - abar(11 / 50) / abar(10 / 50))
    assert table[-1] == 0.999


def test_the_other_schedules_and_defaults():
    scaled = betas({"beta_schedule": "scaled_linear", "beta_start": 0.01, "beta_end": 0.04})
    assert scaled[0] == pytest.approx(0.01)
    assert scaled[-1] == pytest.approx(0.04)
    assert math.sqrt(scaled[333]) == pytest.approx(0.1 + 0.1 * 333 / 999)
    assert betas({"trained_betas": [0.1, 0.2]}) == [0.1, 0.2]
    assert betas({}) == betas(SCHEDULER)


@pytest.mark.parametrize(
    ("scheduler", "kind"),
    [
        ({}, "epsilon"),
        ({"predict_epsilon": False}, "sample"),
        ({"predict_epsilon": True}, "epsilon"),
        ({"prediction_type": "v_prediction"}, "v_prediction"),
    ],
)
def test_what_is_predicted_also_in_files_of_2022(scheduler, kind):
    assert prediction(scheduler) == kind


def test_levels_that_are_beyond_all_numbers_are_told():
    assert math.isfinite(levels({"trained_betas": [0.999] * 100})[-1])
    with pytest.raises(ZooError, match="from time step 101 on there is no signal"):
        levels({"trained_betas": [0.999] * 200})


# Formats


def test_layouts():
    flat = ["config.json", "scheduler_config.json", "diffusion_pytorch_model.bin"]
    assert folder_of(flat, "x", averaged=False) == ""
    assert weights_of(flat, "", "x", None).name == "diffusion_pytorch_model.bin"
    both = [*flat, "diffusion_pytorch_model.safetensors"]
    assert weights_of(both, "", "x", None).name == "diffusion_pytorch_model.safetensors"
    pipeline = ["model_index.json", "unet/config.json", "unet/diffusion_pytorch_model.bin", *flat]
    assert folder_of(pipeline, "x", averaged=False) == "unet/"
    assert weights_of(pipeline, "unet/", "x", None).name == "unet/diffusion_pytorch_model.bin"


def test_a_config_of_the_zoo_is_none_of_diffusers(tmp_path):
    for folder in own_folders().iterdir():
        assert parse_config((folder / "config.json").read_bytes(), "config")
        assert is_own(folder)
        assert DiffusersFormat().read(LocalFiles(folder)) is None
    (tmp_path / "config.json").write_text(json.dumps(UNET))
    assert not is_own(tmp_path)
    with pytest.raises(ZooError, match=r"has no scheduler_config\.json"):
        DiffusersFormat().read(LocalFiles(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps([UNET]))
    assert is_own(tmp_path)


@pytest.mark.parametrize("content", [b"{", b"[1]", b"\xff"])
def test_settings_that_are_none(hub, repository, content):
    hub.store.add("google/tiny", {**repository, "scheduler_config.json": content})
    with pytest.raises(ZooError, match=r"scheduler_config\.json") as caught:
        zoo.load("google/tiny")
    one_line(caught)
