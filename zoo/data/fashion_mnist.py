"""Fashion-MNIST: 60,000 training and 10,000 test images of garments, 28x28 grey, 10 classes.

Source: H. Xiao, K. Rasul, R. Vollgraf, arXiv:1708.07747.
"""

from __future__ import annotations

from zoo.data.hub import from_hub
from zoo.data.idx import FILES, find, read_split
from zoo.data.images import Images
from zoo.data.request import VARIABLE, Request, data_folders

NAME = "fashion-mnist"
LICENCE = "MIT (Zalando SE, Fashion-MNIST)"
HUB = "zalando-datasets/fashion_mnist?image=image&label=label"


def load_fashion_mnist(request: Request) -> Images:
    """Return a split of Fashion-MNIST, (1, 28, 28), from its four idx files, else from the Hub.

    Raises:
        ZooError: neither is available (the error says what to do), or files cannot be read.
    """
    folders = data_folders(NAME)
    for folder in folders:
        if all(find(folder, file) for file in FILES[request.split]):
            return read_split(folder, request.split, name=NAME, licence=LICENCE)
    names = ", ".join(f"{name}.gz" for pair in FILES.values() for name in pair)
    absent = (
        f"{NAME}: not found in {' or '.join(map(str, folders))}; put {names} (with or without "
        f".gz) into {folders[0]}, or set {VARIABLE} to the folder that holds {NAME}/"
    )
    return from_hub(request, HUB, NAME, LICENCE, absent)
