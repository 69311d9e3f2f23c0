"""Checkpoints of other libraries: readers that run nothing.

A format is a component of the hook `zoo_formats` (zoo.interfaces.Format). Whatever it reads by the
functions below comes as tensors, plain containers and inert records.
"""

from zoo.formats.modules import attributes, class_name, state_dict
from zoo.formats.names import Inert
from zoo.formats.reader import read_data, read_pickle, read_torch
from zoo.formats.states import read_tensors, state_of, unwrapped

__all__ = [
    "Inert",
    "attributes",
    "class_name",
    "read_data",
    "read_pickle",
    "read_tensors",
    "read_torch",
    "state_dict",
    "state_of",
    "unwrapped",
]
