"""Repositories of diffusers as models of the zoo, beside diffusers itself."""

import dataclasses
import json
import math
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
import torch
from click.testing import CliRunner
from diffusers import DDIMPipeline, UNet2DModel
from diffusers_repositories import LAYOUTS, ddim, ddpm, files, save, unet
from safetensors.torch import save_file
from zoo_diffusers.schedule import levels

import zoo
from zoo import ZooError
from zoo.cli import main
from zoo.models.convert import convert
from zoo.models.locate import pull
from zoo.posterior import Mask
from zoo.testing import checks

REPO = "google/ddpm-tiny"
CIFAR10 = "google/ddpm-cifar10-32"
PINNED = "267b167dc01f0e4e61923ea244e8b988f84deb80"
# Which diffusers warns of itself, not of what is asked of it.
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Every layout of one network, as folders."""
    network = unet()
    found = {layout: tmp_path_factory.mktemp(layout) for layout in LAYOUTS}
    for layout, folder in found.items():
        save(folder, network, ddpm(), layout)
    return found


def by_hand(network, scheduler, x, steps):
    """diffusers' own estimate of x_0 at integer time steps, one per sample; x is VP-scaled."""
    with torch.no_grad():
        out = network(x, steps).sample
    found = [
        scheduler.step(out[i : i + 1], int(n), x[i : i + 1], eta=0.0).pred_original_sample
        for i, n in enumerate(steps)
    ]
    return torch.cat(found)


def difference(model, network, scheduler, steps):
    """The largest difference between denoisers, in units of max(1, |D|), |D| a sample's largest."""
    scheduler.set_timesteps(scheduler.config.num_train_timesteps)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(len(steps), *model.shape, generator=generator)
    alpha = scheduler.alphas_cumprod[steps].double().sqrt()
    level = (1 - alpha.square()).sqrt() / alpha
    # The levels of the model: diffusers' table in float32 is right to a few 1e-4 for the first.
    own = model.network.log_levels[steps].exp()
    torch.testing.assert_close(own, level, rtol=1e-3, atol=0)
    expected = by_hand(network, scheduler, x, steps).double()
    y = x.double() * (1 + own.square()).sqrt()[:, None, None, None]
    found = model.denoise(y, own)
    sizes = expected.flatten(1).abs().amax(dim=1).clamp(min=1)
    return float(((found - expected).flatten(1).abs().amax(dim=1) / sizes).max())


@pytest.mark.parametrize("check", checks("diffusers"), ids=lambda check: check.__name__)
def test_conformance(check):
    check()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_denoises_as_diffusers_does_at_every_time_step(hub, written, layout):
    hub.store.add(REPO, files(written[layout]))
    model = zoo.load(REPO)
    assert difference(model, unet(), ddim(), torch.arange(1000)) < 1e-5
    assert model.shape == (3, 8, 8)
    assert model.config.kernel.use == "gaussian"
    assert "license: apache-2.0" in model.card


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
@pytest.mark.parametrize(
    "schedule",
    [
        {},
        {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
        {"beta_schedule": "squaredcos_cap_v2"},
        {"trained_betas": [0.01 * (n + 1) for n in range(20)], "num_train_timesteps": 20},
        {"num_train_timesteps": 100, "beta_end": 0.1},
    ],
    ids=["linear", "scaled", "cosine", "betas", "short"],
)
def test_every_schedule_and_prediction(tmp_path, schedule, prediction):
    options = {**schedule, "prediction_type": prediction}
    save(tmp_path / "it", unet(), ddim(**options))
    model = zoo.load(tmp_path / "it")
    last = options.get("num_train_timesteps", 1000) - 1
    steps = torch.linspace(0, last, 12).round().long()
    assert difference(model, unet(), ddim(**options), steps) < 1e-5


@pytest.mark.parametrize("schedule", ["sigmoid", "laplace", "squaredcos_cap_v2"])
def test_levels_are_those_of_the_schedulers_signal(schedule):
    scheduler = ddpm(beta_schedule=schedule, num_train_timesteps=200, beta_end=0.05)
    found = torch.tensor(levels(scheduler.config), dtype=torch.float64)
    signal = 1 / (1 + found.square())
    assert torch.allclose(signal, scheduler.alphas_cumprod.double(), rtol=2e-5, atol=1e-7)


def test_between_time_steps_the_step_is_interpolated_in_log_sigma(written):
    network = zoo.load(written["flat-bin"]).network
    logs = network.log_levels
    middle = ((logs[10] + logs[11]) / 2).exp()
    assert float(network.timestep(middle)) == pytest.approx(10.5, abs=1e-9)
    steps = network.timestep(logs.exp())
    torch.testing.assert_close(steps, torch.arange(1000).double(), rtol=0, atol=1e-9)


def ddim_loop(network, scheduler, x, count):
    scheduler.set_timesteps(count)
    for n in scheduler.timesteps:
        with torch.no_grad():
            x = scheduler.step(network(x, n).sample, n, x, eta=0.0).prev_sample
    return x, scheduler.timesteps


def euler(model, x, steps):
    """The Gaussian ODE by Euler through the levels of time steps, from VP-scaled noise x."""
    levels = model.network.log_levels[steps].exp()
    scale = (1 + levels[0].square()).sqrt()
    flow, solver = model.flow(), zoo.solver("euler", grid=levels.tolist())
    ends = float(levels[0]), float(levels[-1])
    y = solver.integrate(flow, scale * x.double(), *ends, steps=len(levels) - 1)
    out = flow.denoise(y, ends[1])
    assert flow.nfe == len(levels)
    return out


def test_euler_on_its_grid_is_ddim(written):
    model, network = zoo.load(written["pipeline-bin"]), unet()
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    expected, steps = ddim_loop(network, ddim(), x, 50)
    with torch.no_grad():
        found = euler(model, x, steps)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5
    pipeline = DDIMPipeline(network, ddim())
    pipeline.set_progress_bar_config(disable=True)
    images = pipeline(
        batch_size=4,
        generator=torch.Generator().manual_seed(1),
        eta=0.0,
        num_inference_steps=50,
        output_type="np",
    ).images
    ours = (found / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert float((ours - torch.from_numpy(images)).abs().max()) < 1e-4


# Lifted


@pytest.mark.parametrize("kernel", ["gravity", "tanh", "exp", "pfgmpp"])
def test_it_runs_under_other_kernels_and_costs_its_evaluations(hub, written, kernel):
    hub.store.add(REPO, files(written["flat-bin"]))
    model = zoo.load(REPO, kernel=kernel)
    asked = []

    def note(_module, args):
        asked.append(args[1])

    model.network.denoiser.network.unet.register_forward_pre_hook(note)
    samples = model.sample(4, seed=0)
    assert samples.shape == (4, 3, 8, 8)
    assert len(asked) == 35  # Heun, 18 steps: 2 * 17 + 1, and nothing besides
    times = torch.cat(asked)
    assert float(times.min()) >= 0
    assert float(times.max()) <= 999
    assert model.config.lifted_from.use == "gaussian"
    assert any(need.startswith("diffusers") for need in model.config.requires)


@pytest.mark.parametrize("kernel", [None, "gravity"])
def test_it_inpaints_also_when_it_is_lifted(written, kernel):
    model = zoo.load(written["flat-bin"], kernel=kernel)
    y = torch.rand(1, *model.shape, generator=torch.Generator().manual_seed(0)) * 2 - 1
    keep = torch.arange(8) > 3
    x = model.posterior(y, Mask(keep), noise=0.1).sample(3, seed=0, steps=8)
    plain = model.sample(3, seed=0, steps=8)
    errors = [(s - y)[..., keep].square().mean().sqrt() for s in (x, plain)]
    assert errors[0] < errors[1] / 2
    assert (x.std(dim=0)[..., ~keep] > 0).any()  # answers, not one mean


def test_above_its_range_the_field_points_to_the_mean(written):
    """Where sigma is larger than any it was trained with, D is that of the largest, scaled."""
    model = zoo.load(written["flat-bin"], kernel="gravity")
    denoiser = model.network.denoiser
    high = denoiser.high
    x = high * torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        near = denoiser(x, torch.tensor(high))
        far = denoiser(50 * x, torch.tensor(50 * high))
    torch.testing.assert_close(far, near, rtol=1e-4, atol=1e-3)


def test_a_kernel_of_random_levels_is_not_for_the_network_itself(written):
    part = zoo.load(written["flat-bin"]).network.part
    kernel = zoo.kernel("gravity", dim=192)
    with pytest.raises(ZooError, match=r"kernel=\.\.\., which lifts it"):
        zoo.network("diffusers", shape=(3, 8, 8), kernel=kernel, **part.options)
    with pytest.raises(ZooError, match="makes 3 channels of 3"):
        zoo.network(
            "diffusers",
            shape=(1, 8, 8),
            kernel=zoo.kernel("gaussian", dim=64),
            **part.options,
        )


@pytest.mark.parametrize("kernel", ["gaussian", "vp", "flow"])
def test_gaussian_kernels_share_its_denoiser(written, kernel):
    """E[x_0 | alpha x_0 + sigma n = x] depends on x / alpha and the level alone."""
    model = zoo.load(written["flat-bin"])
    other = zoo.kernel(kernel, dim=192)
    part = model.network.part
    network = zoo.network("diffusers", shape=(3, 8, 8), kernel=other, **part.options)
    network.load_state_dict(model.network.state_dict())
    y = 3 * torch.randn(2, 3, 8, 8)
    t = other.time_at(torch.tensor(3.0))
    alpha = float(other.marginal(t)[0])
    with torch.no_grad():
        found = network.eval()(alpha * y, t)
        torch.testing.assert_close(found, model.network(y, torch.tensor(3.0)), rtol=1e-3, atol=1e-4)


def test_saved_it_is_a_model_folder_of_its_own(written, tmp_path):
    model = zoo.load(written["flat-bin"], kernel="gravity")
    folder = model.save_pretrained(tmp_path / "mine")
    again = zoo.load(folder)
    assert torch.equal(again.sample(2, seed=0, steps=3), model.sample(2, seed=0, steps=3))


def test_a_folder_is_converted_with_its_card(written, tmp_path):
    folder = convert(written["pipeline-bin"], tmp_path / "mine")
    model, cached = zoo.load(folder), zoo.load(written["pipeline-bin"])
    assert torch.equal(model.sample(2, seed=0, steps=3), cached.sample(2, seed=0, steps=3))
    assert model.config == cached.config
    assert model.card == cached.card
    assert "license: apache-2.0" in model.card
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "config.json",
        "model.safetensors",
    }


# What comes from the Hub


def test_it_is_converted_once_and_then_loaded_without_a_request(hub, written):
    commit = hub.store.add(REPO, files(written["pipeline-bin"]))
    ref = f"{REPO}@{commit.oid}"
    first = pull(ref)
    stamps = {p.name: p.stat().st_mtime_ns for p in first.iterdir()}
    assert {*stamps} == {"config.json", "README.md", "model.safetensors"}
    hub.requests.clear()
    assert pull(ref) == first
    zoo.load(ref, local_files_only=True)
    assert hub.requests == []
    assert {p.name: p.stat().st_mtime_ns for p in first.iterdir()} == stamps


@pytest.mark.parametrize("harm", ["changed", "lost", "config lost"])
def test_what_was_made_and_then_damaged_is_made_anew(hub, written, harm):
    hub.store.add(REPO, files(written["pipeline-bin"]))
    for ref in (REPO, str(written["flat-safetensors"])):
        folder = pull(ref)
        path = folder / ("config.json" if harm == "config lost" else "model.safetensors")
        right = path.read_bytes()
        path.unlink()
        if harm == "changed":
            path.write_bytes(right[:-1] + bytes([right[-1] ^ 1]))
        if harm == "changed" and ref == REPO:
            with pytest.raises(ZooError, match="fetch it again"):
                pull(ref, local_files_only=True)
        assert pull(ref) == folder
        assert path.read_bytes() == right


def test_several_may_make_the_same_one_at_the_same_time(hub, written, monkeypatch):
    """In the middle of writing, each of them waits for all."""
    hub.store.add(REPO, files(written["pipeline-bin"]))
    together = Barrier(3)

    def write(*args, **options):
        together.wait(300)
        save_file(*args, **options)
        together.wait(300)

    monkeypatch.setattr("zoo.folder.weights.save_file", write)
    with ThreadPoolExecutor(3) as pool:
        (folder,) = {*pool.map(pull, [REPO] * 3)}
    assert {p.name for p in folder.parent.iterdir()} == {folder.name}
    assert zoo.load(REPO, local_files_only=True).shape == (3, 8, 8)


@pytest.mark.parametrize("ref", ["hub", "folder"])
def test_a_cache_that_cannot_be_written_is_told(hub, written, tmp_path, monkeypatch, ref):
    hub.store.add(REPO, files(written["pipeline-bin"]))
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    with pytest.raises(ZooError, match=r"file.* cannot be written: .*set ZOO_CACHE") as caught:
        pull(REPO if ref == "hub" else str(written["flat-bin"]))
    assert "\n" not in str(caught.value)


def test_nothing_else_is_fetched(hub, written, caplog):
    more = {"training.py": b"import os", "logs/events": b"x", "unet/optimizer.bin": b"x"}
    hub.store.add(REPO, {**files(written["pipeline-bin"]), **more})
    zoo.load(REPO)
    fetched = {path.partition("/resolve/")[2].partition("/")[2] for path in hub.asked("GET")}
    assert fetched - {""} == {
        "README.md",
        "model_index.json",
        "unet/config.json",
        "scheduler/scheduler_config.json",
        "unet/diffusion_pytorch_model.bin",
    }
    assert [r for r in caplog.records if r.name.startswith("zoo")] == []


def test_a_mirror_that_lists_names_alone_serves_too(hub, written):
    hub.names_only = True
    hub.store.add(REPO, files(written["flat-bin"]))
    assert zoo.load(REPO).shape == (3, 8, 8)


def test_weights_that_changed_on_the_way_are_not_kept(hub, written):
    found = files(written["flat-bin"])
    name = "diffusion_pytorch_model.bin"
    hub.store.add(REPO, found)
    hub.changed[name] = found[name][:-9] + bytes(9)
    with pytest.raises(ZooError, match="it was not kept") as caught:
        zoo.load(REPO)
    assert "\n" not in str(caught.value)
    hub.changed.clear()
    zoo.load(REPO)


def test_a_model_index_beside_the_flat_layout(hub, written):
    index = (written["pipeline-bin"] / "model_index.json").read_bytes()
    hub.store.add(REPO, {**files(written["flat-bin"]), "model_index.json": index})
    assert zoo.load(REPO).shape == (3, 8, 8)


def test_a_folder_that_changes_is_read_anew(written, tmp_path):
    folder = tmp_path / "mine"
    save(folder, unet(), ddpm(), "flat-bin")
    assert zoo.load(folder).kernel.t_max == pytest.approx(157.4, rel=1e-3)
    ddpm(beta_end=0.01).save_pretrained(folder)
    assert zoo.load(folder).kernel.t_max < 100


@pytest.mark.parametrize(
    "file",
    ["flat-bin/diffusion_pytorch_model.bin", "pipeline-bin/unet/config.json", "pipeline-bin/unet"],
)
def test_a_link_out_of_a_folder_is_not_followed(written, tmp_path, file):
    layout, _, name = file.partition("/")
    folder = Path(shutil.copytree(written[layout], tmp_path / "mine"))
    (folder / name).rename(tmp_path / "outside")
    (folder / name).symlink_to(tmp_path / "outside")
    with pytest.raises(ZooError, match=r"is a link out of its folder, to .*outside"):
        zoo.load(folder)


def test_the_folder_of_the_hubs_cache_is_one_of_diffusers_too(hub, written):
    hub.store.add(REPO, files(written["pipeline-bin"]))
    zoo.load(REPO)
    (found,) = (path.parent for path in Path(os.environ["HF_HOME"]).rglob("model_index.json"))
    assert zoo.load(found).shape == (3, 8, 8)


def test_a_folder_with_a_link_to_nothing(written, tmp_path):
    folder = Path(shutil.copytree(written["flat-bin"], tmp_path / "mine"))
    (folder / "log.txt").symlink_to("nowhere")
    assert zoo.load(folder).shape == (3, 8, 8)


def test_attention_by_its_old_names(tmp_path):
    """Files of 2022, google/ddpm-cifar10-32 among them, call attention's layers otherwise."""
    folder = tmp_path / "old"
    save(folder, unet(), ddpm(), "flat-bin")
    path = folder / "diffusion_pytorch_model.bin"
    new = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    state = {}
    for name, value in torch.load(path, weights_only=True).items():
        for now, before in new.items():
            if "attentions" in name:
                name = name.replace(f".{now}.", f".{before}.")
        state[name] = value
    assert any(".proj_attn.weight" in name for name in state)
    torch.save(state, path)
    theirs = UNet2DModel.from_pretrained(folder, use_safetensors=False)
    model = zoo.load(folder)
    assert difference(model, theirs.eval(), ddim(), torch.arange(0, 1000, 99)) < 1e-5


# gravity-cifar10 and its like


@pytest.fixture
def cifar10(hub, tmp_path):
    """The repository that gravity-cifar10 names, with a smaller network, at the commit it names."""
    network = unet(sample_size=32)
    commit = hub.store.add(CIFAR10, save(tmp_path / "cifar10", network, ddpm(), "flat-bin"))
    repository = hub.store.repositories[CIFAR10]
    repository.commits[PINNED] = dataclasses.replace(commit, oid=PINNED)
    hub.store.add(CIFAR10, {"config.json": b"{}"})  # what main is by now
    return network


def test_gravity_cifar10_is_that_repository_at_that_commit_lifted(hub, cifar10):
    model = zoo.load("gravity-cifar10")
    assert type(model.kernel).__name__ == "GravityKernel"
    assert model.shape == (3, 32, 32)
    assert model.config.steps == 18
    plain = zoo.load(f"{CIFAR10}@{PINNED}", kernel="gravity")
    assert torch.equal(model.sample(2, seed=0, steps=3), plain.sample(2, seed=0, steps=3))
    assert "trained" in model.card
    assert all(PINNED in path for path in hub.asked("GET", "/resolve/"))


def test_gravity_cifar10_is_sampled_pulled_and_verified_by_name(hub, cifar10, tmp_path):
    out = tmp_path / "grid.png"
    run = CliRunner().invoke
    done = run(main, ["sample", "gravity-cifar10", "-n", "2", "--steps", "3", "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert out.read_bytes().startswith(b"\x89PNG")
    hub.requests.clear()
    done = run(main, ["verify", "gravity-cifar10"])
    assert done.exit_code == 0, done.output
    assert "model.safetensors" in done.output
    assert run(main, ["pull", "gravity-cifar10"]).exit_code == 0
    assert hub.requests == []


def test_another_kernel_than_its_own(cifar10):
    model = zoo.load("gravity-cifar10", kernel="gaussian")
    assert type(model.kernel).__name__ == "GaussianKernel"
    assert model.sample(1, seed=0, steps=2).shape == (1, 3, 32, 32)
    assert type(zoo.load("gravity-cifar10", kernel="tanh").kernel).__name__ == "TanhKernel"


def test_a_repository_of_other_images_than_it_says(hub, tmp_path):
    commit = hub.store.add(CIFAR10, save(tmp_path / "it", unet(), ddpm(), "flat-bin"))
    repository = hub.store.repositories[CIFAR10]
    repository.commits[PINNED] = dataclasses.replace(commit, oid=PINNED)
    with pytest.raises(ZooError, match=r"data.shape = \[3, 32, 32\], .* has \[3, 8, 8\]"):
        zoo.load("gravity-cifar10")


# Wrong input


def changed(folder, name, **changes):
    """Return the files of a repository with one JSON file changed; None drops a key."""
    found = files(folder)
    settings = {**json.loads(found.get(name, b"{}")), **changes}
    found[name] = json.dumps(settings).encode()
    return found


@pytest.mark.parametrize(
    ("name", "changes", "told"),
    [
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "a conditional model"),
        ("unet/config.json", {"_class_name": "VQModel"}, "another kind of model, VQModel"),
        ("unet/config.json", {"num_class_embeds": 10}, "class_embedding.weight' is missing"),
        ("unet/config.json", {"num_class_embeds": 10**9}, "at most 1000000"),
        ("unet/config.json", {"num_class_embeds": "x"}, "num_class_embeds = 'x'"),
        ("unet/config.json", {"class_embed_type": "timestep"}, "conditional on classes"),
        ("unet/config.json", {"out_channels": 6}, "variances"),
        ("unet/config.json", {"sample_size": None}, "sample_size = None"),
        ("unet/config.json", {"sample_size": [8, 7]}, "8x7; .* 2 blocks .* multiples of 2"),
        ("unet/config.json", {"block_out_channels": 8}, "block_out_channels = 8"),
        ("unet/config.json", {"flip_sin_to_cos": "no"}, "flip_sin_to_cos = 'no'"),
        ("unet/config.json", {"norm_num_groups": 7}, "network 'diffusers'"),
        ("unet/config.json", {"block_out_channels": [8, 24]}, "has shape"),
        ("unet/config.json", {"layers_per_block": 2}, "is missing"),
        ("model_index.json", {"vqvae": ["diffusers", "VQModel"]}, "has no vqvae/config.json"),
        ("model_index.json", {"text_encoder": ["transformers", "X"]}, "it has a text_encoder"),
        ("model_index.json", {"mel": ["diffusers", "Mel"]}, "has a part 'mel'"),
        ("scheduler/scheduler_config.json", {"_class_name": "PNDMScheduler"}, "PNDMScheduler is"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "linaer"}, "did you mean 'linear'"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "prediction_type = 'flow"),
        ("scheduler/scheduler_config.json", {"trained_betas": [0.1, 2]}, "beta = 2"),
        ("scheduler/scheduler_config.json", {"beta_end": "x"}, "beta = 'x'"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 1}, "num_train_timesteps = 1"),
        ("scheduler/scheduler_config.json", {"rescale_betas_zero_snr": True}, "no signal at all"),
    ],
)
def test_what_is_no_unconditional_model_is_told_in_one_line(hub, written, name, changes, told):
    hub.store.add(REPO, changed(written["pipeline-safetensors"], name, **changes))
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(REPO)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("pipeline", "parts", "told"),
    [
        ("StableDiffusionPipeline", {"unet": "UNet2DConditionModel"}, "of images"),
        ("WanPipeline", {"transformer": "WanTransformer3DModel"}, "conditional model of video"),
        ("AnimateDiffPipeline", {"motion_adapter": "MotionAdapter"}, "conditional model of video"),
        ("I2VGenXLPipeline", {"unet": "I2VGenXLUNet"}, "conditional model of video"),
        ("Cosmos2TextToImagePipeline", {"transformer": "CosmosTransformer3DModel"}, "of images"),
        ("MusicLDMPipeline", {"vocoder": "SpeechT5HifiGan"}, "conditional model of sound"),
        ("AceStepPipeline", {"vae": "AutoencoderOobleck"}, "conditional model of sound"),
        ("CogView3PlusPipeline", {"scheduler": "CogVideoXDDIMScheduler"}, "of images"),
    ],
)
def test_what_is_given_texts_is_told_by_what_it_makes(tmp_path, pipeline, parts, told):
    index = {name: ["diffusers", kind] for name, kind in parts.items()}
    index["text_encoder"] = ["transformers", "T5EncoderModel"]
    (tmp_path / "model_index.json").write_text(json.dumps({"_class_name": pipeline, **index}))
    with pytest.raises(ZooError, match=f"{told}, it has a text_encoder .* are read: ") as caught:
        zoo.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("side", [4, 5, 6, 7, 8, 12])
def test_sides_are_refused_where_diffusers_network_fails(tmp_path, side):
    blocks = {
        "block_out_channels": (8, 8, 8),
        "down_block_types": ("DownBlock2D",) * 3,
        "up_block_types": ("UpBlock2D",) * 3,
    }
    network = unet(sample_size=side, **blocks)
    save(tmp_path, network, ddpm())
    try:
        network(torch.zeros(1, 3, side, side), 5)
    except RuntimeError:
        with pytest.raises(ZooError, match=f"{side}x{side}; .* multiples of 4"):
            zoo.load(tmp_path)
    else:
        assert zoo.load(tmp_path).shape == (3, side, side)


class Runs:
    def __reduce__(self):
        return (eval, ("__import__('pathlib').Path('ran').touch()",))


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"conv_in.weight": Runs()}, "not a file of tensors only"),
        ({"conv_in.weight": "text"}, "expected tensors only"),
        ([torch.zeros(2)], "holds a list"),
        ({"conv_in.weight": torch.zeros(8, 3, 3, 3)}, "is missing"),
    ],
)
def test_a_bin_that_is_not_tensors_only(hub, written, tmp_path, monkeypatch, content, told):
    monkeypatch.chdir(tmp_path)
    torch.save(content, tmp_path / "made.bin")
    bad = {"diffusion_pytorch_model.bin": (tmp_path / "made.bin").read_bytes()}
    hub.store.add(REPO, {**files(written["flat-bin"]), **bad})
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(REPO)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("missing", ["scheduler_config.json", "diffusion_pytorch_model.bin"])
def test_a_repository_with_a_file_missing(hub, written, missing):
    found = files(written["flat-bin"])
    del found[missing]
    hub.store.add(REPO, found)
    with pytest.raises(ZooError, match=f"has no {missing}"):
        zoo.load(REPO)


def test_a_network_that_is_far_larger_than_its_weights(hub, written):
    sizes = {"layers_per_block": 10_000}
    hub.store.add(REPO, changed(written["flat-bin"], "config.json", **sizes))
    with pytest.raises(ZooError, match="far larger than its weights") as caught:
        zoo.load(REPO)
    assert "\n" not in str(caught.value)


def test_levels_of_the_first_and_the_last_step():
    scheduler = ddpm()
    found = levels(dict(scheduler.config))
    assert found[0] == pytest.approx(math.sqrt(1 / (1 - 1e-4) - 1), rel=1e-9)
    assert found[-1] == pytest.approx(157.407, rel=1e-5)
