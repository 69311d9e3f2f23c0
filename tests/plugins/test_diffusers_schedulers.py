"""Networks of diffusers under every scheduler that is read, beside diffusers' own arithmetic."""

import json
from itertools import pairwise

import pytest
import torch
from diffusers import (
    DDPMPipeline,
    EDMDPMSolverMultistepScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    ScoreSdeVeScheduler,
)
from diffusers.pipelines.deprecated.stochastic_karras_ve import KarrasVePipeline
from diffusers.schedulers.deprecated.scheduling_karras_ve import KarrasVeScheduler
from diffusers_repositories import files, unet

import zoo
from zoo import ZooError
from zoo.models.convert import convert

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
FOURIER = {"time_embedding_type": "fourier"}


def saved(folder, network, scheduler):
    network.save_pretrained(folder / "unet")
    scheduler.save_pretrained(folder / "scheduler")
    return folder


def noise(n=6, seed=0):
    return torch.randn(n, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def assert_near(found, expected, most=1e-5):
    """The largest difference, in units of max(1, |D|), |D| a sample's largest."""
    sizes = expected.flatten(1).abs().amax(dim=1).clamp(min=1)
    apart = (found.double() - expected.double()).flatten(1).abs().amax(dim=1)
    assert float((apart / sizes).max()) < most


def euler(model, x, times):
    """The model's ODE by Euler through times, and D at the last of them."""
    flow, x = model.flow(), x.double()
    with torch.no_grad():
        for now, then in pairwise(times):
            x = x + (then - now) * flow.field(x, now)
        return flow.denoise(x, times[-1])


# Flow matching


@pytest.mark.parametrize("shift", [1.0, 3.0, 0.5])
@pytest.mark.parametrize("kind", [FlowMatchEulerDiscreteScheduler, FlowMatchHeunDiscreteScheduler])
def test_flow_matching_denoises_and_samples_as_its_pipeline(tmp_path, kind, shift):
    network, scheduler = unet(), kind(num_train_timesteps=200, shift=shift)
    model = zoo.load(saved(tmp_path, network, scheduler))
    assert model.config.kernel.use == "flow"
    assert model.kernel.t_min <= float(scheduler.sigma_min) * (1 + 1e-5)
    sigmas = torch.tensor([1.0, 0.99, 0.5, 0.1, 0.02, model.kernel.t_min])
    x = noise(len(sigmas))
    with torch.no_grad():
        velocity = network(x, 200 * sigmas).sample
    assert_near(model.denoise(x, sigmas.double()), x - sigmas[:, None, None, None] * velocity)
    if kind is FlowMatchHeunDiscreteScheduler:
        return
    pipeline = DDPMPipeline(network, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    expected = pipeline(2, generator, num_inference_steps=10, output_type="pt").images
    found = euler(model, noise(2, seed=1), scheduler.sigmas[:-1].double().tolist())
    assert float(((found / 2 + 0.5).clamp(0, 1) - expected).abs().max()) < 1e-4


@pytest.mark.parametrize("kernel", ["gravity", "tanh", "exp", "pfgmpp", "gaussian", "vp"])
def test_flow_matching_lifts(tmp_path, kernel):
    model = zoo.load(saved(tmp_path, unet(), FlowMatchEulerDiscreteScheduler()), kernel=kernel)
    assert bool(model.sample(3, seed=0, steps=4).isfinite().all())


def test_lifted_it_denoises_the_same_noise(tmp_path):
    folder = saved(tmp_path, unet(), FlowMatchEulerDiscreteScheduler())
    plain, lifted = zoo.load(folder), zoo.load(folder, kernel="gaussian")
    for t in (0.1, 0.5, 0.9):
        level = t / (1 - t)
        y = noise(2) * (1 + level)
        found = lifted.denoise(y, level)
        assert_near(found, plain.denoise((1 - t) * y, t), 1e-4)


# EDM


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("kind", [EDMEulerScheduler, EDMDPMSolverMultistepScheduler])
def test_edm_denoises_as_its_scheduler(tmp_path, kind, prediction):
    network = unet()
    scheduler = kind(sigma_data=0.7, sigma_max=60.0, prediction_type=prediction)
    model = zoo.load(saved(tmp_path, network, scheduler))
    assert model.config.kernel.options == {"t_min": 0.002, "t_max": 60.0}
    assert model.network.sigma_data == 0.7
    sigmas = torch.tensor([60.0, 10.0, 1.0, 0.5, 0.03, 0.002])
    at = sigmas[:, None, None, None]
    y = noise() * (1 + at)
    with torch.no_grad():
        out = network(scheduler.precondition_inputs(y, at), scheduler.precondition_noise(sigmas))
    expected = scheduler.precondition_outputs(y, out.sample, at)
    assert_near(model.denoise(y, sigmas.double()), expected)


def test_euler_on_its_grid_is_edms_loop(tmp_path):
    network, scheduler = unet(), EDMEulerScheduler()
    model = zoo.load(saved(tmp_path, network, scheduler))
    scheduler.set_timesteps(12)
    x = start = noise(2) * scheduler.init_noise_sigma
    for t in scheduler.timesteps:
        with torch.no_grad():
            out = network(scheduler.scale_model_input(x, t), t).sample
        x = scheduler.step(out, t, x).prev_sample
    found = euler(model, start, scheduler.sigmas[:-1].double().clamp(0.002, 80).tolist())
    assert_near(found, x, 1e-4)


# The VE SDE


@pytest.mark.parametrize("settings", [{}, FOURIER], ids=["positional", "fourier"])
def test_scores_of_the_ve_sde(tmp_path, settings):
    """Its scheduler's last predictor step is Tweedie's formula, of images in [0, 1]."""
    network = unet(**settings)
    scheduler = ScoreSdeVeScheduler(num_train_timesteps=10, sigma_max=50.0)
    model = zoo.load(saved(tmp_path, network, scheduler))
    assert model.config.kernel.options == {"t_min": 0.02, "t_max": 100.0}
    sigmas = torch.tensor([50.0, 7.0, 1.0, 0.3, 0.05, 0.01])
    at = sigmas[:, None, None, None]
    x = 0.5 + noise() * (0.3 + at)
    with torch.no_grad():
        score = network(x, sigmas).sample
    expected = 2 * (x + at.square() * score) - 1
    assert_near(model.denoise(2 * x - 1, 2 * sigmas.double()), expected)
    step = scheduler.step_pred(score[-1:], 0.0, x[-1:]).prev_sample_mean  # from sigma_min to 0
    assert_near(model.denoise(2 * x[-1:] - 1, 0.02), 2 * step - 1)


def test_karras_ve_is_its_pipeline(tmp_path):
    """Without churn its pipeline is deterministic: Heun's method, last step by Euler."""
    network = unet(**FOURIER)
    scheduler = KarrasVeScheduler(s_churn=0, sigma_max=10.0)
    model = zoo.load(saved(tmp_path, network, scheduler))
    pipeline = KarrasVePipeline(network, scheduler)
    pipeline.set_progress_bar_config(disable=True)
    generator = torch.Generator().manual_seed(1)
    expected = pipeline(2, 6, generator, output_type="np").images
    x = noise(2, seed=1) * scheduler.init_noise_sigma
    times = [float(t) for t in scheduler.schedule.flip(0)]
    with torch.no_grad():
        for now, then in zip(times, [*times[1:], 0.0], strict=True):
            slope = (x - own(model, x, now)) / now
            end = x + (then - now) * slope
            if then:
                slope = (slope + (end - own(model, end, then)) / then) / 2
            x = x + (then - now) * slope
    ours = (x / 2 + 0.5).clamp(0, 1).permute(0, 2, 3, 1)
    assert float((ours - torch.from_numpy(expected)).abs().max()) < 1e-4


def own(model, x, level):
    """The denoiser at a level that may lie outside the kernel's times: its schedule squares it."""
    ratio = torch.ones(len(x), dtype=torch.float64)
    at = torch.full_like(ratio, level)
    ask = model.network.unet
    return model.network.parametrisation.denoise(
        lambda x, time: ask(x, time.to(x)).sample, x, ratio, at
    )


# Classes


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("classes")
    return saved(folder, unet(num_class_embeds=4), FlowMatchEulerDiscreteScheduler())


def test_classes_are_given_to_the_network(classes):
    network, model = unet(num_class_embeds=4), zoo.load(classes)
    assert model.network.labels == model.config.data.labels == 4
    labels, x = torch.tensor([3, 0, 2]), noise(3)
    with torch.no_grad():
        velocity = network(x, torch.tensor(500.0), labels).sample
        assert_near(model.network(x, torch.tensor(0.5), labels), x - velocity / 2)
    assert model.sample(3, labels=[0, 1, 3], steps=2, seed=0).shape == (3, 3, 8, 8)
    for call in ({}, {"labels": -1}, {"labels": 1, "guidance": 2.0}):
        with pytest.raises(ZooError, match=r'none for "no class": .*--label') as caught:
            model.sample(2, steps=2, **call)
        assert "\n" not in str(caught.value)


def test_the_last_class_may_stand_for_none(classes):
    network = unet(num_class_embeds=4)
    model = zoo.load(classes, format_options={"null_class": True})
    assert model.network.labels == model.config.data.labels == 3
    x, t = noise(2), torch.tensor(0.5)
    with torch.no_grad():
        plain = x - network(x, torch.tensor(500.0), torch.tensor([3, 3])).sample / 2
        given = x - network(x, torch.tensor(500.0), torch.tensor([1, 2])).sample / 2
    assert_near(model.network(x, t).detach(), plain)
    flow = model.flow(torch.tensor([1, 2]), guidance=2.0)
    assert_near(flow.denoise(x, 0.5).detach(), 2 * given - plain)
    lifted = zoo.load(classes, kernel="gravity", format_options={"null_class": True})
    assert lifted.sample(2, labels=1, guidance=2.0, steps=3, seed=0).shape == (2, 3, 8, 8)


def test_names_of_all_classes_but_the_last_say_that_it_is_none(classes, tmp_path):
    index = {
        "unet": ["diffusers", "UNet2DModel"],
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "id2label": {"0": "cat", "1": "dog", "2": "hen"},
    }
    for name, content in files(classes).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "model_index.json").write_text(json.dumps(index))
    model = zoo.load(tmp_path)
    assert model.classes == ("cat", "dog", "hen")
    assert model.sample(2, labels="hen", guidance=1.5, steps=2, seed=0).shape == (2, 3, 8, 8)


# Networks without a scheduler


def test_a_bare_network_is_told_what_it_predicts(tmp_path):
    network = unet()
    network.save_pretrained(tmp_path / "bare")
    with pytest.raises(ZooError, match=r"state it: format_options=\{'scheduler'") as caught:
        zoo.load(tmp_path / "bare")
    assert "\n" not in str(caught.value)
    options = {"scheduler": "ddpm", "prediction_type": "v_prediction"}
    model = zoo.load(tmp_path / "bare", format_options=options)
    assert model.network.parametrisation.prediction == "v_prediction"
    flow = zoo.load(tmp_path / "bare", format_options={"scheduler": "flow"})
    assert (model.config.kernel.use, flow.config.kernel.use) == ("gaussian", "flow")
    stated = {"_class_name": "EDMEulerScheduler", "sigma_data": 1.0}
    folder = convert(tmp_path / "bare", tmp_path / "out", scheduler=stated)
    assert zoo.load(folder).network.sigma_data == 1.0
    with pytest.raises(ZooError, match="is a model folder of the zoo"):
        zoo.load(folder, format_options=options)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"scheduler": "pndm"}, "the scheduler pndm is unknown"),
        ({"scheduler": 3}, "scheduler = 3"),
        ({"scheduler": "ddpm", "prediction_type": "noise"}, "prediction_type = 'noise'"),
        ({"scheduler": "flow", "prediction_type": "epsilon"}, "predicts velocities"),
        ({"scheduler": {"_class_name": ["x"]}}, "is unknown"),
        ({"scheduler": "ddpm", "null_class": True}, "has no classes"),
        ({"scheduler": "ddpm", "null_class": 3}, "null_class = 3"),
        ({"scheduler": "ddpm", "variant": "../x"}, r"variant = '\.\./x'"),
        ({"scheduler": "ddpm", "variant": "fp16"}, "no weights of the variant 'fp16'"),
        ({"scheduler": "ddpm", "ema": True}, "has no unet_ema/config.json"),
        ({"scheduler": "ddpm", "sheduler": 1}, "sheduler"),
        ({"scheduler": {"trained_betas": [float("nan")]}}, "expected options as in JSON"),
        (["scheduler"], "expected options by name"),
    ],
)
def test_what_cannot_be_stated_is_told_in_one_line(tmp_path, options, told):
    unet().save_pretrained(tmp_path)
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(tmp_path, format_options=options)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500


@pytest.mark.parametrize(
    ("scheduler", "told"),
    [
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 0}, "shift = 0"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "shift": 1e300}, "shift = 1e"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "invert_sigmas": True}, "invert_sig"),
        ({"_class_name": "FlowMatchEulerDiscreteScheduler", "num_train_timesteps": 1}, "timesteps"),
        ({"_class_name": "EDMEulerScheduler", "sigma_data": -1}, "sigma_data = -1"),
        ({"_class_name": "EDMEulerScheduler", "sigma_data": "x"}, "sigma_data = 'x'"),
        ({"_class_name": "EDMEulerScheduler", "sigma_max": 10**400}, "sigma_max"),
        ({"_class_name": "EDMEulerScheduler", "sigma_min": 90}, "expected sigma_min < sigma_max"),
        ({"_class_name": "EDMEulerScheduler", "prediction_type": "sample"}, "prediction_type"),
        ({"_class_name": "ScoreSdeVeScheduler", "sigma_min": None}, "sigma_min = None"),
        ({"_class_name": "ScoreSdeVeScheduler", "sigma_min": 1e-300}, "at least 1e-09"),
        ({"_class_name": "DDPMScheduler", "beta_end": 10**400}, "beta = 1"),
        ({"_class_name": None}, "the scheduler None is unknown"),
        ({}, "no _class_name"),
    ],
)
def test_settings_that_are_none_are_told_in_one_line(tmp_path, scheduler, told):
    unet().save_pretrained(tmp_path)
    (tmp_path / "scheduler_config.json").write_text(json.dumps(scheduler))
    with pytest.raises(ZooError, match=told) as caught:
        zoo.load(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) <= 500
