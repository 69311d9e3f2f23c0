"""Latent models of diffusers, an autoencoder beside the network, as diffusers itself runs them."""

import json
import pickle
import re
import shutil
import sys

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler, VQModel
from diffusers_repositories import (
    autoencoder,
    ddim,
    dit,
    dit_pipeline,
    files,
    ldm,
    saved,
    unet,
)
from tiny_recipe import VECTORS

import zoo
from zoo import ZooError
from zoo.cli import main
from zoo.evaluation.settings import evaluations
from zoo.evaluation.tune import optimise_grid
from zoo.evaluation.walks import Walks
from zoo.interfaces import Decoder, Network
from zoo.models.decoding import decoded, encoded
from zoo.models.names import ModelEntry
from zoo.posterior import Mask

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
KINDS = [AutoencoderKL, VQModel]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """LDM's pipeline: VQModel, UNet2DModel and DDIM."""
    return saved(ldm(), tmp_path_factory.mktemp("ldm"))


@pytest.fixture(scope="module")
def dit_folder(tmp_path_factory):
    """DiT's pipeline, whose model_index.json names the classes, two of them alike."""
    names = {str(i): "crane" if i in (3, 5) else f"class {i}" for i in range(1000)}
    return saved(dit_pipeline(), tmp_path_factory.mktemp("dit"), id2label=names)


def changed(folder, target, name, **changes):
    """Copy a folder into another one with changes to one of its JSON files; return it."""
    shutil.copytree(folder, target, dirs_exist_ok=True)
    settings = {**json.loads((target / name).read_bytes()), **changes}
    (target / name).write_text(json.dumps(settings))
    return target


def parts_of(model):
    """What a model is put together of by hand, its network left out."""
    kernel = zoo.kernel("gaussian", dim=192, **model.config.kernel.options)
    return {
        "kernel": kernel,
        "prior": zoo.prior("gaussian", kernel),
        "solver": zoo.solver("heun"),
        "shape": (3, 8, 8),
    }


def other_unet():
    network = unet()
    with torch.no_grad():
        for weight in network.parameters():
            weight.mul_(0.9)
    return network


def noise(n, seed=1):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def euler(model, x, timesteps, guidance=1.0, **given):
    """The ODE of latents by Euler through the levels of time steps, from VP-scaled noise x."""
    levels = model.network.log_levels[timesteps].exp()
    flow = model.flow(given.get("labels"), guidance)
    solver = zoo.solver("euler", grid=levels.tolist())
    ends = float(levels[0]), float(levels[-1])
    y = (1 + levels[0].square()).sqrt() * x.double()
    with torch.no_grad():
        y = solver.integrate(flow, y, *ends, steps=len(levels) - 1)
        return flow.denoise(y, ends[1]).float()


def quiet(pipeline):
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def as_images(samples):
    return (samples / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)


# Beside diffusers


@pytest.mark.parametrize("shift", [None, 0.3])
@pytest.mark.parametrize("kind", KINDS)
def test_the_decoder_is_the_autoencoder_with_its_scale(tmp_path, kind, shift):
    own = {"shift_factor": shift} if kind is AutoencoderKL else {}
    encoder = autoencoder(kind, scaling_factor=0.4, **own)
    model = zoo.load(saved(ldm(encoder=encoder), tmp_path))
    assert (model.shape, model.latents.shape, model.kernel.dim) == ((3, 16, 16), (3, 8, 8), 192)
    assert model.config.data.latent.autoencoder == kind.__name__
    z, x = noise(5), torch.rand(5, 3, 16, 16) * 2 - 1
    b = own.get("shift_factor") or 0.0
    with torch.no_grad():
        expected = encoder.decode(z / 0.4 + b).sample
        found = encoder.encode(x)
        codes = found.latents if kind is VQModel else found.latent_dist.mean
        torch.testing.assert_close(model.decoder.decode(z), expected)
        torch.testing.assert_close(model.decoder.encode(x), 0.4 * (codes - b))
    torch.testing.assert_close(decoded(model, z), expected.clamp(-1, 1))
    torch.testing.assert_close(encoded(model, x), 0.4 * (codes - b))


def test_the_denoiser_of_latents_is_that_of_diffusers(folder):
    model, scheduler = zoo.load(folder), ddim()
    scheduler.set_timesteps(1000)
    steps = torch.arange(0, 1000, 111)
    level = model.network.log_levels[steps].exp()
    x = noise(len(steps))
    with torch.no_grad():
        out = unet()(x, steps).sample
    alpha = scheduler.alphas_cumprod[steps].double().sqrt()[:, None, None, None]
    expected = (x - (1 - alpha**2).sqrt() * out) / alpha
    found = model.latents.denoise(x.double() * (1 + level**2).sqrt()[:, None, None, None], level)
    assert float(((found - expected).abs() / expected.abs().amax((1, 2, 3), True)).max()) < 1e-5


def test_variances_of_a_dit_are_left_out_and_its_classes_given(dit_folder):
    model, scheduler = zoo.load(dit_folder), ddim()
    steps = torch.tensor([0, 250, 500, 999])
    level = model.network.log_levels[steps].exp()
    x, at = noise(len(steps)), level[:, None, None, None]
    y = x.double() * (1 + at**2).sqrt()
    for given, number in ((torch.tensor([0, 3, 999, 7]), [0, 3, 999, 7]), (None, [1000] * 4)):
        with torch.no_grad():
            out = dit()(x, timestep=steps, class_labels=torch.tensor(number)).sample[:, :3]
        found = model.latents.denoise(y, level, labels=given)
        expected = y - at * out
        assert float(((found - expected).abs() / expected.abs().amax((1, 2, 3), True)).max()) < 1e-5
    assert model.classes[2:6] == ("class 2", "crane (3)", "class 4", "crane (5)")
    assert model.network.labels == len(scheduler.alphas_cumprod) == 1000


@pytest.mark.parametrize("kind", KINDS)
def test_euler_on_its_grid_and_the_decoder_are_ldms_pipeline(tmp_path, kind):
    """The pipeline's DDIM is Euler's method on the levels of its time steps."""
    encoder = autoencoder(kind)
    model = zoo.load(saved(ldm(encoder=encoder), tmp_path))
    pipeline = quiet(ldm(encoder=encoder))
    given = {"generator": torch.Generator().manual_seed(1), "output_type": "np"}
    expected = pipeline(batch_size=3, num_inference_steps=20, **given).images
    z = euler(model, noise(3), pipeline.scheduler.timesteps)
    found = as_images(decoded(model, z))
    assert float((found - torch.from_numpy(expected)).abs().max()) < 1e-4
    assert float(found.std()) > 0.1


@pytest.mark.parametrize("guidance", [1.0, 4.0])
def test_euler_on_its_grid_and_the_decoder_are_dits_pipeline(dit_folder, guidance):
    model, pipeline = zoo.load(dit_folder), quiet(dit_pipeline())
    given = {"generator": torch.Generator().manual_seed(1), "output_type": "np"}
    classes = [3, 999]
    expected = pipeline(classes, guidance, num_inference_steps=20, **given).images
    z = euler(model, noise(2), pipeline.scheduler.timesteps, guidance, labels=torch.tensor(classes))
    found = as_images(decoded(model, z))
    assert float((found - torch.from_numpy(expected)).abs().max()) < 1e-4


def test_flow_matching_of_latents_and_folders_without_a_model_index(tmp_path):
    unet().save_pretrained(tmp_path / "unet")
    autoencoder().save_pretrained(tmp_path / "vae")
    FlowMatchEulerDiscreteScheduler().save_pretrained(tmp_path / "scheduler")
    model = zoo.load(tmp_path)
    assert (model.config.kernel.use, model.shape) == ("flow", (3, 16, 16))
    assert model.sample(2, seed=0, steps=3).shape == (2, 3, 16, 16)


def test_a_dit_of_images(tmp_path):
    """Without an autoencoder beside it, its samples are what it makes."""
    dit().save_pretrained(tmp_path / "transformer")
    ddim().save_pretrained(tmp_path / "scheduler")
    model = zoo.load(tmp_path)
    assert model.decoder is None
    assert model.latents is model
    assert model.sample(2, labels=[1, 2], seed=0, steps=3).shape == (2, 3, 8, 8)
    plain = zoo.load(tmp_path, format_options={"null_class": False})
    with pytest.raises(ZooError, match='none for "no class"'):
        plain.sample(1, seed=0)


def test_a_dit_by_the_name_it_had_until_2024(tmp_path):
    folder = saved(dit_pipeline(), tmp_path)
    path = folder / "transformer/config.json"
    settings = {**json.loads(path.read_bytes()), "_class_name": "Transformer2DModel"}
    path.write_text(json.dumps(settings))
    assert zoo.load(folder).network.labels == 1000
    path.write_text(json.dumps({**settings, "norm_type": "ada_norm_single"}))
    with pytest.raises(ZooError, match="another kind of model, Transformer2DModel"):
        zoo.load(folder)


# Samples


@pytest.mark.parametrize("kernel", [None, "gravity", "pfgmpp", "vp"])
def test_samples_are_the_decoded_samples_of_its_latents(folder, kernel):
    model = zoo.load(folder, kernel=kernel)
    x = model.sample(5, seed=0, steps=4)
    z = model.latents.sample(5, seed=0, steps=4)
    assert (z.shape, z.dtype, x.dtype) == ((5, 3, 8, 8), torch.float32, torch.float32)
    assert model.data.of_latents() == model.latents.data
    assert float(z.abs().max()) > 1  # latents have no range
    assert torch.equal(decoded(model, z), x)
    assert (model.range, model.latents.range) == ((-1.0, 1.0), None)
    assert not x.requires_grad
    assert not x.is_inference()
    for size in (1, 2):
        assert torch.equal(model.sample(3, first=2, seed=0, steps=4, batch_size=size), x[2:])


def test_it_lifts_from_its_latents_too(folder):
    model = zoo.load(folder)
    lifted = zoo.lift(model, "gravity")
    assert torch.equal(
        lifted.sample(2, seed=0, steps=4),
        zoo.load(folder, kernel="gravity").sample(2, seed=0, steps=4),
    )
    latents = zoo.lift(model.latents, "gravity")
    assert (latents.shape, latents.decoder) == ((3, 8, 8), None)
    assert torch.equal(
        latents.sample(2, seed=0, steps=4), lifted.latents.sample(2, seed=0, steps=4)
    )


def test_few_images_are_decoded_at_a_time(folder, monkeypatch):
    model, sizes = zoo.load(folder), []
    inside = type(model.decoder).decode

    def decode(self, z):
        assert not torch.is_grad_enabled()
        sizes.append(len(z))
        return inside(self, z)

    monkeypatch.setattr(type(model.decoder), "decode", decode)
    monkeypatch.setattr("zoo.models.decoding.fixed_batch_size", lambda dim: 4)
    x = model.sample(10, seed=0, steps=2)
    assert sizes == [4, 4, 4]  # the last one padded
    sizes.clear()
    monkeypatch.setattr("zoo.models.decoding._COORDINATES", 8 * 768)
    monkeypatch.setattr("zoo.models.decoding.fixed_batch_size", lambda dim: 1)
    monkeypatch.setattr("zoo.models.decoding.fixed_size_batches", lambda predict, size: predict)
    torch.testing.assert_close(model.sample(10, seed=0, steps=2), x)
    assert sizes == [8, 2]
    sizes.clear()
    model.sample(10, seed=0, steps=2, batch_size=3)
    assert sizes == [3, 3, 3, 1]
    sizes.clear()
    model.sample(10, seed=0, steps=2, batch_size=100)
    assert sizes == [8, 2]


def test_encode_and_decode_go_through_the_autoencoder(folder):
    model, options = zoo.load(folder), {"solver": "heun", "steps": 4}
    x = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0)) * 2 - 1
    ends = model.encode(x, **options)
    assert torch.equal(ends, model.latents.encode(encoded(model, x), **options))
    z = model.latents.decode(ends, **options)
    assert z.shape == (2, 3, 8, 8)
    assert torch.equal(model.decode(ends, **options), decoded(model, z).double())


def test_guides_are_latent_models_of_the_same_latents(folder, tmp_path):
    model = zoo.load(folder)
    options = {"seed": 0, "steps": 3}
    guide = zoo.load(saved(ldm(network=other_unet()), tmp_path / "guide"))
    x, t = noise(2).double() * 3, 3.0
    own, its = (m.latents.denoise(x, t) for m in (model, guide))
    assert float((own - its).abs().max()) > 1e-3
    led = model.latents.denoise(x, t, guide=guide, guidance=3.0)
    torch.testing.assert_close(led, its + 3 * (own - its))
    guided = model.sample(2, guide=guide, guidance=3.0, **options)
    assert torch.equal(
        guided,
        decoded(model, model.latents.sample(2, guide=guide.latents, guidance=3.0, **options)),
    )
    assert not torch.equal(guided, model.sample(2, **options))
    other = saved(
        ldm(
            encoder=autoencoder(
                VQModel,
                block_out_channels=(8,),
                down_block_types=("DownEncoderBlock2D",),
                up_block_types=("UpDecoderBlock2D",),
            ),
            network=unet(sample_size=16),
        ),
        tmp_path / "other",
    )
    assert zoo.load(other).shape == model.shape
    with pytest.raises(ZooError, match=r"the guide has samples of shape \(3, 16, 16\)"):
        model.sample(2, guide=zoo.load(other), guidance=2.0, **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_guide_of_other_latents_is_refused(folder, tmp_path, dtype):
    """Of the same shape, but another autoencoder or another scale of it."""
    model, options = zoo.load(folder), {"guidance": 2.0, "seed": 0, "steps": 3}
    scaled = autoencoder(VQModel, scaling_factor=0.5)
    trained = autoencoder(VQModel)
    with torch.no_grad():
        trained.encoder.conv_in.weight.mul_(1.1)
    encoders = {"scaled": scaled, "trained": trained, "kl": autoencoder(AutoencoderKL)}
    for name, encoder in encoders.items():
        guide = zoo.load(saved(ldm(encoder=encoder), tmp_path / name), dtype=dtype)
        for asked, its in ((model, guide), (model.latents, guide.latents)):
            with pytest.raises(ZooError, match=r"^the guide's latents are those of another auto"):
                asked.sample(1, guide=its, **options)
    same = zoo.load(folder, kernel="gravity", dtype=dtype)
    assert model.sample(1, guide=same, **options).shape == (1, 3, 16, 16)


def test_a_guide_by_reference_is_loaded_once(folder, monkeypatch):
    model, loads = zoo.load(folder), []
    inside = model.load_guide

    def load(*args, **options):
        loads.append(args)
        return inside(*args, **options)

    model.load_guide = load
    for asked in (model, model, model.latents):
        asked.sample(1, guide=str(folder), guidance=2.0, seed=0, steps=2)
    assert len(loads) == 1


# Between images and latents


@pytest.mark.parametrize("dtype", ["float64", "float16", "bfloat16"])
def test_every_dtype_samples_encodes_and_decodes(tmp_path, dtype):
    folder = saved(ldm(encoder=autoencoder()), tmp_path)
    model, exact = zoo.load(folder, dtype=dtype), zoo.load(folder)
    near = {"atol": 1e-4 if dtype == "float64" else 0.1, "rtol": 0}
    x = model.sample(2, seed=0, steps=3)
    assert (x.shape, x.dtype, bool(x.isfinite().all())) == ((2, 3, 16, 16), torch.float32, True)
    z = exact.encode_images(x)
    for found, expected in (
        (model.decoder.encode(x), z),
        (model.encode_images(x), z),
        (model.decoder.decode(z).clamp(-1, 1), exact.decode_latents(z)),
        (model.decode_latents(z), exact.decode_latents(z)),
    ):
        torch.testing.assert_close(found, expected, check_dtype=False, **near)
    assert not model.encode_images(x).requires_grad


def test_images_and_latents_become_each_other_in_one_call(folder):
    model = zoo.load(folder).train()
    z = noise(3)
    x = model.decode_latents(z, batch_size=1)
    assert (x.shape, x.requires_grad, model.training) == ((3, 3, 16, 16), False, True)
    assert torch.equal(x, decoded(model, z))
    assert torch.equal(model.encode_images(x.numpy()), encoded(model, x))
    wild = z.clone().requires_grad_()
    (slope,) = torch.autograd.grad(model.decoder.decode(wild).sum(), wild)
    assert bool(slope.isfinite().all())
    plain = model.latents
    assert torch.equal(plain.decode_latents(z), z)
    assert torch.equal(plain.encode_images(z), z)
    with pytest.raises(ZooError, match=r"z has shape \(3, 3, 16, 16\); expected \(n, \*\(3, 8, 8"):
        model.decode_latents(x)
    for call, given in ((model.decoder.decode, x), (model.decoder.encode, z)):
        with pytest.raises(ZooError, match=r"^VQModel is given .* expected floating-point numbers"):
            call(given)
    with pytest.raises(ZooError, match=r"^batch_size = 0"):
        model.decode_latents(z, batch_size=0)


def test_none_of_them_are_none(folder):
    model = zoo.load(folder)
    x, z = torch.empty(0, 3, 16, 16), torch.empty(0, 3, 8, 8)
    assert model.encode_images(x).shape == model.encode(x).shape == z.shape
    assert model.decode_latents(z).shape == model.decode(z).shape == x.shape
    assert model.latents.encode(z).shape == model.latents.decode(z).shape == z.shape


def test_images_that_are_decoded_are_shown_on_a_terminal(folder, monkeypatch, capsys):
    model = zoo.load(folder)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    model.sample(2, seed=0, steps=2, progress=True)
    assert "image/s" in capsys.readouterr().err
    model.sample(2, seed=0, steps=2)
    assert capsys.readouterr().err == ""


class Halving(Decoder):
    """A decoder that makes images of another shape than it says, or latents that are not finite."""

    name, shape, latent_shape = "Halving", (3, 16, 16), (3, 8, 8)

    def encode(self, x):
        return x[..., ::2, ::2] / 0

    def decode(self, z):
        return z


def test_what_a_decoder_returns_is_checked(folder):
    model = zoo.load(folder)
    model.network.autoencoder = Halving()
    with pytest.raises(ZooError, match=r"^Halving made \(3, 8, 8\) of \(3, 8, 8\); it says .*16"):
        model.sample(2, seed=0, steps=2)
    with pytest.raises(ZooError, match=r"^Halving made latents of images that are not finite"):
        model.encode_images(torch.ones(1, 3, 16, 16))


def test_a_model_is_of_the_latents_that_its_network_decodes(folder):
    model = zoo.load(folder)
    kernel = zoo.kernel("gaussian", dim=768)
    wrong = {"kernel": kernel, "prior": zoo.prior("gaussian", kernel), "shape": (3, 16, 16)}
    with pytest.raises(
        ZooError, match=r"^shape = \(3, 16, 16\); the network's decoder makes .*: give"
    ):
        zoo.FieldModel(network=model.network, solver=model.solver, **wrong)
    plain = zoo.FieldModel(network=Blind(), **parts_of(model))
    with pytest.raises(ZooError, match=r"^data.latent is latents 3x8x8, VQModel; the network has"):
        model.network = Blind()
    assert model.sample(1, seed=0, steps=2).shape[1:] == model.data.shape
    plain.network = model.network
    assert plain.shape == plain.data.shape == (3, 16, 16)
    assert plain.state_shape == model.state_shape == model.latents.state_shape == (3, 8, 8)


class Blind(Network):
    """A denoiser without a decoder."""

    def forward(self, x_t, t, labels=None):
        return torch.zeros_like(x_t)


# What images do not have, and latents do


def test_what_is_not_known_of_images_is_told_and_known_of_latents(folder, tmp_path):
    model = zoo.load(folder)
    x, y = torch.zeros(1, 3, 16, 16), torch.zeros(1, 3, 8, 8)
    calls = {
        "log_likelihood": lambda m, x: m.log_likelihood(x, probes=2, steps=4, solver="heun").nats,
        "field": lambda m, x: m.field(x, 1.0),
        "denoise": lambda m, x: m.denoise(x, 1.0),
        "trajectory": lambda m, x: m.trajectory(1, seed=0, steps=2).x,
        "posterior": lambda m, x: m.posterior(
            x, Mask(torch.arange(x.shape[-1]) > 3), noise=0.1
        ).sample(1, seed=0, steps=2),
    }
    for name, call in calls.items():
        with pytest.raises(ZooError, match=rf"^{name} is not known .* model.latents.{name}\(") as e:
            call(model, x)
        assert "\n" not in str(e.value)
        assert bool(call(model.latents, y).isfinite().all())
    with pytest.raises(ZooError, match=r"^log_prob is not known"):
        model.log_prob(x)
    with pytest.raises(ZooError, match=r"zoo.export\(zoo.load\(REF\).latents, OUT\)"):
        zoo.export(model, tmp_path / "out", format="torch")
    assert (zoo.export(model.latents, tmp_path / "out", format="torch") / "model.pt2").is_file()
    with pytest.raises(ZooError, match="save the model itself"):
        model.latents.save_pretrained(tmp_path / "mine")
    with pytest.raises(ZooError, match="latents, which no student learns yet"):
        zoo.distill(model, images=8)


def test_an_observed_image_conditions_latents_through_the_decoder(folder):
    model = zoo.load(folder)
    y = torch.zeros(1, 3, 8, 8)

    def small(z):
        return torch.nn.functional.avg_pool2d(model.decoder.decode(z), 2)

    found = model.latents.posterior(y, small, noise=0.1, method="dps").sample(2, seed=0, steps=3)
    assert found.shape == (2, 3, 8, 8)
    assert bool(found.isfinite().all())


def test_solvers_are_measured_tuned_and_learned_on_latents(folder):
    model = zoo.load(folder)
    assert evaluations(model, zoo.solver("heun"), 3) == 5
    assert Walks(model, 2, 3, seed=0)._targets.shape[1:] == (3, 8, 8)
    tuned = optimise_grid(model, solver="euler", steps=3, n=2, rounds=2)
    assert len(tuned.levels) == 3
    assert model.sample(1, seed=0, solver=tuned.solver, steps=3).shape == (1, 3, 16, 16)


def test_decoded_images_are_evaluated_and_have_no_bits(folder, tmp_path):
    data = torch.randint(0, 256, (40, 3, 16, 16), generator=torch.Generator().manual_seed(0))
    np.savez(tmp_path / "data.npz", x=data.byte().numpy())
    words = ["eval", str(folder), "--data", f"npz:{tmp_path / 'data.npz'}", "-n", "40"]
    words += ["--steps", "2", "--features", "pixels", "--json", "--metrics"]
    done = CliRunner().invoke(main, [*words, "frechet"])
    assert done.exit_code == 0, done.output
    assert "frechet" in done.output
    done = CliRunner().invoke(main, [*words, "frechet,bits"])
    assert done.exit_code == 1
    assert done.output.startswith("zoo: metric 'bits' is not known of images 3x16x16")


def test_networks_with_a_decoder_are_not_trained(folder):
    part = zoo.load(folder).config.network
    recipe = {**VECTORS, "network": part.encode(), "kernel": {"use": "gaussian"}}
    with pytest.raises(ZooError, match="only networks without one are trained"):
        zoo.train(recipe, data=torch.zeros(16, 3, 8, 8), progress=False)


def test_the_model_is_not_changed_through_its_latents(folder):
    model = zoo.load(folder)
    for name in ("kernel", "prior", "network", "solver"):
        with pytest.raises(ZooError, match=f"made anew .*: set the {name} of the model itself"):
            setattr(model.latents, name, getattr(model, name))
    model.solver = euler_solver = zoo.solver("euler")
    assert model.latents.solver is euler_solver
    assert model.latents.network is model.network


# Folders of the zoo


@pytest.mark.parametrize("kernel", [None, "gravity"])
def test_saved_it_is_a_model_folder_with_its_decoder(folder, tmp_path, monkeypatch, kernel):
    model = zoo.load(folder, kernel=kernel)
    x = model.sample(2, seed=0, steps=3)
    again = zoo.load(model.save_pretrained(tmp_path / "mine"))
    assert torch.equal(again.sample(2, seed=0, steps=3), x)
    assert torch.equal(pickle.loads(pickle.dumps(model)).sample(2, seed=0, steps=3), x)
    assert "of shape 3x16x16 in [-1, 1], decoded from latents 3x8x8, VQModel" in again.card
    assert "zoo export" not in again.card
    assert "d is the number of coordinates of the latents:" in again.card
    assert "decoded from latents 3x8x8, VQModel" in repr(again)
    shown = CliRunner().invoke(main, ["show", str(tmp_path / "mine")])
    assert "latents 3x8x8, VQModel" in shown.output
    entry = ModelEntry("mine", tmp_path / "mine", "here", again.config)
    monkeypatch.setattr("zoo.cli.list.entries", lambda: [entry])
    listed = CliRunner().invoke(main, ["list"])
    assert "3x16x16" in listed.output
    assert "latents 3x8x8, VQModel" in listed.output


def test_put_together_by_hand_it_decodes_too(folder):
    loaded = zoo.load(folder)
    model = zoo.FieldModel(network=loaded.network, **parts_of(loaded))
    assert model.data == loaded.data
    assert torch.equal(model.sample(1, seed=0, steps=3), loaded.sample(1, seed=0, steps=3))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda data: data.pop("latent"), r"data.latent is missing; .* makes images \(3, 32, 32\)"),
        (
            lambda data: data.update(shape=[3, 32, 32]),
            r"data.shape is \(3, 32, 32\); .* \(3, 16, 16",
        ),
        (
            lambda data: data["latent"].update(shape=[3, 4, 4]),
            r"\(3, 16, 16\); .* images \(3, 8, 8",
        ),
        (lambda data: data["latent"].update(shape=[8, 8]), "data.latent.shape"),
        (lambda data: data.update(shape=[3, 2**20, 2**20]), "impossibly large"),
        (lambda data: data["latent"].update(autoencoder="a\nb"), "autoencoder"),
    ],
)
def test_a_config_that_lies_about_latents_is_told_in_one_line(folder, tmp_path, change, told):
    mine = zoo.load(folder).save_pretrained(tmp_path / "mine")
    config = json.loads((mine / "config.json").read_bytes())
    change(config["data"])
    (mine / "config.json").write_text(json.dumps(config))
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(mine).sample(1, seed=0, steps=2)
    assert "\n" not in str(caught.value)


def test_the_command_line_samples_and_lists_it(folder, tmp_path, monkeypatch):
    run = CliRunner().invoke
    out = tmp_path / "grid.png"
    done = run(main, ["sample", str(folder), "-n", "2", "--steps", "3", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_bytes().startswith(b"\x89PNG")
    monkeypatch.chdir(tmp_path)
    for words, told in (
        (["plot", str(folder)], "a walk is not known of images 3x16x16, .*: in Python: zoo.plot"),
        (["sample", str(folder), "--film", "walk.gif"], "--film, the walk, is not known of im"),
        (["restore", str(folder), "x.png", "--operator", "grey"], "zoo restore is not known of im"),
        (
            ["export", str(folder), "out", "--format", "torch"],
            "in Python: zoo.export.*latents, OUT",
        ),
    ):
        done = run(main, words)
        assert done.exit_code == 1
        assert re.search(told, done.output), done.output


# From the Hub, and wrong input


def test_it_is_fetched_with_its_autoencoder_alone(hub, folder):
    hub.store.add("ada/ldm", {**files(folder), "vqvae/optimizer.bin": b"x", "code.py": b"x"})
    model = zoo.load("ada/ldm")
    assert model.shape == (3, 16, 16)
    fetched = {path.partition("/resolve/")[2].partition("/")[2] for path in hub.asked("GET")}
    assert "vqvae/diffusion_pytorch_model.safetensors" in fetched
    assert not {"vqvae/optimizer.bin", "code.py"} & fetched
    assert zoo.load("ada/ldm", local_files_only=True).shape == (3, 16, 16)


def test_what_an_older_edition_could_not_read_is_looked_at_again(
    hub, folder, tmp_path, monkeypatch
):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    card = b"---\ntags: [diffusers, unconditional-image-generation]\n---\n"
    hub.store.add("ada/ldm", {**files(folder), "README.md": card})
    words = ["list", "--hub", "--format", "diffusers"]
    with monkeypatch.context() as before:
        before.setattr("zoo_diffusers.format._AUTOENCODERS", ())
        before.setattr("zoo_diffusers.format.DiffusersFormat.edition", 1, raising=False)
        done = CliRunner().invoke(main, words)
        assert "1 not read" in done.output
    done = CliRunner().invoke(main, words)
    assert "3x16x16" in done.output
    assert "latents 3x8x8, VQModel" in done.output
    (told,) = json.loads(CliRunner().invoke(main, [*words, "--json"]).output)
    assert told["latent"] == [3, 8, 8]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"autoencoder": "x"}, "autoencoder = 'x'"),
        ({"unet": "x"}, "UNet2DModel's settings are 'x'"),
        ({"unet": None, "transformer": "x"}, "DiTTransformer2DModel's settings are 'x'"),
    ],
)
def test_settings_are_mappings(folder, options, told):
    model = zoo.load(folder)
    given = {**model.config.network.options, **options}
    with pytest.raises(ZooError, match=told):
        zoo.network("diffusers", shape=(3, 8, 8), kernel=model.kernel, **given)


def test_the_network_is_the_one_that_model_index_names(dit_folder, tmp_path):
    mixed = shutil.copytree(dit_folder, tmp_path, dirs_exist_ok=True)
    unet().save_pretrained(mixed / "unet")
    assert zoo.load(mixed).network.inner == "transformer"


def test_all_networks_together_are_no_larger_than_one_file_may_be(folder, monkeypatch):
    sizes = [path.stat().st_size for path in folder.rglob("*.safetensors")]
    assert len(sizes) == 2
    monkeypatch.setattr("zoo_diffusers.format.MOST_BYTES", sum(sizes) - 1)
    monkeypatch.setenv("ZOO_CACHE", str(folder.parent / "cache"))
    with pytest.raises(ZooError, match=r"\.safetensors .*(bytes|large)"):
        zoo.load(folder)


def test_variants_of_the_network_whose_autoencoder_has_none(tmp_path):
    unet().save_pretrained(tmp_path / "unet", variant="fp16")
    autoencoder().save_pretrained(tmp_path / "vae", max_shard_size="40KB")
    ddim().save_pretrained(tmp_path / "scheduler")
    model = zoo.load(tmp_path, format_options={"variant": "fp16"})
    assert model.sample(1, seed=0, steps=2).shape == (1, 3, 16, 16)


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        (
            "vqvae/config.json",
            {"_class_name": "AutoencoderTiny"},
            "autoencoder = 'AutoencoderTiny'",
        ),
        ("vqvae/config.json", {"_class_name": None}, "autoencoder = None"),
        ("vqvae/config.json", {"vq_embed_dim": 4}, "decodes 4 channels, the network makes"),
        ("vqvae/config.json", {"latent_channels": "x"}, "latent_channels = 'x'"),
        ("vqvae/config.json", {"scaling_factor": 0}, "scaling_factor = 0"),
        ("vqvae/config.json", {"scaling_factor": 1e-320}, "scaling_factor"),
        ("vqvae/config.json", {"shift_factor": "x"}, "shift_factor = 'x'"),
        ("vqvae/config.json", {"latents_mean": [0.0]}, "latents_mean"),
        ("vqvae/config.json", {"block_out_channels": []}, "block_out_channels"),
        ("vqvae/config.json", {"block_out_channels": [8] * 12}, "down_block_types = .* 12 numbers"),
        (
            "vqvae/config.json",
            {"up_block_types": ["UpDecoderBlock2D"]},
            "up_block_types = .* the 2",
        ),
        ("vqvae/config.json", {"block_out_channels": [8, 24]}, "has shape"),
        ("vqvae/config.json", {"layers_per_block": 10_000}, "far larger than its weights"),
        ("vqvae/config.json", {"act_fn": "sily"}, "network 'diffusers'"),
        ("vqvae/config.json", {"mid_block_add_attention": "no"}, "= 'no'; expected true or false"),
        ("vqvae/config.json", {"out_channels": 1}, "returns another number"),
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "a conditional model"),
        ("unet/config.json", {"out_channels": 6}, "variances"),
        ("model_index.json", {"vae": ["diffusers", "AutoencoderKL"]}, "both a vae and a vqvae"),
        ("model_index.json", {"transformer": ["diffusers", "X"]}, "both a transformer and a unet"),
        ("model_index.json", {"text_encoder": ["transformers", "X"]}, "UNet2DModel, DiT, and both"),
        ("model_index.json", {"movq": ["diffusers", "VQModel"]}, "has a part 'movq'"),
    ],
)
def test_what_is_not_read_is_told_in_one_line(folder, tmp_path, name, changes, told):
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(changed(folder, tmp_path, name, **changes))
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"patch_size": 3}, "no multiple of patch_size = 3"),
        ({"patch_size": 0}, "patch_size = 0"),
        ({"sample_size": [8, 8]}, "sample_size"),
        ({"out_channels": 5}, "variances"),
        ({"num_embeds_ada_norm": None}, "num_embeds_ada_norm = None"),
        ({"num_embeds_ada_norm": 10}, "has shape"),
        ({"num_layers": 10_000}, "far larger than its weights"),
        ({"_class_name": "PixArtTransformer2DModel"}, "another kind of model"),
    ],
)
def test_a_dit_that_is_not_read_is_told_in_one_line(dit_folder, tmp_path, changes, told):
    path = "transformer/config.json"
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(changed(dit_folder, tmp_path, path, **changes))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "key", "told"),
    [
        ("unet", "norm_eps", "^unet failed: "),
        ("vqvae", "scaling_factor", "^VQModel made images of latents that are not finite"),
    ],
)
def test_settings_that_go_with_no_input_are_told_in_one_line(folder, tmp_path, name, key, told):
    """They fit the weights, so that the network is built: here of numbers that overflow or none."""
    value = "x" if name == "unet" else 1e-300
    model = zoo.load(changed(folder, tmp_path, f"{name}/config.json", **{key: value}))
    with pytest.raises(ZooError, match=told) as caught:
        model.sample(1, seed=0, steps=2)
    assert "\n" not in str(caught.value)


def test_an_autoencoder_that_is_not_there(folder, tmp_path):
    pipeline = ldm()
    pipeline.unet.save_pretrained(tmp_path / "unet")
    pipeline.scheduler.save_pretrained(tmp_path / "scheduler")
    (tmp_path / "model_index.json").write_bytes((folder / "model_index.json").read_bytes())
    with pytest.raises(ZooError, match=r"has no vqvae/config.json, which model_index.json names"):
        zoo.load(tmp_path)
