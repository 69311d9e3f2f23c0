"""Data sets by reference, held in memory: `load("fashion-mnist").batch(indices)`."""

from zoo.data.images import Images
from zoo.data.sources import SOURCES, load

__all__ = ["SOURCES", "Images", "load"]
