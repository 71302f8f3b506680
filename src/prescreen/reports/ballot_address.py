"""The address of a served ballot: the same after a restart, so that the link that raters have still works.

A file in the user's private cache holds port and token for each table of votes. It is locked while the ballot is
served: no two servers write one table.
"""

import contextlib
import fcntl
import hashlib
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psutil

from prescreen.errors import PrescreenError, UsageError
from prescreen.reports.local_server import LOOPBACK, listen
from prescreen.settings import make_cache_directory
from prescreen.text import shown

_KEPT: Final = re.compile(r"([0-9]{1,5}) ([\w-]{43})\n", re.ASCII)


class BallotAddress:
    """Port and token of a ballot, as they were kept or made anew."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        found = _KEPT.fullmatch(os.pread(descriptor, 200, 0).decode("ascii", "replace"))
        self._port = int(found[1]) if found and int(found[1]) < 1 << 16 else 0
        self.token = found[2] if found else secrets.token_urlsafe(32)

    def open(self, port: int, *, network: bool) -> list[socket.socket]:
        """Listen on this machine's own address, and on those in its local networks, and keep the port.

        Parameters
        ----------
        port : int
            0 takes that of the last time if it is free, otherwise any.
        network : bool
            Whether other machines of the local network may ask.

        Raises
        ------
        UsageError
            If this machine is in no local network.
        PrescreenError
            If the port is taken.
        """
        hosts = [LOOPBACK, *(local_addresses() if network else ())]
        if network and len(hosts) == 1:
            raise UsageError("--network: this machine has no address in a local network; connect it, or leave it out")
        try:
            listeners = _listen(port or self._port, hosts)
        except PrescreenError:
            if port:
                raise
            listeners = _listen(0, hosts)
        kept = f"{listeners[0].getsockname()[1]} {self.token}\n".encode()
        os.ftruncate(self._descriptor, os.pwrite(self._descriptor, kept, 0))
        return listeners

    def links(self, listeners: list[socket.socket]) -> list[str]:
        """Return the addresses that open the page, that for this machine first."""
        return [f"http://{host}:{port}/{self.token}/" for host, port in (part.getsockname() for part in listeners)]


@contextlib.contextmanager
def ballot_address(votes: Path) -> Iterator[BallotAddress]:
    """Give the ballot that collects into a table its address; no other process gets it meanwhile.

    Raises
    ------
    PrescreenError
        If another process serves a ballot for this table, or the cache cannot be written.
    """
    name = hashlib.sha256(os.fsencode(os.path.realpath(votes))).hexdigest()
    descriptor = os.open(make_cache_directory("ballots") / name, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PrescreenError(
                f"{shown(votes)}: another prescreen ballot writes it; end that one, or give another --output"
            ) from None
        yield BallotAddress(descriptor)
    finally:
        os.close(descriptor)


def local_addresses() -> list[str]:
    """Return the IPv4 addresses that this machine has in local networks, which the internet does not reach."""
    found = (entry for entries in psutil.net_if_addrs().values() for entry in entries)
    texts = [entry.address for entry in found if entry.family == socket.AF_INET]
    addresses = sorted({ipaddress.IPv4Address(text) for text in texts})
    return [str(one) for one in addresses if one.is_private and not one.is_loopback and not one.is_link_local]


def _listen(port: int, hosts: list[str]) -> list[socket.socket]:
    """Open one port of all addresses, or of none."""
    with contextlib.ExitStack() as stack:
        opened: list[socket.socket] = []
        for host in hosts:
            opened.append(stack.enter_context(listen(opened[0].getsockname()[1] if opened else port, host)))
        stack.pop_all()
    return opened
