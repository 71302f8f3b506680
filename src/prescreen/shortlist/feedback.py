"""The inner steps of learning from a test with people: what came back, what it says, and what to send next."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import ndtri

from prescreen.embeddings.pipeline import EmbeddingCache, cached_vector, embed_images
from prescreen.encoders import Encoder
from prescreen.errors import NothingScored, PredictorMismatch, RatingsError, UsageError
from prescreen.images.files import ImageFile, find_images
from prescreen.predictor.human_scores import HumanResults, offset
from prescreen.predictor.predictor import Predictor
from prescreen.predictor.scores_table import DECIMALS, PARTS, check_scores
from prescreen.predictor.training_portraits import content_keys
from prescreen.ranking.options import DEFAULT_VOTES
from prescreen.ranking.posterior import HumanScores, Prior
from prescreen.ranking.stopping import Agreement, agreement
from prescreen.ratings.results import TypedResults
from prescreen.ratings.vote_noise import z_to_score
from prescreen.shortlist.baseline import typed_in_z
from prescreen.shortlist.list_step import ListStep
from prescreen.shortlist.next_step import NextStep
from prescreen.shortlist.pending_plan import PendingPlan
from prescreen.storage.overwrite_checks import check_output_paths
from prescreen.storage.provenance import ScoresMetadata, is_model_uri
from prescreen.storage.tables import read_table, table_format
from prescreen.text import OK, shown

_Z90: Final = float(ndtri(0.95))

GONE: Final = "the picture is no longer there: not ranked again"


@dataclass(frozen=True)
class TestedPicture:
    """A picture that people scored.

    Parameters
    ----------
    name : str
        As the results name it.
    content : str
        SHA-256 of its file.
    vector : ndarray of float16, shape (d,)
        Its vector.
    """

    __test__ = False  # pytest, this is no test

    name: str
    content: str
    vector: NDArray[np.float16]


@dataclass(frozen=True)
class Offset:
    """By how much people see all pictures of the person above the predictions, on one trait.

    Parameters
    ----------
    trait : str
        The trait.
    points, low, high : float
        In score points at the mean prediction of the scored pictures, with the ends of the 90 % interval.
    """

    trait: str
    points: float
    low: float
    high: float


def find_pictures(
    names: Sequence[str],
    files: Sequence[ImageFile],
    contents: Mapping[str, str],
    encoder: Encoder,
    cache: EmbeddingCache,
) -> list[TestedPicture]:
    """Find the vectors of tested pictures, in the cache by their content or else from their files.

    Parameters
    ----------
    names : sequence of str
        The pictures.
    files : sequence of ImageFile
        Files of these names.
    contents : mapping of str to str
        SHA-256 of those that were scored.
    encoder, cache
        What embeds.

    Raises
    ------
    RatingsError
        If a picture is gone, cannot be read, or is another one than was scored.
    """
    found = {}
    for name in names:
        vector = cached_vector(contents[name], encoder, cache) if name in contents else None
        if vector is not None:
            found[name] = TestedPicture(name, contents[name], vector)
    rest = {file.name: file for file in files if file.name in names and file.name not in found}
    for embedded in embed_images(list(rest.values()), encoder, cache, tolerant=True):
        if embedded.vector is None:
            raise RatingsError(f"{shown(embedded.name)}: was scored by people, but {embedded.reason}")
        if embedded.content != contents.get(embedded.name, embedded.content):
            raise RatingsError(
                f"{shown(embedded.name)}: the file was changed since prescreen score saw it; score the folder again"
            )
        found[embedded.name] = TestedPicture(embedded.name, embedded.content, embedded.vector)
    for name in names:
        if name not in found:
            raise RatingsError(
                f"{shown(name)}: was scored by people, but is no longer there; name its folder: --images"
            )
    return [found[name] for name in names]


def human_results(
    typed: TypedResults, pictures: Sequence[TestedPicture], predictor: Predictor, *, votes: int = DEFAULT_VOTES
) -> HumanResults:
    """Turn typed scores into what a predictor keeps: z, the variance of each as a mean of votes, and the vectors.

    Parameters
    ----------
    typed : TypedResults
        Scores of the pictures, in the same order.
    pictures : sequence of TestedPicture
        The pictures.
    predictor : Predictor
        What they were predicted by.
    votes : int
        Votes behind a score whose file does not say; see `prescreen.shortlist.baseline.typed_in_z`.
    """
    z, variance = typed_in_z(typed, predictor, votes)
    earlier = predictor.results
    return HumanResults(
        keys=content_keys(picture.content for picture in pictures),
        vectors=np.stack([picture.vector for picture in pictures]),
        z=z,
        variance=variance,
        rounds=np.full(len(pictures), 1 + (0 if earlier is None else int(earlier.rounds.max())), dtype=np.int64),
        foreign=np.full(len(pictures), not typed.raw),
    )


def known_already(predictor: Predictor, newer: HumanResults) -> bool:
    """Tell whether a predictor has learned all these scores before."""
    earlier = predictor.results
    return earlier is not None and bool((earlier.holds(newer) | ~newer.told).all())


def agree(predictor: Predictor, results: HumanResults, pictures: Sequence[TestedPicture]) -> tuple[Agreement, ...]:
    """Compare the scores of a round with what the predictor, as it was before them, said of the pictures.

    Parameters
    ----------
    predictor : Predictor
        As it was.
    results : HumanResults
        Scores of the pictures, in the same order.
    pictures : sequence of TestedPicture
        The pictures.
    """
    seen = predictor.featurize(results.vectors, [picture.content for picture in pictures])
    means, variances = predictor.posterior(seen)
    covariance = predictor.calibration.error_covariance
    scale = np.sqrt(variances / np.maximum(np.diag(covariance), np.finfo(float).tiny))
    prior = Prior(means, np.eye(len(means)), covariance, scale)
    rows = np.arange(len(means), dtype=np.intp)
    return agreement(prior, HumanScores(rows, results.z, results.variance), predictor.traits)


def person_offset(predictor: Predictor) -> tuple[Offset, ...]:
    """Say what all scores so far tell of the person, apart from the single pictures."""
    scored, results = predictor.scored()
    mean, variance = offset(predictor.errors(), scored, results)
    spread = _Z90 * np.sqrt(np.maximum(variance, 0))
    middle = scored.z.mean(axis=0)
    points = [z_to_score(middle + mean + end * spread) - z_to_score(middle) for end in (0, -1, 1)]
    return tuple(Offset(trait, *(float(part[t]) for part in points)) for t, trait in enumerate(predictor.traits))


def score_again(table: pd.DataFrame, predictor: Predictor, vectors: Mapping[str, NDArray[np.float16]]) -> pd.DataFrame:
    """Return the table of scores as the predictor, which has learned, predicts now.

    A picture that is gone becomes a failed row with its reason.
    """
    table = table.copy()
    scored = (table["status"] == OK).to_numpy()
    here = scored & table["image"].isin(vectors.keys()).to_numpy()
    rows = np.flatnonzero(here)
    if len(rows):
        stacked = np.stack([vectors[name] for name in table["image"].iloc[rows]])
        predicted = predictor.predict(stacked, table["content"].iloc[rows].tolist())
        for t, trait in enumerate(predictor.traits):
            for part, field in PARTS.items():
                values = getattr(predicted, field)[:, t].round(DECIMALS)
                table.loc[table.index[rows], f"{trait}{part}"] = values
    gone = table.index[scored & ~here]
    table.loc[gone, "status"], table.loc[gone, "reason"] = "failed", GONE
    return table


def with_results(predictor: Predictor, results: HumanResults, name: str) -> Predictor:
    """Return the predictor after it has learned from a round, under its new name."""
    earlier = predictor.results
    together = results if earlier is None else earlier.with_round(results)
    return replace(predictor, manifest=replace(predictor.manifest, name=name), results=together)


def to_json(
    round_: int, agreed: Sequence[Agreement], offsets: Sequence[Offset], step: NextStep | ListStep | None
) -> dict[str, Any]:
    """Return all of a round for a machine."""
    return {
        "round": round_,
        "agreement": [asdict(part) for part in agreed],
        "offset": [asdict(part) for part in offsets],
        "decision": None
        if step is None
        else {"verdict": step.decision.verdict, "image": step.name, "p": _known(step.decision.chance)},
        "proposed": [] if step is None else step.proposal["image"].tolist(),
        "p_any_better": None if step is None else step.chance,
    }


def _known(chance: float) -> float | None:
    return None if np.isnan(chance) else chance


def picture_folder(results: Path, images: Path | None) -> Path:
    """Return where tested pictures lie if no scores name them: the folder named, or that of the results."""
    return images if images is not None else results.resolve().parent


def find_tested(folder: Path) -> list[ImageFile]:
    """Find the pictures in a folder.

    Raises
    ------
    NothingScored
        If there are none.
    """
    files = list(find_images([folder]))
    if not files:
        raise NothingScored(
            f"{folder}: no pictures there (JPEG, PNG, WebP); name the tested ones' folder with --images"
        )
    return files


def check_learn_paths(
    results: Path,
    predictor: str,
    output: Path,
    scores: Path | None,
    baseline: str | None,
    shortlist: Path | None,
    others: Mapping[str, Path],
) -> None:
    """Refuse a ranking that lacks something, or one file for two things.

    Raises
    ------
    UsageError
        If a current photo is given without scores, a place for the ranking without both, or two paths are the same.
    """
    if baseline is not None and scores is None:
        raise UsageError("--baseline: there is nothing to rank; name the scores of the candidates with --scores")
    if shortlist is not None and baseline is None:
        raise UsageError("--shortlist: candidates are ranked against your current photo; name it with --baseline")
    if shortlist is not None:
        table_format(shortlist)
    photo = None if baseline is None else Path(baseline)
    before = None if is_model_uri(predictor) else Path(predictor)
    check_output_paths(
        {"--output": output, "--shortlist": shortlist},
        {"RESULTS": results, "--predictor": before, "--scores": scores, "--baseline": photo, **others},
    )


def read_plan(plan: Path | None, shortlist: Path | None) -> PendingPlan | None:
    """Read what is left of the plan for a list beside the shortlist that was tested.

    Raises
    ------
    UsageError
        If there is no plan beside it, or the new ranking has no other place to go to.
    """
    if plan is None:
        if shortlist is not None and PendingPlan.beside(shortlist).exists():
            raise UsageError(
                f"--shortlist {shown(shortlist)}: a plan for a list is beside it; go on with it by --plan "
                f"{shown(shortlist)} and another --shortlist"
            )
        return None
    if shortlist is None:
        raise UsageError("--plan: what comes next is written beside the new ranking; name one with --shortlist")
    check_output_paths({"--shortlist": shortlist}, {"--plan": plan})
    return PendingPlan.read(plan)


def read_candidates(scores: Path | None, predictor: Predictor) -> tuple[ScoresMetadata | None, pd.DataFrame | None]:
    """Read the scores of the candidates; any predictor of the same encoder may have made them.

    Raises
    ------
    PredictorMismatch
        If another encoder made the vectors, or the table was changed.
    """
    if scores is None:
        return None, None
    note = ScoresMetadata.read(scores)
    table = read_table(scores)
    if note is not None:
        note.check(scores, note.predictor_sha256)
        if note.encoder_sha256 not in predictor.manifest.encoder.fingerprints or note.traits != predictor.traits:
            raise PredictorMismatch(
                f"{scores}: scored by {note.predictor_name} with the encoder {note.encoder}, whose vectors or traits "
                f"are not those of {predictor.manifest.name}; score the folder again with --predictor"
            )
    check_scores(table, predictor.traits, scores)
    return note, table
