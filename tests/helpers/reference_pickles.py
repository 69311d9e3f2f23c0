"""Files as EDM and PFGM++ write them, built by hand, since the real ones cannot be downloaded here.

What is taken from the description of their networks: names and shapes of the tensors, the wrapper
with the network under "model". What is known of their pickles: each class that carries its own
source is a call of torch_utils.persistence._reconstruct_persistent_obj with one mapping (type,
version, module_src, class_name, state), containers are torch's own modules, and the averaged
network is under the key "ema".
"""

import pickle
import sys
from types import ModuleType

from torch import nn

SOURCE = "import pathlib\npathlib.Path('the-source-was-run').touch()\nraise SystemExit\n"
MODULE = "torch_utils.persistence"


def _reconstruct_persistent_obj(_meta):
    raise AssertionError("the file's own code was run")


_reconstruct_persistent_obj.__module__ = MODULE


class Carrying:
    """An object that is pickled with the source of its class."""

    def __init__(self, name, state):
        self.name = name
        self.state = state

    def __reduce__(self):
        meta = {
            "type": "class",
            "version": 6,
            "module_src": SOURCE,
            "class_name": self.name,
            "state": self.state,
        }
        return _reconstruct_persistent_obj, (meta,)


def augmented(module, name=None):
    """Return a module as an object with its own source; torch's containers stay what they are."""
    inner = {key: child and augmented(child) for key, child in module._modules.items()}
    if isinstance(module, nn.ModuleDict):
        made = nn.ModuleDict()
        made._modules.update(inner)
        return made
    state = {k: v for k, v in vars(module).items() if k.startswith("_") or k == "training"}
    return Carrying(name or type(module).__name__, {**state, "_modules": inner})


def snapshot(backbone, *, wrapper="EDMPrecond", inner="SongUNet", options=None, **attributes):
    """Return the bytes of a network snapshot whose averaged network is `backbone`."""
    top = nn.Module()
    top.model = backbone
    network = augmented(top, wrapper)
    network.state |= {"sigma_data": 0.5, "_init_kwargs": options or {}, **attributes}
    network.state["_modules"]["model"].name = inner
    return pickled(network)


def pickled(network):
    """Return the bytes of a network snapshot whose averaged network is a Carrying."""
    package = ModuleType("torch_utils")
    module = ModuleType(MODULE)
    module._reconstruct_persistent_obj = _reconstruct_persistent_obj
    sys.modules |= {"torch_utils": package, MODULE: module}
    try:
        return pickle.dumps(
            {
                "ema": network,
                "loss_fn": Carrying("EDMLoss", {"P_mean": -1.2}),
                "augment_pipe": None,
                "dataset_kwargs": {"path": "cifar10-32x32.zip", "max_size": None},
            }
        )
    finally:
        del sys.modules["torch_utils"], sys.modules[MODULE]
