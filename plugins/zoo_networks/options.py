"""Options that all three networks share, checked in one place."""

from __future__ import annotations

from zoo.errors import ZooError


def check_options(network: str, *, dropout: float, labels: int, **sizes: int) -> None:
    """Check the options of a network before it is built.

    Args:
        network: its name, for the message.
        dropout: probability in [0, 1).
        labels: number of classes, 0 for none.
        sizes: whole numbers of at least 1.

    Raises:
        ZooError: names the first option that is impossible.
    """
    for name, size in sizes.items():
        if isinstance(size, bool) or not isinstance(size, int) or size < 1:
            raise ZooError(f"{network}: {name} = {size!r}; expected a whole number of at least 1")
    if not 0 <= dropout < 1:
        raise ZooError(f"{network}: dropout = {dropout!r}; expected a probability below 1")
    if isinstance(labels, bool) or not isinstance(labels, int) or labels < 0:
        raise ZooError(f"{network}: labels = {labels!r}; expected a number of classes, 0 for none")
