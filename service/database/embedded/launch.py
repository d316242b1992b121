"""Runs another program in its place, as another user, that gets a signal when its parent dies.

It is a separate script, run by path: the service has threads, so none of this would be safe between its fork and exec.
Arguments: parent's pid, signal (0: none), uid and gid (-1: stay), then the program and its arguments.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def main(parent: int, death_signal: int, uid: int, gid: int, program: list[str]) -> None:
    if uid != -1:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    # After the change of user, which would clear it.
    if death_signal and ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, death_signal, 0, 0, 0) != 0:
        sys.exit("prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent:
        sys.exit("the service that started this has ended already")
    # Nothing of the service's environment is passed on: LANG, LC_*, PG* and TZ all change what PostgreSQL does.
    os.umask(0o077)
    os.execve(program[0], program, {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"})  # noqa: S606


if __name__ == "__main__":
    parent, death_signal, uid, gid = (int(argument) for argument in sys.argv[1:5])
    main(parent, death_signal, uid, gid, sys.argv[5:])
