"""Recipes that train some steps in a second: ten on data that scikit-learn ships, six on points."""

RECIPE = """
name = "tiny"
license = "cc0-1.0"
[data]
use = "digits"
[kernel]
use = "gravity"
[network]
use = "mlp"
width = 8
blocks = 1
[solver]
use = "heun"
steps = 3
[train]
images = 80
batch = 8
warmup = 8
checkpoint_every = 4
log_every = 3
"""

# The head of a recipe of digits and their classes, up to the last options of the network.
CLASSES = """
name = "tiny"
[data]
use = "digits"
flip = true
[kernel]
use = "gravity"
[solver]
use = "heun"
steps = 3
[network]
use = "unet"
width = 8
blocks = 1
labels = 10
"""

# In three dimensions, so that no picture is drawn.
POINTS = [[(i * k % 16) / 16 - 0.5 for k in (1, 5, 7)] for i in range(16)]
VECTORS = {
    "name": "tiny",
    "kernel": {"use": "gravity"},
    "network": {"use": "mlp", "width": 4, "blocks": 1},
    "solver": {"use": "euler", "steps": 2},
    "train": {
        **{"images": 48, "batch": 8, "warmup": 8, "checkpoint_every": 2, "log_every": 1},
        "ema_lengths": [0.05, 0.1],
    },
}
