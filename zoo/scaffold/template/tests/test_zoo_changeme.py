"""What the plugin brings keeps what it promises."""

import pytest
from zoo.testing import Check, checks


@pytest.mark.parametrize("check", checks("changeme"), ids=lambda c: c.__name__)
def test_conformance(check: Check) -> None:
    check()
