"""A DDPM of diffusers, trained here in minutes, lifted: the distance of its samples per kernel.

    python benchmarks/lifted.py FOLDER [--data digits] [--images 1000000] [-n 2000]
        [--solver exp-abm3] [--nfe 18]

Trains a small UNet2DModel on digits or Fashion-MNIST as the examples of diffusers do
(DDPMScheduler.add_noise, mean squared error of epsilon) and saves it by save_pretrained, unless
FOLDER is there. Then measures, by zoo.evaluation on pixels or garment features, samples of its
Gaussian ODE and of gravity, tanh, exp and pfgmpp lifted from it, from the same seed, with as many
evaluations each. Writes FOLDER.json.
The ratio is the kernel's Frechet distance over the Gaussian ODE's, with the 95 % interval of the
jackknife that leaves out the same samples of both.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import torch
from diffusers import DDPMPipeline, DDPMScheduler, UNet2DModel
from paired import frechet_ratio
from torch.nn.functional import mse_loss

import zoo
from zoo.data import load
from zoo.evaluation import features
from zoo.evaluation.reference import open_reference
from zoo.evaluation.report import machine, versions
from zoo.evaluation.run import evaluate_setting, training_scores
from zoo.evaluation.settings import Measurement, sweep

KERNELS = ("gaussian", "gravity", "tanh", "exp", "pfgmpp")
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

    def network(self) -> UNet2DModel:
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
        )


TASKS = {
    "digits": Task("pixels", 8, (32, 64), 128, 1e-3, 1_000_000),
    "fashion-mnist": Task("garments", 28, (16, 32, 64), 32, 2e-3, 140_000),
}


def train(folder: Path, name: str, count: int) -> None:
    """Train on `count` images, Adam with a cosine rate, bf16 autocast; save a pipeline."""
    torch.manual_seed(0)
    task = TASKS[name]
    data = load(name)
    scheduler = DDPMScheduler()
    network = task.network()
    steps = count // task.batch
    adam = torch.optim.Adam(network.parameters(), lr=task.rate)
    rate = torch.optim.lr_scheduler.CosineAnnealingLR(adam, steps)
    started = time.monotonic()
    for step in range(steps):
        images = data.batch(torch.randint(len(data), (task.batch,)))
        noise = torch.randn_like(images)
        times = torch.randint(scheduler.config.num_train_timesteps, (task.batch,))
        with torch.autocast("cpu", torch.bfloat16):
            predicted = network(scheduler.add_noise(images, noise, times), times).sample
        loss = mse_loss(predicted.float(), noise)
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
    for kernel in KERNELS:
        model = zoo.load(folder, kernel=kernel)
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
        train(folder, arguments.data, arguments.images or TASKS[arguments.data].images)
    measurement = Measurement(METRICS, arguments.samples, (arguments.seed,))
    measure(measurement, folder, arguments.data, arguments.solver, arguments.nfe)


if __name__ == "__main__":
    main()
