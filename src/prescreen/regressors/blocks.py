"""Features in named blocks, standardised so that every block has the same weight."""

import math
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from prescreen.errors import PredictorError
from prescreen.regressors.relevance import feature_relevance

Blocks = Mapping[str, slice]
Float16 = NDArray[np.float16]
Float32 = NDArray[np.float32]
Float64 = NDArray[np.float64]
RatedGroups = tuple[Float64, Float64, NDArray[np.intp]]

CLIP = 3.0  # standard deviations; pooled activations have long tails
SMALL = 3000  # rows; see blas_threads
CHUNK = 64  # rows; see in_chunks
_FEW = 256  # rows or columns that fit into the cache
_SLAB = 4096  # columns that are in double precision at a time


def check_blocks(blocks: Blocks | None, n_features: int) -> dict[str, slice]:
    """Return the blocks as plain ranges in column order; they must tile the columns without gap or overlap."""
    if blocks is None:
        return {"all": slice(0, n_features)}
    ranges = {name: slice(*block.indices(n_features)[:2]) for name, block in blocks.items()}
    ordered = dict(sorted(ranges.items(), key=lambda item: item[1].start))
    end = 0
    for name, block in ordered.items():
        strided = blocks[name].step not in (None, 1)
        if strided or block.start != end or block.stop <= block.start:
            raise ValueError(f"block {name!r} is {blocks[name]}; expected a range of columns that starts at {end}")
        end = block.stop
    if end != n_features:
        raise ValueError(f"the blocks end at column {end}; expected {n_features}, the number of features")
    return ordered


@dataclass(frozen=True)
class BlockScaler:
    """Standardisation of features in blocks.

    A feature is centred and divided by its standard deviation on the training rows, clipped at 3 standard deviations
    and rounded to half precision, the precision in which a saved model keeps it. Blocks are then weighed so that the
    inner product of two rows is the mean over blocks of the mean product of a feature, and the squared Euclidean
    distance the mean over blocks of the mean squared difference of a feature (2 on average between unrelated rows).
    Means within a block are weighed by `relevance`. A feature that is constant on the training rows counts as zero.

    Attributes
    ----------
    blocks : dict of str to slice
        Column range of each block; they tile the columns.
    mean, inverse_sd : ndarray of float32, shape (d,)
        Training mean, and 1 / standard deviation (0 for a constant feature).
    relevance : ndarray of float32, shape (d,)
        Weight of each feature within its block, 1 on average (`prescreen.regressors.relevance`).
    """

    blocks: dict[str, slice]
    mean: Float32
    inverse_sd: Float32
    relevance: Float32

    @classmethod
    def fit(cls, X: NDArray[Any], blocks: Blocks | None = None) -> Self:
        """Learn means and standard deviations of the columns of ``X`` (n, d)."""
        X = check_features(X)
        ordered = check_blocks(blocks, X.shape[1])
        mean, variance = np.zeros(X.shape[1]), np.zeros(X.shape[1])
        for start in range(0, X.shape[1], _FEW):
            columns = slice(start, start + _FEW)
            own = X[:, columns]
            mean[columns] = own.astype(np.float64).mean(axis=0)
            variance[columns] = np.square(own - mean[columns].astype(np.float32)).astype(np.float64).mean(axis=0)
        sd = np.sqrt(variance)
        varies = sd > 1e-6 * np.abs(mean) + np.finfo(np.float32).tiny
        inverse = np.divide(1.0, sd, out=np.zeros_like(sd), where=varies)
        return cls(ordered, mean.astype(np.float32), inverse.astype(np.float32), np.ones(X.shape[1], np.float32))

    @property
    def plain(self) -> Self:
        """The same standardisation with equal weights of the features in a block."""
        return replace(self, relevance=np.ones_like(self.relevance))

    @property
    def n_features(self) -> int:
        """Number of columns expected."""
        return len(self.mean)

    def standardise(self, X: NDArray[Any]) -> Float16:
        """Centre, scale, clip and round; a model keeps its training rows in this form."""
        X = check_features(X, self.n_features)
        standardised = np.empty(X.shape, np.float16)
        for start in range(0, len(X), _FEW):
            Z = X[start : start + _FEW] - self.mean
            Z *= self.inverse_sd
            np.clip(Z, -CLIP, CLIP, out=Z)
            standardised[start : start + _FEW] = Z
        return standardised

    def weigh(self, standardised: Float16) -> Float32:
        """Give every block the same total weight, and every feature its own in the block."""
        weight = np.sqrt(self.relevance)
        for block in self.blocks.values():
            weight[block] *= 1.0 / math.sqrt(len(self.blocks) * (block.stop - block.start))
        Z = np.empty(standardised.shape, np.float32)
        for start in range(0, len(Z), _FEW):
            rows = slice(start, start + _FEW)
            Z[rows] = standardised[rows]
            Z[rows] *= weight
        return Z

    def transform(self, X: NDArray[Any]) -> Float32:
        """Standardise and weigh ``X`` (n, d)."""
        return self.weigh(self.standardise(X))

    def to_state(self) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
        """Return arrays and a JSON-able description."""
        ranges = {name: [block.start, block.stop] for name, block in self.blocks.items()}
        arrays = {"mean": self.mean, "inverse_sd": self.inverse_sd, "relevance": self.relevance}
        return arrays, {"blocks": ranges}

    @classmethod
    def from_state(cls, arrays: Mapping[str, NDArray[Any]], config: Mapping[str, Any]) -> Self:
        """Rebuild what :meth:`to_state` returned."""
        blocks = {name: slice(int(start), int(stop)) for name, (start, stop) in config["blocks"].items()}
        mean = np.asarray(arrays["mean"], np.float32)
        try:
            ordered = check_blocks(blocks, len(mean))
        except ValueError as error:
            raise PredictorError(f"the saved model is damaged ({error}); train it again") from error
        relevance = np.asarray(arrays["relevance"], np.float32)
        if relevance.shape != mean.shape or not (relevance >= 0).all():
            raise PredictorError("the saved model is damaged (weights of features); train it again")
        return cls(ordered, mean, np.asarray(arrays["inverse_sd"], np.float32), relevance)


class BlockDesign:
    """Standardised training rows, and matrices of them that several regressors need, each computed once.

    Parameters
    ----------
    scaler : BlockScaler
        Fitted on these rows.
    X : ndarray of shape (n, d)
        Features.
    ratings : (ndarray, ndarray, ndarray), optional
        Ratings and weights of the rows, (n, t) each, and their groups (n,), to learn the scaler's relevance from.
    """

    def __init__(self, scaler: BlockScaler, X: NDArray[Any], ratings: RatedGroups | None = None) -> None:
        self.scaler = scaler
        self.standardised = scaler.standardise(X)
        self.features = scaler.weigh(self.standardised)
        if ratings is not None:
            self.scaler = replace(scaler, relevance=feature_relevance(self.features, scaler.blocks, *ratings))
            self.features = self.scaler.weigh(self.standardised)

    @classmethod
    def fit(cls, X: NDArray[Any], blocks: Blocks | None, ratings: RatedGroups | None = None) -> Self:
        """Standardise ``X`` by its own rows."""
        return cls(BlockScaler.fit(X, blocks), X, ratings)

    def __len__(self) -> int:
        return len(self.features)

    @cached_property
    def block_grams(self) -> dict[str, Float32]:
        """Inner products of the rows within each block, (n, n) each."""
        return {name: self.features[:, block] @ self.features[:, block].T for name, block in self.scaler.blocks.items()}

    @cached_property
    def gram(self) -> Float32:
        """Inner products of the rows, (n, n)."""
        total = np.zeros((len(self), len(self)), np.float32)
        for block in self.scaler.blocks.values():
            total += self.features[:, block] @ self.features[:, block].T
        return total

    @cached_property
    def distances(self) -> Float32:
        """Squared distances between the rows, (n, n); zero on the diagonal."""
        norms = np.diag(self.gram)
        distances = -2 * self.gram
        distances += norms[:, None] + norms[None]
        np.maximum(distances, 0, out=distances)
        np.fill_diagonal(distances, 0)
        return distances


def squared_distances(A: Float32, B: Float32) -> Float32:
    """Squared Euclidean distances between the rows of ``A`` (m, d) and ``B`` (n, d), shape (m, n)."""
    norms_a, norms_b = (np.einsum("ij,ij->i", rows, rows) for rows in (A, B))
    distances = norms_a[:, None] + norms_b[None] - 2 * product(A, B.T)
    np.maximum(distances, 0, out=distances)
    return np.asarray(distances, np.float32)


def product(A: Float32, B: Float32) -> Float32:
    """Matrix product of ``A`` (m, d) and ``B`` (d, n), summed in double precision: equal rows give equal results.

    On some processors BLAS rounds rows of a single precision product differently, depending on their position.
    """
    total = np.zeros((A.shape[0], B.shape[1]))
    for start in range(0, A.shape[1], _SLAB):
        slab = slice(start, start + _SLAB)
        total += A[:, slab].astype(np.float64) @ B[slab].astype(np.float64)
    return total.astype(np.float32)


def in_chunks(
    predict: Callable[[Float32], Float64], scaler: BlockScaler, X: NDArray[Any], size: int = CHUNK
) -> Float64:
    """Predict chunks of a fixed number of rows, so that a prediction does not depend on the other rows.

    Matrix products round differently for different shapes. So all chunks have one shape (the last one is filled up with
    copies of its last row), and :func:`product` computes those in single precision.

    Parameters
    ----------
    predict : callable
        From standardised rows, float32 (size, d), to predictions (size, t).
    scaler : BlockScaler
        Standardises the rows.
    X : ndarray of shape (n, d)
        Features; n may be 0.
    size : int
        Rows of a chunk. Larger chunks are faster; the last bits of a prediction depend on the size.

    Returns
    -------
    ndarray of float64, shape (n, t)
    """
    X = check_features(X, scaler.n_features)
    filled = np.zeros((max(1, math.ceil(len(X) / size)) * size, X.shape[1]), np.float32)
    filled[: len(X)] = X
    if len(X):
        filled[len(X) :] = X[-1]
    starts = range(0, len(filled), size)
    with blas_threads(size):
        chunks = [predict(scaler.transform(filled[start : start + size])) for start in starts]
    return np.concatenate(chunks)[: len(X)]


def check_features(X: NDArray[Any], n_features: int | None = None) -> Float32:
    """Return ``X`` as float32 after checking its shape and that it is finite."""
    X = np.asarray(X, np.float32)
    if X.ndim != 2 or (n_features is not None and X.shape[1] != n_features):
        raise ValueError(f"features have shape {X.shape}; expected (n, {'d' if n_features is None else n_features})")
    if not np.isfinite(X).all():
        rows = np.flatnonzero(~np.isfinite(X).all(axis=1))
        raise ValueError(f"features of row {rows[0]} (and {len(rows) - 1} more) are not finite numbers")
    return X


@contextmanager
def blas_threads(n: int) -> Iterator[None]:
    """Limit BLAS to one thread in this context, unless the problem has more than 3000 rows (``n``).

    With few rows threads mostly wait for each other: an eigendecomposition with two threads takes twenty times as long
    when another process uses a core. With one thread results do not depend on the number of cores either. The limit is
    one of the process: it ends with the last of the contexts that need it.
    """
    if n > SMALL:
        yield
        return
    _ONE_THREAD.enter()
    try:
        yield
    finally:
        _ONE_THREAD.leave()


class _OneThread:
    """The limit, and how many contexts of how many threads need it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._needed = 0
        self._limits: Any = None

    def enter(self) -> None:
        with self._lock:
            if not self._needed:
                self._limits = threadpool_limits(limits=1, user_api="blas")
            self._needed += 1

    def leave(self) -> None:
        with self._lock:
            self._needed -= 1
            if not self._needed:
                self._limits.restore_original_limits()


_ONE_THREAD = _OneThread()
