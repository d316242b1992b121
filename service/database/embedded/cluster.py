"""The folder of a data folder's cluster: inside of it, or elsewhere if root's unprivileged user cannot reach it."""

from __future__ import annotations

import os
import shutil
import uuid
from contextlib import suppress
from pathlib import Path

import msgspec

from service.database.embedded.account import Account, can_search, owner_of, unprivileged
from service.database.embedded.binaries import MAJOR
from service.errors import StartupError
from service.media.storage import sync_folder

ELSEWHERE = Path("/var/lib/darkroom")
ID_FILE = "cluster.id"
"""In the data folder: the id of a cluster that is elsewhere."""
TIE_FILE = "belongs-to.json"
"""In the cluster's folder elsewhere: the data folder it belongs to."""


class Tie(msgspec.Struct, frozen=True):
    """Tells a data folder from its copies: a move keeps the inode or removes the old path, a copy does neither."""

    path: str
    device: int
    inode: int


def home_for(folder: Path, elsewhere: Path = ELSEWHERE) -> Path:
    """The folder of this data folder's cluster, lock and log. It is decided once, then remembered."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "cluster").exists():
        return folder
    if (folder / ID_FILE).exists():
        return _tied_home(folder, elsewhere)
    account = unprivileged()
    if account is None:
        return folder
    with suppress(OSError):  # network shares often refuse it; the next step shows whether it was needed
        folder.chmod(0o755)  # only ours; the parents are the user's and stay as they are
    if can_search(account, folder):
        return folder
    return _new_home(folder, elsewhere, account)


def account_for(home: Path) -> Account | None:
    """The user of PostgreSQL: an existing cluster's owner, else the unprivileged user of root."""
    cluster = home / "cluster"
    return owner_of(cluster) if cluster.exists() else unprivileged()


def check_version(cluster: Path) -> None:
    """Raises when another major version of PostgreSQL made the cluster: its files cannot be read."""
    made_by = (cluster / "PG_VERSION").read_text().strip()
    if made_by != str(MAJOR):
        raise StartupError(
            f"the database in {cluster} was made by PostgreSQL {made_by}, and this Darkroom brings PostgreSQL {MAJOR}:"
            " dump it with the Darkroom that made it, move it away, and restore the dump"
        )


def new_partial(home: Path, account: Account | None) -> Path:
    """An empty folder for initdb, renamed when whole. The remains of an interrupted initdb are removed."""
    partial = home / "cluster.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(mode=0o700)
    if account is not None:
        os.chown(partial, account.uid, account.gid)
    return partial


def adopt(partial: Path) -> None:
    """Makes the filled folder the cluster, at once and durably."""
    partial.rename(partial.with_name("cluster"))
    sync_folder(partial.parent)


def _new_home(folder: Path, elsewhere: Path, account: Account) -> Path:
    identity = str(uuid.uuid4())
    home = elsewhere / "clusters" / identity
    home.mkdir(parents=True)
    for created in (elsewhere, home.parent, home):
        created.chmod(0o755)
    if not can_search(account, home):
        raise StartupError(
            f"{account.name}, whom PostgreSQL runs as instead of root, can reach neither {folder} nor {home}:"
            " open a parent folder to it, start Darkroom as another user, or set DARKROOM_DATABASE_URL"
        )
    _write(home / TIE_FILE, msgspec.json.encode(_tie(folder)))
    _write(folder / ID_FILE, identity.encode())
    return home


def _tied_home(folder: Path, elsewhere: Path) -> Path:
    identity = (folder / ID_FILE).read_text().strip()
    home = elsewhere / "clusters" / identity
    if not (home / TIE_FILE).exists():
        raise StartupError(
            f"the database of {folder} is missing: {home} does not exist (or cannot be read) on this machine."
            f" Bring it back from where {folder} came from, or remove {folder / ID_FILE} to begin with an empty one"
        )
    now, known = _tie(folder), msgspec.json.decode((home / TIE_FILE).read_bytes(), type=Tie)
    if now == known:
        return home
    if (
        now.path != known.path
        and (now.device, now.inode) != (known.device, known.inode)
        and _identity(Path(known.path)) == identity
    ):
        raise StartupError(
            f"{folder} is a copy of {known.path}, whose database cannot serve both:"
            f" remove {folder / ID_FILE} to begin with an empty one, or remove {known.path} if it moved here"
        )
    _write(home / TIE_FILE, msgspec.json.encode(now))
    return home


def _identity(folder: Path) -> str | None:
    try:
        return (folder / ID_FILE).read_text().strip()
    except FileNotFoundError:
        return None


def _tie(folder: Path) -> Tie:
    status = folder.stat()
    return Tie(str(folder.resolve()), status.st_dev, status.st_ino)


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(f"{path.name}.partial")
    with partial.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    partial.rename(path)
    sync_folder(path.parent)
