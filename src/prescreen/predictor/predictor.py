"""The predictor: encoder specification, regressors, calibration and manifest, in one directory.

`prescreen.predictor.files` has the names of its files. Nothing in them can run code when it is loaded.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_arrays
from safetensors.numpy import save as save_arrays

from prescreen.encoders import IDENTITY_BLOCK, IDENTITY_WIDTH, Encoder
from prescreen.errors import PredictorError, PredictorMismatch
from prescreen.evaluation.report import Evaluation
from prescreen.evaluation.usability import Usability, usability
from prescreen.predictor.bases import Base
from prescreen.predictor.calibration import Calibration
from prescreen.predictor.canaries import Canaries
from prescreen.predictor.files import FILES, digests, read_files, write_files
from prescreen.predictor.human_scores import Errors, HumanResults, Pictures, update_predictions
from prescreen.predictor.manifest import Manifest
from prescreen.predictor.training_portraits import TrainingPortraits, content_keys
from prescreen.ratings.scale import Scale
from prescreen.regressors.base import below
from prescreen.regressors.novelty import NoveltyDetector
from prescreen.regressors.stacking import TraitRegressors
from prescreen.text import shown

_UNCHANGED: Final = 1e-6  # of z: a prediction that human scores move less stays as it is, to the last bit

Vectors = NDArray[np.float16] | NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """Predictions of n pictures on t traits; every array has shape (n, t).

    Parameters
    ----------
    raw, raw_low, raw_high : ndarray of float
        On the scale of the training ratings, with the 90 % interval of a rating.
    score, score_low, score_high : ndarray of float
        0-10, with the same interval.
    """

    raw: NDArray[np.float64]
    raw_low: NDArray[np.float64]
    raw_high: NDArray[np.float64]
    score: NDArray[np.float64]
    score_low: NDArray[np.float64]
    score_high: NDArray[np.float64]


@dataclass(frozen=True)
class Predictor:
    """Predicts what a crowd would say, from vectors.

    Parameters
    ----------
    manifest : Manifest
        What it is.
    regressors : TraitRegressors
        From vectors to raw ratings.
    calibration : Calibration
        From raw ratings to scores.
    portraits : TrainingPortraits
        What it was trained on.
    evaluation : Evaluation
        The cross-validated evaluation.
    novelty_detector : NoveltyDetector or None
        Measures how unlike the training portraits a picture is; None where there were too few of them.
    results : HumanResults or None
        Human scores of pictures of the one person for whom it has learned since.
    canaries : Canaries or None
        Pictures for `prescreen.predictor.reproducibility`.
    bases : tuple of Base
        Predictors whose predictions the regressors use; ``manifest.bases`` says what they are.
    place : Path or None
        The directory that it was loaded from.
    """

    manifest: Manifest
    regressors: TraitRegressors
    calibration: Calibration
    portraits: TrainingPortraits
    evaluation: Evaluation
    novelty_detector: NoveltyDetector | None = None
    results: HumanResults | None = None
    canaries: Canaries | None = None
    bases: tuple[Base, ...] = ()
    place: Path | None = field(default=None, compare=False)

    @property
    def traits(self) -> tuple[str, ...]:
        """Traits in the order of the columns."""
        return self.manifest.traits

    @property
    def usability(self) -> Usability:
        """Which traits can be used; evaluations of older versions lack the width of the scale."""
        return usability(replace(self.evaluation, scale_width=Scale.parse(self.manifest.scale).width))

    @property
    def holdings(self) -> Mapping[str, int]:
        """Number of pictures of people that it holds something of, by what it holds."""
        width = self.manifest.encoder.dimension
        components = 0 if self.novelty_detector is None else self.novelty_detector.components.shape[1]
        held: dict[bytes, NDArray[np.int64]] = {}
        # Parts that were trained on the same pictures count once, with the most that one holds.
        for part in self.as_base().parts():
            pictures = part.portraits.keys.tobytes()
            numbers = np.array([len(part.portraits.keys), len(part.portraits.faces), part.regressors.rows_held])
            held[pictures] = np.maximum(held.get(pictures, 0), numbers)
        keys, faces, vectors = (int(number) for number in np.sum(list(held.values()), axis=0))
        return {
            "64 bits of the SHA-256 of the file, and the cross-validated prediction": keys,
            f"face descriptor, {IDENTITY_WIDTH} numbers": faces,
            f"whole vector, {width} numbers with the face descriptor among them": vectors,
            f"place among portraits, {components} numbers": 0
            if self.novelty_detector is None
            else len(self.novelty_detector.portraits),
            f"tested by people: whole vector, {width} numbers, and the scores": len(self.results or ()),
        }

    @property
    def beside(self) -> tuple[Path, ...]:
        """Folders where weights of its encoder may be: its directory, and the one that this lies in."""
        return () if self.place is None else (self.place, self.place.parent)

    def make_encoder(self, device: str | None = None, *, like: str | None = None) -> Encoder:
        """Return its encoder, which finds weights beside it, too.

        Parameters
        ----------
        device : str, optional
            As in `Encoder`.
        like : str, optional
            Precision of vectors that its own will be compared with; ``f32`` stands in for ``bf16`` then, too.
        """
        own = self.manifest.encoder
        try:
            return Encoder(replace(own, precision="f32") if like == "f32" else own, device, self.beside)
        except PredictorMismatch as error:
            raise PredictorMismatch(f"predictor {shown(self.manifest.name)}: {error}") from error

    def as_base(self) -> Base:
        """Return the part of it that predicts raw ratings, before any human scores."""
        return Base(self.traits, self.regressors, self.portraits, self.bases)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of everything that decides a score."""
        content = digests(self._contents())
        for name in (FILES.evaluation, FILES.canaries):
            content.pop(name, None)
        manifest = self.manifest.to_json()
        deciding = [content, *(manifest[name] for name in ("encoder", "traits", "is_score"))]
        return hashlib.sha256(json.dumps(deciding, sort_keys=True).encode()).hexdigest()

    def predict(self, features: Vectors, contents: Sequence[str] | None = None) -> Predictions:
        """Predict n pictures.

        Parameters
        ----------
        features : ndarray, shape (n, d)
            Their vectors.
        contents : sequence of str, optional
            SHA-256 of their files. A picture that was trained on then gets its cross-validated prediction: what a model
            says of a picture whose rating it has seen is no prediction.

        Returns
        -------
        Predictions
            Human scores (``results``) move the predictions of the person's pictures and narrow their intervals;
            those of other pictures stay as they were.

        Raises
        ------
        PredictorMismatch
            If the vectors have another width than the encoder's.
        """
        keys = _keys(contents, len(features))
        raw = self.predict_before_results(features, keys)
        half = self.calibration.half_widths_at(raw)
        if self.results is not None:
            raw, half = self._posterior_predictions(raw, self._pictures(raw, features, keys))
        low, high = raw - half, raw + half
        score = self.calibration.score
        return Predictions(raw, low, high, score(raw), score(low), score(high))

    def featurize(
        self, features: Vectors, contents: Sequence[str] | None = None, raw: NDArray[np.float64] | None = None
    ) -> Pictures:
        """Return n pictures with their predictions before any human scores.

        Parameters
        ----------
        features, contents
            As in `predict`.
        raw : ndarray of float, shape (n, t), optional
            These predictions, if they are known already.
        """
        keys = _keys(contents, len(features))
        return self._pictures(self.predict_before_results(features, keys) if raw is None else raw, features, keys)

    def posterior(self, pictures: Pictures) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return means and error variances in z, both (n, t), given the human scores."""
        scored, results = self.scored()
        return update_predictions(self.errors(), scored, results, pictures)

    def was_tested(self, contents: Sequence[str]) -> NDArray[np.bool_]:
        """Tell which files, given by their SHA-256, people have scored."""
        keys = content_keys(contents)
        tested = np.zeros(len(keys), dtype=bool) if self.results is None else np.isin(keys, self.results.keys)
        return np.asarray(tested & (keys != 0), dtype=bool)

    def scored(self) -> tuple[Pictures, HumanResults]:
        """Return the pictures that people have scored, and their scores."""
        results = self.results or HumanResults.none(self.manifest.encoder.dimension, len(self.traits))
        raw = self.predict_before_results(results.vectors, results.keys)
        return self._pictures(raw, results.vectors, results.keys), results

    def errors(self, *references: NDArray[np.floating]) -> Errors:
        """Return how errors go together, with the person's face descriptors: those of scored pictures and these."""
        faces = [] if self.results is None else [self.results.vectors[:, self._face]]
        faces += [np.atleast_2d(reference) for reference in references]
        known = np.concatenate(faces) if faces else np.zeros((0, IDENTITY_WIDTH))
        return Errors(self.calibration, known.astype(np.float32))

    @property
    def _face(self) -> slice:
        return self.manifest.encoder.blocks[IDENTITY_BLOCK]

    def predict_before_results(self, features: Vectors, keys: NDArray[np.uint64]) -> NDArray[np.float64]:
        """Return raw predictions, (n, t), that no human scores have moved; ``keys`` as from `content_keys`."""
        dimension = self.manifest.encoder.dimension
        if features.ndim != 2 or features.shape[1] != dimension:
            raise PredictorMismatch(
                f"vectors of shape {features.shape}: expected (n, {dimension}) from the same encoder"
            )
        return self.as_base().predict(features.astype(np.float32), keys)

    def _pictures(self, raw: NDArray[np.float64], vectors: Vectors, keys: NDArray[np.uint64]) -> Pictures:
        return Pictures(
            z=self.calibration.z(raw),
            features=self.regressors.scaler.plain.transform(vectors),
            faces=np.asarray(vectors[:, self._face], np.float32),
            keys=keys,
        )

    def _posterior_predictions(
        self, raw: NDArray[np.float64], pictures: Pictures
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        z, variance = self.posterior(pictures)
        before = np.diag(self.calibration.error_covariance)
        # The interval is one of ratings: it contains the error and the noise of the training ratings.
        reliability = [self.manifest.reliability.get(trait, {}).get("of_mean") for trait in self.traits]
        noise = np.array([0.0 if found is None else 1 - found for found in reliability])
        narrower = np.sqrt((variance + noise) / np.maximum(before + noise, np.finfo(float).tiny))
        touched = (np.abs(z - pictures.z) > _UNCHANGED) | (before - variance > _UNCHANGED)
        return (
            np.where(touched, self.calibration.raw(z), raw),
            self.calibration.half_widths_at(raw) * np.where(touched, narrower, 1.0),
        )

    def novelty(self, features: Vectors) -> NDArray[np.float64]:
        """Return how unlike the training portraits n pictures are, 1 for the most unusual of those; NaN if unknown."""
        if self.novelty_detector is None:
            return np.full(len(features), np.nan)
        return self.novelty_detector.novelty(features.astype(np.float32))

    def save(self, directory: str | os.PathLike[str]) -> None:
        """Write the predictor; the directory is the old one or the new one, never half.

        Raises
        ------
        PredictorError
            If something stands there that is not a predictor, or it cannot be written.
        """
        write_files(Path(directory), self.manifest.to_json(), self._contents())

    @classmethod
    def load(cls, directory: str | os.PathLike[str]) -> Self:
        """Read a predictor.

        Parameters
        ----------
        directory : path
            What `save` wrote.

        Raises
        ------
        PredictorError
            If there is none, it is damaged, or another version of prescreen made it.
        """
        directory = Path(directory)
        manifest, contents = read_files(directory)
        try:
            arrays = load_arrays(contents[FILES.arrays])
            description = Manifest.from_json(manifest)
            predicting = Base.from_state(description.traits, arrays, json.loads(contents[FILES.regressors]))
            predictor = cls(
                manifest=description,
                regressors=predicting.regressors,
                calibration=Calibration.from_arrays(below("calibration/", arrays), description.is_score),
                portraits=predicting.portraits,
                bases=predicting.bases,
                evaluation=Evaluation.from_json(json.loads(contents[FILES.evaluation])),
                novelty_detector=NoveltyDetector.from_arrays(below("familiarity/", arrays)),
                results=HumanResults.from_arrays(learned) if (learned := below("results/", arrays)) else None,
                canaries=None
                if FILES.canaries not in contents
                else Canaries.from_arrays(load_arrays(contents[FILES.canaries]), len(description.traits)),
                place=directory.absolute(),
            )
            predictor._check_shapes()
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            RecursionError,
            SafetensorError,
        ) as error:
            raise PredictorError(f"{directory}: not a sound predictor ({type(error).__name__}: {error})") from error
        return predictor

    def _check_shapes(self) -> None:
        """Refuse parts that do not fit together, by a prediction as the last of the checks."""
        calibration = self.calibration
        found = [calibration.distribution.shape[1], len(calibration.half_widths), self.regressors.weights.shape[1]]
        if set(found) != {len(self.traits)}:
            raise ValueError(f"{len(self.traits)} traits in the manifest, {found} in the arrays")
        if calibration.error_size is not None and calibration.error_size.slope.shape != (len(self.traits),):
            raise ValueError(f"sizes of errors for {calibration.error_size.slope.shape} traits")
        if len(self.manifest.bases) != len(self.bases):
            raise ValueError(f"{len(self.manifest.bases)} bases in the manifest, {len(self.bases)} in the arrays")
        for part in self.as_base().parts():
            part.check_shapes()
        results = self.results
        if results is not None and results.z.shape[1] != len(self.traits):
            raise ValueError(f"human results on {results.z.shape[1]} traits")
        if results is not None and results.vectors.shape[1] != self.manifest.encoder.dimension:
            raise ValueError(f"human results with {results.vectors.shape[1]} features")
        dimension = len(self.regressors.scaler.mean)
        if self.novelty_detector is not None and len(self.novelty_detector.mean) != dimension:
            raise ValueError(f"novelty detector of {len(self.novelty_detector.mean)} features")
        if dimension != self.manifest.encoder.dimension:
            raise ValueError(f"{dimension} features, but {self.manifest.encoder.dimension} of the encoder")
        if self.predict(np.zeros((1, dimension), np.float16)).score.shape != (1, len(self.traits)):
            raise ValueError("predictions for other traits")

    def _contents(self) -> dict[str, bytes]:
        parts, configuration = self.as_base().to_state()
        parts |= {f"calibration/{name}": array for name, array in self.calibration.to_arrays().items()}
        if self.novelty_detector is not None:
            parts |= {f"familiarity/{name}": array for name, array in self.novelty_detector.to_arrays().items()}
        if self.results is not None:
            parts |= {f"results/{name}": array for name, array in self.results.to_arrays().items()}
        contents = {
            FILES.arrays: save_arrays({name: np.ascontiguousarray(array) for name, array in parts.items()}),
            FILES.regressors: json.dumps(configuration).encode(),
            FILES.evaluation: (json.dumps(self.evaluation.to_json(), indent=2) + "\n").encode(),
        }
        if self.canaries is not None:
            contents[FILES.canaries] = save_arrays(self.canaries.to_arrays())
        return contents


def _keys(contents: Sequence[str] | None, n: int) -> NDArray[np.uint64]:
    return np.zeros(n, np.uint64) if contents is None else content_keys(contents)
