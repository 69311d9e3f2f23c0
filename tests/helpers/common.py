"""What tests of many packages share: draws of a seed, runs of the command, errors of one line."""

from pathlib import Path

import pytest
import torch


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def normal(*shape, seed=0, dtype=torch.float64):
    return torch.randn(*shape, generator=seeded(seed), dtype=dtype)


def run_zoo(capsys, *args):
    """Run `zoo ARGS` in this process; return (exit status, stdout, stderr)."""
    from zoo.cli import main

    with pytest.raises(SystemExit) as stop:
        main([*map(str, args)])
    return (stop.value.code or 0, *capsys.readouterr())


def refused(result, status):
    """The one line on stderr of a command that failed with `status` and printed nothing else."""
    code, out, err = result
    assert (code, out) == (status, "")
    assert err.startswith("zoo: ")
    assert err.count("\n") == 1
    return err


def one_line(caught):
    """The text of an error that was raised, which has to be one line."""
    text = str(caught.value)
    assert "\n" not in text
    assert "Traceback" not in text
    return text


def reference_state(path: Path):
    """The names and shapes of tensors that a file of tests/plugins/states lists."""
    lines = (line.split(" ", 1) for line in path.read_text().splitlines())
    return {name: tuple(map(int, shape.strip("[]").split(", "))) for name, shape in lines}


@pytest.fixture
def fresh_compiler(tmp_path, monkeypatch):
    """Compile anew: what another test compiled is neither used nor kept."""
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path / "compiled"))
    torch.compiler.reset()
    yield
    torch.compiler.reset()
