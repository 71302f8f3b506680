"""The loader that MLflow models name. Its name stays, since models keep it; the code is `prescreen.tracking.pyfunc`."""

from prescreen.tracking.pyfunc import _load_pyfunc

__all__ = ["_load_pyfunc"]
