"""Repositories of diffusers made to do harm, in every layout: a model or one line comes of them."""

import json
import shutil

import pytest
from cage import Cage, hostile
from diffusers import (
    DDPMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    ScoreSdeVeScheduler,
)
from diffusers_repositories import autoencoder, dit_pipeline, files, ldm, saved, unet
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
SCHEDULERS = {
    "ddpm": DDPMScheduler,
    "flow": FlowMatchEulerDiscreteScheduler,
    "edm": EDMEulerScheduler,
    "ve": ScoreSdeVeScheduler,
}
LATENT = ["ldm", "dit", "latent shards"]


class Repositories(dict):
    """By name; hypothesis prints it with every fault."""

    def __repr__(self):
        return f"Repositories({[*self]})"


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Every layout as {path: bytes}."""
    found = Repositories()

    def layout(name, scheduler="ddpm", part="unet", network=None, **options):
        folder = tmp_path_factory.mktemp(name)
        (network or unet()).save_pretrained(folder / part, **options)
        SCHEDULERS[scheduler]().save_pretrained(folder / "scheduler")
        found[name] = files(folder)

    for name in SCHEDULERS:
        layout(name, name)
    layout("shards", "flow", max_shard_size="40KB")
    layout("variant", "edm", variant="fp16")
    layout("averages", part="unet_ema")
    layout("classes", network=unet(num_class_embeds=3))
    names = {str(i): f"class {i}" for i in range(1000)}
    found["ldm"] = files(saved(ldm(), tmp_path_factory.mktemp("ldm")))
    found["dit"] = files(saved(dit_pipeline(), tmp_path_factory.mktemp("dit"), id2label=names))
    folder = tmp_path_factory.mktemp("latent")
    autoencoder().save_pretrained(folder / "vae", max_shard_size="40KB")
    found["latent shards"] = {**found["flow"], **files(folder)}
    folder = tmp_path_factory.mktemp("bare")
    unet().save_pretrained(folder)
    found["bare"] = files(folder)
    return found


@pytest.fixture(scope="module")
def cage(made, tmp_path_factory):
    cage = Cage(tmp_path_factory.mktemp("cage"))
    cage.ask("sample", write(cage, made["ddpm"]), None)  # what is imported late, is now
    yield cage
    cage.stop()


def write(cage, found):
    folder = cage.home / "repository"
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in found.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


@pytest.mark.parametrize("name", [*SCHEDULERS, "shards", "variant", "averages", "bare", *LATENT])
def test_the_repositories_that_are_changed_below_are_read(cage, made, name):
    options = {"scheduler": "ddpm"} if name == "bare" else None
    assert cage.check("sample", write(cage, made[name]), options)["error"] == ""


NUMBERS = st.sampled_from([0, 1, -1, 2, 8, 0.5, 1e-300, 1e308, 2**31, 2**63, 10**70])
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | NUMBERS
    | st.sampled_from(["", "fp16", "linear", "../x"])
    | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "_class_name"]), inner, max_size=2)
    ),
    max_leaves=4,
)


@hostile(30)
@given(data=st.data())
def test_any_change_of_its_bytes(cage, made, data):
    found = dict(made[data.draw(st.sampled_from(["shards", "variant", "averages", *LATENT]))])
    name = data.draw(st.sampled_from(sorted(found)))
    raw = bytearray(found[name])
    at = data.draw(st.integers(0, min(2000, len(raw) - 1)))
    how = data.draw(st.sampled_from(["byte", "cut", "repeat", "away"]))
    if how == "byte":
        raw[at] = data.draw(st.integers(0, 255))
    elif how == "cut":
        del raw[at : at + data.draw(st.integers(1, 300))]
    elif how == "repeat":
        raw[at:at] = raw[at : at + 50]
    found[name] = bytes(raw)
    if how == "away":
        del found[name]
    cage.check("sample", write(cage, found))


# Of autoencoders and DiTs; of both each repository below has one.
SETTINGS = st.dictionaries(
    st.sampled_from(
        [
            *("_class_name", "block_out_channels", "down_block_types", "up_block_types"),
            *("layers_per_block", "norm_num_groups", "act_fn", "norm_type", "scaling_factor"),
            *("shift_factor", "latents_mean", "latent_channels", "vq_embed_dim", "in_channels"),
            *("out_channels", "num_vq_embeddings", "mid_block_add_attention", "use_quant_conv"),
            *("patch_size", "sample_size", "num_embeds_ada_norm", "num_layers", "norm_eps"),
            *("num_attention_heads", "attention_head_dim", "activation_fn", "force_upcast"),
        ]
    ),
    VALUES | st.sampled_from(["VQModel", "AutoencoderKL", "AutoencoderTiny", "gelu", "spatial"]),
    min_size=1,
    max_size=2,
)


@hostile(80)
@given(st.sampled_from(["ldm", "dit"]), st.booleans(), SETTINGS)
def test_any_settings_of_a_latent_model(cage, made, name, decodes, settings):
    found = dict(made[name])
    denoiser, encoder = {"ldm": ("unet", "vqvae"), "dit": ("transformer", "vae")}[name]
    path = f"{encoder if decodes else denoiser}/config.json"
    found[path] = json.dumps({**json.loads(found[path]), **settings}).encode()
    cage.check("sample", write(cage, found))


OPTIONS = st.dictionaries(
    st.sampled_from(["scheduler", "prediction_type", "null_class", "variant", "ema", "other"]),
    VALUES
    | st.sampled_from(["ddpm", "flow", "edm", "ve", "epsilon", "sample", "v_prediction"])
    | st.dictionaries(
        st.sampled_from(
            [
                "_class_name",
                "beta_start",
                "beta_end",
                "num_train_timesteps",
                "sigma_max",
                "sigma_data",
            ]
        ),
        VALUES | st.sampled_from([kind.__name__ for kind in SCHEDULERS.values()]),
        max_size=3,
    ),
    min_size=1,
    max_size=3,
)


@hostile(60)
@given(st.sampled_from(["bare", "variant", "averages", "classes", "ldm", "dit"]), OPTIONS)
def test_any_options(cage, made, name, options):
    cage.check("sample", write(cage, made[name]), options)
