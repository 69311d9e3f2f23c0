"""Devices by name."""

import pytest
import torch

from zoo.errors import ZooError
from zoo.sampling.distributed import parse_device


def test_the_cpu_is_there():
    assert parse_device("cpu") == torch.device("cpu")


@pytest.mark.parametrize("name", ["", "gpu", "cuda:99", "meta", "cpu:x", "mps:7", "hpu"])
def test_what_is_not_there_is_told_in_one_line(name):
    with pytest.raises(ZooError, match=f"^device '{name}' is not available here: ") as error:
        parse_device(name)
    assert len(str(error.value).splitlines()) == 1
