"""The place of this process among those that work together."""

import pytest

from zoo.errors import ZooError
from zoo.sampling.distributed import DistributedContext, connect


def test_an_environment_that_is_not_torchruns_is_told(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "one")
    with pytest.raises(ZooError, match=r"RANK = 'one'.*torchrun"), connect("cpu"):
        pass


def test_only_the_first_process_tells_what_fails_in_all():
    for error in (ZooError("x"), RuntimeError("Connection closed by peer")):
        with pytest.raises(SystemExit) as stop, DistributedContext(1, 2).errors_from_main():
            raise error
        assert stop.value.code == 1
        with pytest.raises(type(error)), DistributedContext(0, 2).errors_from_main():
            raise error
    with pytest.raises(RuntimeError), DistributedContext(1, 2).errors_from_main():
        raise RuntimeError("out of memory")
