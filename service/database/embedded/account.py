"""The user that PostgreSQL runs as. It refuses root: a Darkroom of root uses an unprivileged user."""

from __future__ import annotations

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from service.errors import StartupError

CANDIDATES = ("darkroom", "nobody")


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int
    name: str


def unprivileged() -> Account | None:
    """The account for a new cluster; None if we are not root and it runs as ourselves. Raises StartupError if there is
    none."""
    if os.geteuid() != 0:
        _require_a_name(os.geteuid())
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, name)
    raise StartupError(
        "PostgreSQL refuses to run as root, and there is neither a user 'darkroom' nor 'nobody' to run it as:"
        " start Darkroom as another user, or set DARKROOM_DATABASE_URL to a PostgreSQL server"
    )


def owner_of(cluster: Path) -> Account | None:
    """The account that an existing cluster must run as; None if that is ourselves."""
    try:
        status = cluster.stat()
    except PermissionError as error:
        raise StartupError(
            f"{cluster} cannot be reached: start Darkroom as the user who owns it, or as root"
        ) from error
    owner = Account(status.st_uid, status.st_gid, _name(status.st_uid))
    if os.geteuid() == 0 and owner.uid != 0:
        return owner
    if owner.uid != os.geteuid():
        raise StartupError(
            f"the database in {cluster} belongs to {owner.name}:"
            f" start Darkroom as {owner.name} or root, or chown -R it to yourself"
        )
    if owner.uid == 0:
        new_owner = unprivileged()
        raise StartupError(
            f"the database in {cluster} belongs to root, whom PostgreSQL refuses to run as:"
            f" chown -R {new_owner.name if new_owner else 'nobody'} {cluster}"
        )
    return None


def _require_a_name(uid: int) -> None:
    """initdb needs the user's name; an existing server does not."""
    try:
        pwd.getpwuid(uid)
    except KeyError as error:
        raise StartupError(
            f"user {uid} has no name on this machine (no line in /etc/passwd), and PostgreSQL makes no database for it:"
            " start Darkroom as another user, or set DARKROOM_DATABASE_URL to a PostgreSQL server"
        ) from error


def can_search(account: Account, folder: Path) -> bool:
    """Whether the account may pass through every parent of `folder` and `folder` itself, by mode bits."""
    folder = folder.resolve()
    return all(_may_enter(account, parent.stat()) for parent in (folder, *folder.parents))


def _may_enter(account: Account, status: os.stat_result) -> bool:
    if status.st_uid == account.uid:
        return bool(status.st_mode & stat.S_IXUSR)
    if status.st_gid == account.gid:
        return bool(status.st_mode & stat.S_IXGRP)
    return bool(status.st_mode & stat.S_IXOTH)


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"
