"""The manifest of a predictor: what it is and where it comes from."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from prescreen.encoders import EncoderSpecification
from prescreen.ratings.licences import LICENCES
from prescreen.ratings.scale import Scale


@dataclass(frozen=True)
class Manifest:
    """What a predictor is and where it comes from.

    Parameters
    ----------
    name : str
        Name of the predictor, that of its directory at training.
    encoder : EncoderSpecification
        Turns pictures into the vectors of the regressors.
    traits : tuple of str
        Traits that are predicted.
    scale : str
        Scale of the raw predictions, ``LOW:HIGH``.
    is_score : bool
        Whether raw ratings are 0-10 scores already.
    data : mapping
        Ratings: file name, format, SHA-256, method, numbers of pictures and groups, traits as named in the file
        (``columns``), whether the predictor keeps nothing of single portraits (``forgotten``), where asked for, of how
        many raters votes were left out (``raters_left_out``), what its bases are (``bases``, as from `as_base`; one
        without a fingerprint is another rating file of the same training, and has its ``scale``, ``columns`` and
        ``raters_left_out``), and how many of the pictures look like persons of whom bases have seen other pictures
        (``known_to_bases``).
    reliability : mapping of str to mapping
        For each trait ``icc1``, ``votes_per_image``, ``of_mean``.
    seed : int
        Seed of folds and regressors.
    simulated : bool
        Whether the ratings were simulated.
    versions : mapping of str to str
        Versions of prescreen and of the libraries that made it.
    """

    name: str
    encoder: EncoderSpecification
    traits: tuple[str, ...]
    scale: str
    is_score: bool
    data: Mapping[str, Any]
    reliability: Mapping[str, Mapping[str, float | None]]
    seed: int
    simulated: bool
    versions: Mapping[str, str]

    @property
    def forgets(self) -> bool:
        """Whether the predictor holds nothing of any single portrait that it was trained on."""
        return bool(self.data.get("forgotten", False))

    @property
    def bases(self) -> tuple[Mapping[str, Any], ...]:
        """What its bases are, as from `as_base`."""
        return tuple(self.data.get("bases", ()))

    @property
    def base_predictors(self) -> tuple[Mapping[str, Any], ...]:
        """Those of its bases that are predictors."""
        return tuple(base for base in self.bases if base["fingerprint"])

    @property
    def other_ratings(self) -> tuple[Mapping[str, Any], ...]:
        """Those of its bases that are ratings of other files, which were learned from in the same training."""
        return tuple(base for base in self.bases if not base["fingerprint"])

    @property
    def forgetful(self) -> tuple[Mapping[str, Any], ...]:
        """Those of its bases, theirs and so on that hold nothing of their portraits."""
        return tuple(base for base in _all_bases(self.bases) if base.get("forgotten", False))

    @property
    def licence(self) -> str | None:
        """Licence of the ratings, where their format tells."""
        return LICENCES.get(self.data.get("format", ""))

    @property
    def licences(self) -> tuple[str, ...]:
        """All licences that are known of its ratings and of those of its bases, each once."""
        own = [] if self.licence is None else [self.licence]
        return tuple(dict.fromkeys([*own, *(found for base in self.bases for found in _licences(base))]))

    def as_base(self, fingerprint: str) -> dict[str, Any]:
        """Return what the manifest of a predictor says of this one, its base; ``fingerprint`` is that of the base."""
        return {
            "name": self.name,
            "fingerprint": fingerprint,
            "traits": list(self.traits),
            "source": self.data["source"],
            "sha256": self.data["sha256"],
            "images": self.data["images"],
            "licence": self.licence,
            "simulated": self.simulated,
            "forgotten": self.forgets,
            "bases": [dict(base) for base in self.bases],
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Self:
        """Return the manifest of what `to_json` gave.

        Raises
        ------
        LookupError, TypeError, ValueError, PrescreenError
            If fields are missing or of another type.
        """
        encoder = EncoderSpecification.from_json(content["encoder"])
        manifest = cls(**{**content, "encoder": encoder, "traits": tuple(content["traits"])})
        manifest._check()
        return manifest

    def to_json(self) -> dict[str, Any]:
        """Return everything, for a JSON file."""
        content = {field.name: getattr(self, field.name) for field in fields(self)}
        return content | {"encoder": self.encoder.to_json()}

    def _check(self) -> None:
        kinds = {"name": str, "scale": str, "is_score": bool, "seed": int, "simulated": bool}
        kinds |= dict.fromkeys(("data", "reliability", "versions"), dict)
        for name, kind in kinds.items():
            if type(getattr(self, name)) is not kind:
                raise TypeError(f"{name} is {getattr(self, name)!r}")
        texts = [*self.traits, *self.versions.values()]
        columns = self.data["columns"]
        if not texts or not all(isinstance(text, str) for text in (*texts, *columns.values())):
            raise TypeError("traits, columns and versions are texts")
        if len(set(self.traits)) < len(self.traits) or set(columns) != set(self.traits):
            raise ValueError(f"traits {self.traits}, with columns for {tuple(columns)}")
        data = {"forgotten": False, "known_to_bases": 0, **self.data}  # not there in older ones
        for name, kind in {
            "images": int,
            "source": str,
            "sha256": str,
            "forgotten": bool,
            "known_to_bases": int,
        }.items():
            if type(data[name]) is not kind:
                raise TypeError(f"data: {name} is {data[name]!r}")
        for base in self.bases:
            _check_base(base)
        figures = [value for known in self.reliability.values() for value in known.values()]
        figures += [self.reliability[trait]["icc1"] for trait in self.traits]
        if not all(value is None or type(value) in (int, float) for value in figures):
            raise TypeError("reliabilities are numbers")
        Scale.parse(self.scale)


def _all_bases(bases: Iterable[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for base in bases:
        yield base
        yield from _all_bases(base["bases"])


def _licences(base: Mapping[str, Any]) -> list[str]:
    own = [] if base["licence"] is None else [base["licence"]]
    return [*own, *(found for nested in base["bases"] for found in _licences(nested))]


def _check_base(base: Mapping[str, Any]) -> None:
    kinds = {"name": str, "fingerprint": str, "traits": list, "source": str, "sha256": str, "images": int}
    for name, kind in {**kinds, "simulated": bool, "bases": list}.items():
        if type(base[name]) is not kind:
            raise TypeError(f"a base's {name} is {base[name]!r}")
    # Not there in older ones, and the last three of rating files only.
    for name, kind in {"forgotten": bool, "scale": str, "columns": dict, "raters_left_out": int}.items():
        if name in base and type(base[name]) is not kind:
            raise TypeError(f"a base's {name} is {base[name]!r}")
    if not all(isinstance(text, str) for text in (*base["traits"], base["licence"] or "")):
        raise TypeError("a base's traits and licence are texts")
    for nested in base["bases"]:
        _check_base(nested)
