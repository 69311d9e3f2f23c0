"""Checkpoints of other libraries: readers that run nothing.

A format is a component of the hook `zoo_formats` (zoo.interfaces.Format). Whatever it reads by the
functions below comes as tensors, plain containers and inert records.
"""

from zoo.formats.tensors import read_tensors, read_torch, state_of, unwrapped
from zoo.formats.unpickler import (
    Inert,
    attributes,
    class_name,
    read_data,
    read_pickle,
    state_dict,
)

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
