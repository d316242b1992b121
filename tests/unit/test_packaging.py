"""What is found beside the code in a checkout is found beside it where the wheel was installed, too."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

from service import VERSION
from service.config.settings import ROOT
from service.database.migrate import configuration
from service.web.page import DIST

BUILD = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]


def test_the_wheel_brings_the_migrations() -> None:
    location = Path(configuration().get_main_option("script_location") or "")
    assert str(location.relative_to(ROOT)) in BUILD["wheel"]["packages"]


def test_the_wheel_brings_the_web_ui_and_cannot_be_built_without() -> None:
    """hatchling fails where a forced path is missing."""
    place = str(DIST.relative_to(ROOT))
    assert BUILD["wheel"]["force-include"] == {place: place}
    assert f"/{place}" in BUILD["sdist"]["artifacts"], "or no wheel could be built from the sources of a release"


def test_make_setup_leaves_a_darkroom_command_that_works_from_any_folder(tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("darkroom")
    assert command.is_file(), "make setup installs it"
    printed = subprocess.check_output([command, "--version"], cwd=tmp_path, env={}, text=True, timeout=60)
    assert printed == f"darkroom, version {VERSION}\n"
