"""A place for clusters that root's unprivileged stand-in can reach, unlike pytest's own 0700 folders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# What these tests protect exists for root alone.
collect_ignore = [] if os.geteuid() == 0 else ["test_embedded_as_root.py"]


@pytest.fixture
def place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="darkroom-tests-") as folder:
        path = Path(folder)
        path.chmod(0o755)
        yield path
