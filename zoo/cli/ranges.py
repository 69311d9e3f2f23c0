"""The numbers that commands take."""

from __future__ import annotations

import click

from zoo.config.model import MAX_STEPS

COUNT = click.IntRange(min=1)
STEPS = click.IntRange(1, MAX_STEPS)
