"""How many threads the linear algebra of one fit may use."""

from collections.abc import Iterator
from contextlib import contextmanager

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

SMALL = 2000  # rows


@contextmanager
def blas_threads(n: int) -> Iterator[None]:
    """Keep BLAS to one thread for a problem of ``n`` rows, unless it is large; the setting returns afterwards.

    At a few hundred rows threads mostly wait for each other: on an otherwise idle machine they gain little, and when
    other work holds a core an eigendecomposition with two threads takes twenty times as long. With one thread results
    do not depend on the number of cores either.
    """
    if n > SMALL:
        yield
    else:
        with threadpool_limits(limits=1, user_api="blas"):
            yield
