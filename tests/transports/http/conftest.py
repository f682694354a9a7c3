"""A server over a scripted gateway, for the tests of each API with its own client."""

from collections.abc import Iterator

import pytest

from tests.transports.http.scripted_gateway import ScriptedGateway
from tests.transports.http.serving import Serving, serving


@pytest.fixture
def gateway() -> ScriptedGateway:
    return ScriptedGateway()


@pytest.fixture
def server(gateway: ScriptedGateway) -> Iterator[Serving]:
    with serving(gateway) as running:
        yield running
