"""A recipe that trains ten steps in a second, on data that scikit-learn ships."""

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
