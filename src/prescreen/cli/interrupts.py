"""Records Ctrl-C, because what it interrupts may report something else.

Python raises `KeyboardInterrupt` at an arbitrary place. An import of a C extension turns that into an ImportError, a
callback from C may drop it, and a decoding process that ends with the same Ctrl-C looks like a crash.
"""

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType

_asked = False


@contextlib.contextmanager
def noted() -> Iterator[None]:
    """Record every Ctrl-C inside, and raise `KeyboardInterrupt` as usual; where somebody else handles it, do nothing.

    For the main thread of the command's own process.
    """
    global _asked
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        _asked = False


def asked() -> bool:
    """Tell whether Ctrl-C came."""
    return _asked


def _note(number: int, frame: FrameType | None) -> None:
    global _asked
    _asked = True
    signal.default_int_handler(number, frame)
