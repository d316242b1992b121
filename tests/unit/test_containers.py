"""What compose.yaml asks of its database is what the embedded one is known to take."""

from __future__ import annotations

import re

from service.database.embedded import INITDB
from service.settings import ROOT


def test_the_containers_database_is_made_like_the_embedded_one() -> None:
    """initdb refuses a builtin locale without its encoding; that the embedded server starts so is tested with it."""
    [arguments] = re.findall(r"POSTGRES_INITDB_ARGS: (.*)", (ROOT / "compose.yaml").read_text())
    made_so = [argument for argument in INITDB if argument.startswith(("--encoding", "--locale", "--builtin"))]
    assert arguments.split() == made_so
