"""Where no password is set, programs may be named from this machine alone."""

from __future__ import annotations

from typing import Any, cast

import pytest
from litestar.types import Scope

from service.access.guard import refuse_programs_from_elsewhere
from service.errors import Forbidden


def asked(client: str, host: bytes) -> Scope:
    scope: dict[str, Any] = {"type": "http", "headers": [(b"host", host)], "client": (client, 1)}
    return cast("Scope", scope)


@pytest.mark.parametrize("client", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_this_machine_may_in_every_form_of_its_address(client: str) -> None:
    refuse_programs_from_elsewhere(asked(client, b"localhost:8000"), None)


@pytest.mark.parametrize(
    ("client", "host"),
    [("192.168.1.5", b"localhost"), ("::ffff:192.168.1.5", b"localhost"), ("127.0.0.1", b"photos.example.org")],
)
def test_others_and_names_of_a_proxy_are_refused(client: str, host: bytes) -> None:
    with pytest.raises(Forbidden):
        refuse_programs_from_elsewhere(asked(client, host), None)
