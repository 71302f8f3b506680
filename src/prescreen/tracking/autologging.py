"""The caller's autologging, which is off while prescreen trains: it would make a run of every model of every fold."""

import contextlib
import sys
import threading
from collections.abc import Iterator

_LOCK = threading.Lock()
_blocks = 0
_off = contextlib.ExitStack()


@contextlib.contextmanager
def without_autologging() -> Iterator[None]:
    """Turn MLflow's autologging off until the block ends, for the process: MLflow knows no smaller scope.

    Where it was off, it stays off; of several blocks at a time the last one turns it on again.
    """
    if "mlflow" not in sys.modules:  # nobody can have turned it on
        yield
        return
    global _blocks
    from mlflow.utils import autologging_utils

    with _LOCK:
        _blocks += 1
        if not getattr(autologging_utils, "_AUTOLOGGING_GLOBALLY_DISABLED", False):
            _off.enter_context(autologging_utils.disable_autologging())
    try:
        yield
    finally:
        with _LOCK:
            _blocks -= 1
            if not _blocks:
                _off.close()
