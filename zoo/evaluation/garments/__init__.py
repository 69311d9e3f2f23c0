"""Garment features: a small classifier of 28x28 grey images, trained for evaluation alone.

Distances measured on these features are no FID: FID is by definition measured on Inception.
"""

from zoo.evaluation.garments.network import GarmentNet, about, load_garment_net

__all__ = ["GarmentNet", "about", "load_garment_net"]
