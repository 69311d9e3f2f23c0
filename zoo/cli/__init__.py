"""The `zoo` command. Each subcommand is a module, imported only when it is called."""

from __future__ import annotations

import click

from zoo.__about__ import __version__
from zoo.cli.group import LazyGroup

# Subcommand -> its text in `zoo --help`; the command itself is zoo.cli.<name>.command.
COMMANDS = {
    "list": "List the models of the zoo.",
    "show": "Show what a model is made of, and its card.",
    "plugins": "List the installed plugins; of broken ones, the cause.",
    "components": "List kernels, priors, networks, solvers, formats, posteriors.",
    "sample": "Draw samples from a model into an image.",
    "restore": "Restore an image of which a part, or a blurred one, is seen.",
    "fit": "Fit a model to a table of numbers.",
    "train": "Train a model from a recipe.",
    "ema": "Average a training's weights over another length.",
    "eval": "Measure how close a model's samples are to held-out data.",
    "leaderboard": "Compare models by their figures, on this disk and on the Hub.",
    "tune": "Find the time grid that suits a model.",
    "distill": "Train a student that takes one, two or a few evaluations.",
    "plot": "Draw kernels, and the trajectories of models.",
    "check": "Check that a plugin's components satisfy their laws.",
    "export": "Write a model as a graph for ONNX Runtime or torch.",
    "convert": "Make a model folder of another library's checkpoint.",
    "new-plugin": "Write a package with a kernel or other parts of your own.",
    "pull": "Fetch a model from the Hugging Face Hub.",
    "verify": "Check the weights of a model on this disk again.",
    "space": "Write a page that runs models in the browser.",
    "push": "Publish a model on the Hugging Face Hub.",
}

main = click.version_option(__version__, message="fieldzoo %(version)s", help="Show the version.")(
    LazyGroup(
        "zoo",
        commands=COMMANDS,
        help="A zoo of ODE generative models: field kernel, prior sampler, network, solver.",
    )
)
