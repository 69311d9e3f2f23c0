"""Options that all three networks share, checked in one place."""

from __future__ import annotations

from zoo.interfaces import check_integer, check_real


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
        check_integer(f"{network}: {name}", size, 1)
    check_real(f"{network}: dropout", dropout, "a probability below 1", least=0, below=1)
    check_integer(f"{network}: labels", labels, 0)
