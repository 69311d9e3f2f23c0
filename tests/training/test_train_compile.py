"""torch.compile as an option of the recipe."""

import pytest
import torch
import torch._inductor.config
from test_train import begin, weights

from zoo.errors import ZooError

pytestmark = pytest.mark.usefixtures("fresh_compiler")


def test_where_there_is_no_compiler_one_line_says_so(tmp_path):
    nowhere = {"cpp.cxx": (str(tmp_path / "no-compiler"),)}
    message = r"train.compile = true, but .*no-compiler.*; install"
    with torch._inductor.config.patch(nowhere), pytest.raises(ZooError, match=message) as error:
        begin(tmp_path / "run", compile=True).run()
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bf16"])
def test_compiled_training_is_the_same_training(tmp_path, precision):
    """Minutes on a busy machine: C++ is compiled; needs a compiler."""
    plain = begin(tmp_path / "plain", precision=precision)
    compiled = begin(tmp_path / "compiled", precision=precision, compile=True)
    for trainer in (plain, compiled):
        trainer.run()
    tolerance = 1e-5 if precision == "float32" else 5e-3
    there = weights(compiled)
    assert all((v - there[k]).abs().max() < tolerance for k, v in weights(plain).items())
