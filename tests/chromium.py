"""The Chromium that browser tests drive: the machine's own, found on the PATH.

The headless shell comes first: the same engine without the browser's own windows opens a page at a third of the cost.
"""

from __future__ import annotations

import shutil

import pytest

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)


def executable() -> str:
    """Its path; the test fails with the way to install it where there is none."""
    for name in NAMES:
        found = shutil.which(name)
        if found:
            return found
    pytest.fail(
        "no Chromium on the PATH. Install one: apt-get install chromium-headless-shell (or make test as root)",
        pytrace=False,
    )
