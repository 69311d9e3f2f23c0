"""Walks: what happens to samples of a model on their way from the prior to data."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zoo.models.model import FieldModel
from zoo.plotting.progress import bar
from zoo.sampling.arguments import step_count, whole
from zoo.sampling.rng import starting_points


@dataclass(frozen=True)
class Walk:
    """n samples after each of the solver's steps.

    Under a solver with a step size of each sample's own (dopri5), t is that of the sample
    furthest behind; the others are ahead of it.

    Attributes:
        t: times (S,), from t_max down.
        x: states x_t, (S, n, *shape), float64.
        samples: where the samples end, (n, *shape), as `FieldModel.sample` returns them.
    """

    t: Tensor
    x: Tensor
    samples: Tensor

    @property
    def rms(self) -> Tensor:
        """The root mean square coordinate of each state, |x_t| / sqrt d, (S, n)."""
        return self.x.flatten(2).square().mean(dim=2).sqrt()


@torch.inference_mode()
def walk(
    model: FieldModel,
    n: int,
    *,
    steps: int | None = None,
    seed: int = 0,
    progress: bool = False,
) -> Walk:
    """Sample n times from a model and keep every state; same seeds, same samples as `sample`.

    Under a solver with one step size for all, which `sample` gives groups of 16, that holds for
    n = 16 alone.

    Args:
        model: the model, exact or trained.
        n: number of samples, at least 1.
        steps: solver steps, the last of them the step to 0; None for the model's default.
        seed: sample i depends on (seed, i) alone.
        progress: show a progress bar, where there is a terminal.

    Raises:
        ZooError: n or steps below 1, or a state that is not finite.
    """
    n, steps = whole("n", n, 1), step_count(steps, model.steps)
    kernel, flow = model.kernel, model.flow()
    flow.guard = True  # a picture has few samples: looking at each evaluation costs little
    x = starting_points(model.prior, model.shape, seed, 0, n).to(model.device)
    times, states = [kernel.t_max], [x]
    with bar(steps, "trajectories", progress) as shown:

        def after(_i: int, t: float, x: Tensor) -> None:
            times.append(t)
            states.append(x)
            shown.update()

        model.solver.integrate(flow, x, kernel.t_max, kernel.t_min, steps=steps - 1, callback=after)
        x, t = states[-1], times[-1]
        samples = flow.denoise(x, t) if kernel.affine else x - t * flow.field(x, t)
        shown.update()
    samples = samples.float() if model.range is None else samples.float().clamp(*model.range)
    return Walk(
        t=torch.tensor(times, dtype=torch.float64),
        x=torch.stack(states).cpu(),
        samples=samples.cpu(),
    )


@torch.inference_mode()
def denoise_along(model: FieldModel, walked: Walk) -> Tensor:
    """Return E[x_0 | x_t] at every state of a walk, (S, n, *shape), float64.

    Raises:
        ZooError: the kernel's velocity is not affine in x_0.
    """
    flow = model.flow()
    states = walked.x.to(model.device)
    denoised = [flow.denoise(x, t) for x, t in zip(states, walked.t.tolist(), strict=True)]
    return torch.stack(denoised).cpu()
