"""Least privilege: once interfaces and outputs are open, a sensor needs none, and has none."""

from __future__ import annotations

import ctypes
import os
import pwd
import resource
from pathlib import Path

import hbids
from hbids.errors import UserInputError

__all__ = ["drop_privileges"]

_DEFAULT_USERS = ("hbids", "nobody")

_PR_CAPBSET_DROP, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 24, 38, 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_CAPABILITY_VERSION_3 = 0x20080522
_MOST_CAPABILITIES = 64


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def drop_privileges(user: str | None, memory_bytes: int) -> None:
    """Become ``user`` (of root: ``hbids`` or ``nobody`` unless one is named), give up every capability and any way to
    new ones, write no core files, and take no more memory than that. Call it before threads start.

    Raises UserInputError when there is no such user, when it may not be become, or cannot read what hbids needs.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in range(_MOST_CAPABILITIES):
        libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)  # takes CAP_SETPCAP; without it there is little to bound
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    if user is not None or os.geteuid() == 0:
        _become(_find(user))
    libc.capset(ctypes.byref(_Header(_CAPABILITY_VERSION_3, 0)), ctypes.byref((_Data * 2)()))
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    least = memory_bytes if most == resource.RLIM_INFINITY else min(memory_bytes, most)
    resource.setrlimit(resource.RLIMIT_DATA, (least, least))


def _find(user: str | None) -> pwd.struct_passwd:
    for name in (user,) if user else _DEFAULT_USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise UserInputError([f"--user: there is no user {user or ' or '.join(_DEFAULT_USERS)}: name one that exists"])


def _become(account: pwd.struct_passwd) -> None:
    if account.pw_uid == os.geteuid():
        return
    try:
        os.setgroups([])
        os.setresgid(account.pw_gid, account.pw_gid, account.pw_gid)
        os.setresuid(account.pw_uid, account.pw_uid, account.pw_uid)
    except PermissionError as error:
        message = f"--user {account.pw_name}: only root may become another user: run hbids as that user, or as root"
        raise UserInputError([message]) from error
    if not os.access(hbids.__file__, os.R_OK):
        message = f"may not read {Path(hbids.__file__).parent}: install hbids where that user may, or name another"
        raise UserInputError([f"--user {account.pw_name}: {message}"])
