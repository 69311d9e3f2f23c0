"""What the plugin brings keeps what it promises."""

import pytest
from zoo.testing import Check, checks


@pytest.mark.parametrize("check", checks("changeme"), ids=lambda check: check.__name__)
def test_conformance(check: Check) -> None:
    check()
