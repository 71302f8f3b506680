"""Predict how a crowd would rate portraits, and pick the few worth sending to human raters."""

# Not even `typing` is imported: with ``python -m prescreen`` modules still come from the working directory.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from prescreen.workflow.api import Predictor, pick

__version__ = "0.1.0"
__all__ = ["Predictor", "__version__", "pick"]


def __dir__() -> list[str]:
    """Name the interface before it is imported, for those who look with ``dir`` or complete with Tab."""
    return sorted({*globals(), *__all__})


def __getattr__(name: str) -> object:
    """Import the interface at its first use, so that ``import prescreen`` loads no large library."""
    if name in ("Predictor", "pick"):
        from prescreen.process import check_interpreter

        check_interpreter()
        from prescreen.workflow import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
