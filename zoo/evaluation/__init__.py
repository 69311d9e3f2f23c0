"""Evaluation: how close are a model's samples to data? `zoo eval NAME`."""
