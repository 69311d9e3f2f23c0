"""A network of diffusers, trained here in minutes, lifted: the distance of its samples per kernel.

    python benchmarks/lifted.py FOLDER [--objective ddpm] [--data digits] [--images 1000000]
        [-n 2000] [--solver exp-abm3] [--nfe 18]

Trains a small UNet2DModel on digits or Fashion-MNIST and saves it by save_pretrained, unless FOLDER
is there. The objective is that of the scheduler saved with it: ddpm (as the examples of diffusers
do: DDPMScheduler.add_noise, mean squared error of epsilon), flow (the velocity), edm (EDM's F) or
ve (the score of images in [0, 1]). Then measures, by zoo.evaluation on pixels or garment features,
samples of its own ODE and of gravity, tanh, exp and pfgmpp lifted from it, from the same seed, with
as many evaluations each. Writes FOLDER.json.
The ratio is the kernel's Frechet distance over its own ODE's, with the 95 % interval of the
jackknife that leaves out the same samples of both.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from diffusers import (
    DDPMPipeline,
    DDPMScheduler,
    EDMEulerScheduler,
    FlowMatchEulerDiscreteScheduler,
    SchedulerMixin,
    ScoreSdeVeScheduler,
    UNet2DModel,
)
from paired import frechet_ratio
from torch import Tensor
from torch.nn.functional import mse_loss

import zoo
from zoo.data import load
from zoo.evaluation import features
from zoo.evaluation.reference import open_reference
from zoo.evaluation.report import machine, versions
from zoo.evaluation.run import evaluate_setting, training_scores
from zoo.evaluation.settings import Measurement, sweep

KERNELS = ("gravity", "tanh", "exp", "pfgmpp")
METRICS = ("frechet", "kid", "prdc")


@dataclass(frozen=True)
class Task:
    """A data set, the network that fits it, and what its samples are compared by."""

    features: str
    side: int
    channels: tuple[int, ...]
    batch: int
    rate: float
    images: int

    def network(self, **settings: str) -> UNet2DModel:
        """Return an untrained UNet2DModel of grey images, attention at its lowest resolution."""
        above = len(self.channels) - 1
        return UNet2DModel(
            sample_size=self.side,
            in_channels=1,
            out_channels=1,
            layers_per_block=1,
            block_out_channels=self.channels,
            down_block_types=("DownBlock2D",) * above + ("AttnDownBlock2D",),
            up_block_types=("AttnUpBlock2D",) + ("UpBlock2D",) * above,
            norm_num_groups=8,
            attention_head_dim=None,
            **settings,
        )


TASKS = {
    "digits": Task("pixels", 8, (32, 64), 128, 1e-3, 1_000_000),
    "fashion-mnist": Task("garments", 28, (16, 32, 64), 32, 2e-3, 140_000),
}


def ddpm_loss(network: UNet2DModel, scheduler: DDPMScheduler, x: Tensor) -> Tensor:
    noise = torch.randn_like(x)
    times = torch.randint(scheduler.config.num_train_timesteps, (len(x),))
    predicted = network(scheduler.add_noise(x, noise, times), times).sample
    return mse_loss(predicted.float(), noise)


def flow_loss(
    network: UNet2DModel, scheduler: FlowMatchEulerDiscreteScheduler, x: Tensor
) -> Tensor:
    noise, s = torch.randn_like(x), torch.rand(len(x))
    at = s[:, None, None, None]
    times = scheduler.config.num_train_timesteps * s
    predicted = network((1 - at) * x + at * noise, times).sample
    return mse_loss(predicted.float(), noise - x)


def edm_loss(network: UNet2DModel, scheduler: EDMEulerScheduler, x: Tensor) -> Tensor:
    sigma = (1.2 * torch.randn(len(x)) - 1.2).exp()
    at, of_data = sigma[:, None, None, None], scheduler.config.sigma_data
    y = x + at * torch.randn_like(x)
    seen, times = scheduler.precondition_inputs(y, at), scheduler.precondition_noise(sigma)
    total = at.square() + of_data**2
    target = (x - of_data**2 / total * y) * total.sqrt() / (at * of_data)
    return mse_loss(network(seen, times).sample.float(), target)


def ve_loss(network: UNet2DModel, scheduler: ScoreSdeVeScheduler, x: Tensor) -> Tensor:
    low, high = scheduler.config.sigma_min, scheduler.config.sigma_max
    sigma = low * (high / low) ** torch.rand(len(x))
    at, noise = sigma[:, None, None, None], torch.randn_like(x)
    score = network(x / 2 + 0.5 + at * noise, sigma).sample
    return mse_loss(at * score.float(), -noise)


FOURIER = {"time_embedding_type": "fourier"}  # such a network's output is divided by sigma
OBJECTIVES: dict[str, tuple[type[SchedulerMixin], Callable[..., Tensor], dict[str, str]]] = {
    "ddpm": (DDPMScheduler, ddpm_loss, {}),
    "flow": (FlowMatchEulerDiscreteScheduler, flow_loss, {}),
    "edm": (EDMEulerScheduler, edm_loss, {}),
    "ve": (ScoreSdeVeScheduler, ve_loss, FOURIER),
}


def train(folder: Path, name: str, objective: str, count: int) -> None:
    """Train on `count` images, Adam with a cosine rate, bf16 autocast; save a pipeline."""
    torch.manual_seed(0)
    task = TASKS[name]
    data = load(name)
    kind, loss_of, settings = OBJECTIVES[objective]
    scheduler = kind()
    network = task.network(**settings)
    steps = count // task.batch
    adam = torch.optim.Adam(network.parameters(), lr=task.rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    started = time.monotonic()
    for step in range(steps):
        images = data.batch(torch.randint(len(data), (task.batch,)))
        with torch.autocast("cpu", torch.bfloat16):
            loss = loss_of(network, scheduler, images)
        adam.zero_grad()
        torch.autograd.backward(loss)
        adam.step()
        rate.step()
        if step % 200 == 0 or step == steps - 1:
            spent = time.monotonic() - started
            print(f"{step}/{steps}: loss {float(loss.detach()):.4f}, {spent:.0f} s", flush=True)
    DDPMPipeline(network.eval(), scheduler).save_pretrained(folder)


def measure(measurement: Measurement, folder: Path, name: str, solver: str, nfe: int) -> None:
    """Measure every kernel; FOLDER.json has those that are done."""
    task = TASKS[name]
    shape = (1, task.side, task.side)
    reference = open_reference(
        name, shape, features.build(task.features, shape, torch.device("cpu"))
    )
    rows: dict[str, object] = {}
    facts = {"data": name, "samples": measurement.samples, "seeds": list(measurement.seeds)}
    facts |= {"training_images": training_scores(measurement, reference)}
    facts |= {"machine": machine("cpu"), "versions": versions(), "kernels": rows}
    base = None
    for other in (None, *KERNELS):
        model = zoo.load(folder, kernel=other)
        kernel = other or model.config.kernel.use
        (setting,) = sweep(model, [solver], [nfe])
        found, (samples,) = evaluate_setting(model, setting, measurement, reference)
        base = base or samples
        against = frechet_ratio(samples, base, reference)
        rows[kernel] = {**msgspec.to_builtins(found), "ratio": msgspec.to_builtins(against)}
        frechet = found.metrics["frechet"]
        print(
            f"{kernel:9} NFE {found.setting.nfe}  "
            f"Frechet {frechet.value:.2f} ({frechet.low:.2f} to {frechet.high:.2f})  "
            f"ratio {against.value:.3f} ({against.low:.3f} to {against.high:.3f})",
            flush=True,
        )
        text = json.dumps(facts, indent=1) + "\n"
        folder.with_suffix(".json").write_text(text, encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="folder of the pipeline")
    parser.add_argument("--objective", choices=OBJECTIVES, default="ddpm")
    parser.add_argument("--data", choices=TASKS, default="digits")
    parser.add_argument("--images", type=int, help="training images [by task]")
    parser.add_argument("-n", type=int, default=2000, dest="samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--solver", default="exp-abm3")
    parser.add_argument("--nfe", type=int, default=18)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    folder: Path = arguments.folder.resolve()
    if not folder.is_dir():
        count = arguments.images or TASKS[arguments.data].images
        train(folder, arguments.data, arguments.objective, count)
    measurement = Measurement(METRICS, arguments.samples, (arguments.seed,))
    measure(measurement, folder, arguments.data, arguments.solver, arguments.nfe)


if __name__ == "__main__":
    main()
