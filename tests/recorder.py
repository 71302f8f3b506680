"""Watches a process of Python from its start, told by the environment: see `tests/e2e/test_surroundings.py`.

A `.pth` file imports it, so that it is there in every process, whatever options they are started with. Attempts to
reach another machine are noted and fail. What libraries do outside of Python is not seen.
"""

import ipaddress
import os
import sys

_LOG = (
    os.open(os.environ["RECORDER_LOG"], os.O_WRONLY | os.O_APPEND | os.O_CREAT) if "RECORDER_LOG" in os.environ else -1
)
_TRAPS = os.environ.get("RECORDER_TRAPS", "").split(os.pathsep)
_TALKING = {
    "socket.connect": 1,
    "socket.sendto": 1,
    "socket.sendmsg": 1,
    "socket.getaddrinfo": 0,
    "socket.gethostbyname": 0,
}
_STARTING = ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system")


def _note(kind, what):
    os.write(_LOG, f"{kind}\t{what}\n".encode("utf-8", "surrogateescape"))


def _is_here(address):
    if not isinstance(address, tuple):  # a path, or a host by name
        return (
            not isinstance(address, (str, bytes))
            or os.fsdecode(address) in ("", "localhost")
            or b"/" in os.fsencode(address)
        )
    try:
        return address[0] in ("", "localhost") or ipaddress.ip_address(address[0]).is_loopback
    except ValueError:
        return False


def _hook(event, arguments):
    if event == "open":
        path = arguments[0]
        if isinstance(path, (str, bytes)) and os.path.abspath(os.fsdecode(path)) in _TRAPS:
            _note("opened", os.path.abspath(os.fsdecode(path)))
    elif event in _TALKING:
        address = arguments[_TALKING[event]]
        if event == "socket.getaddrinfo":
            address = (os.fsdecode(address or ""), arguments[1])
        if event == "socket.gethostbyname":
            address = (os.fsdecode(address or ""), 0)
        if address is not None and not _is_here(address):
            _note("reached for", f"{event} {address}")
            raise OSError("blocked by the test")
    elif event in _STARTING:
        _note("started", os.path.basename(os.fsdecode(arguments[0])))


if _LOG >= 0:
    sys.addaudithook(_hook)
