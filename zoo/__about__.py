"""The version of fieldzoo."""

__version__ = "0.1.0"
