"""Fashion-MNIST: 60,000 training and 10,000 test images of garments, 28x28 grey, 10 classes.

Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747.
"""

from __future__ import annotations

from pathlib import Path

from zoo.data.idx import FILES, find, read_split
from zoo.data.images import Images
from zoo.data.named import load_named
from zoo.data.request import Request

NAME = "fashion-mnist"
LICENCE = "MIT (Zalando SE, Fashion-MNIST)"
HUB = "zalando-datasets/fashion_mnist?image=image&label=label"


def _read(folder: Path, split: str) -> Images | None:
    if all(find(folder, file) for file in FILES[split]):
        return read_split(folder, split, name=NAME, licence=LICENCE)
    return None


def load_fashion_mnist(request: Request) -> Images:
    """Return a split of Fashion-MNIST, (1, 28, 28), from its four idx files, else from the Hub.

    Raises:
        ZooError: neither is available (the error says what to do), or files cannot be read.
    """
    names = ", ".join(f"{name}.gz" for pair in FILES.values() for name in pair)
    files = f"{names} (with or without .gz)"
    return load_named(request, NAME, read=_read, files=files, hub=HUB, licence=LICENCE)
