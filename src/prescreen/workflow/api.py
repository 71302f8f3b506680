"""The Python interface: what the commands do, on objects and data frames.

>>> import prescreen
>>> predictor = prescreen.Predictor.load("models/mine")  # doctest: +SKIP
>>> table = predictor.score("portraits/")  # doctest: +SKIP
>>> table.nlargest(3, "influence")[["image", "influence", "influence_low", "influence_high"]]  # doctest: +SKIP
"""

import contextlib
import os
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import pandas as pd

from prescreen.images.in_memory import Picture, is_picture, listed, save_pictures
from prescreen.predictor import predictor as saved
from prescreen.ranking.options import RankingOptions
from prescreen.ratings.scale import Scale
from prescreen.storage.provenance import is_model_uri
from prescreen.text import parse_names, parse_traits, quoted
from prescreen.workflow import evaluate, inputs, score, train
from prescreen.workflow import pick as workflow_pick
from prescreen.workflow.pick import Picked, PickOptions
from prescreen.workflow.rating_files import in_step

PathLike = str | os.PathLike[str]
Traits = Mapping[str, str] | Iterable[str]
Ends = tuple[float, float]

_PATH = (str, os.PathLike)


class Predictor:
    """A trained predictor, made by `load` or `train`: pictures in, a table of scores out.

    Attributes
    ----------
    place : str
        The directory or MLflow model URI that it came from.
    """

    def __init__(self, inner: saved.Predictor, place: str) -> None:
        self._inner = inner
        self.place = place
        self._lasting = place

    @classmethod
    def load(cls, place: PathLike) -> Self:
        """Load a predictor.

        Parameters
        ----------
        place : path or str
            A directory that ``prescreen train`` wrote, or an MLflow model URI such as ``models:/prescreen@champion``.

        Raises
        ------
        prescreen.errors.PredictorError
            If there is none, or it is damaged.
        prescreen.errors.StoreError
            If the MLflow store has no such model.
        """
        lasting = inputs.resolve_model_uri(os.fspath(place))  # an alias may move, the working directory change
        loaded = cls(inputs.load_predictor(lasting if is_model_uri(lasting) else os.fspath(place)), os.fspath(place))
        loaded._lasting = lasting
        return loaded

    @classmethod
    def train(
        cls,
        ratings: PathLike | Sequence[PathLike],
        *,
        images: PathLike | Sequence[PathLike | None] | None = None,
        traits: Traits | Sequence[Traits | None] | None = None,
        columns: Mapping[str, str] | Sequence[Mapping[str, str] | None] | None = None,
        scale: Ends | Sequence[Ends | None] | None = None,
        bases: PathLike | Iterable[PathLike] = (),
        encoder: str | None = None,
        views: Sequence[str] | None = None,
        mirror: bool | None = None,
        output: PathLike | None = None,
        experiment: str | None = None,
        seed: int = 0,
        simulated: bool = False,
        leave_out_raters: bool = False,
        forget_portraits: bool = False,
        trees: bool = False,
    ) -> Self:
        """Train a predictor on ratings, save it, and log it to MLflow.

        It is logged to a run of its own: your active run stays active, and nothing is logged to it. The arguments are
        described in `prescreen.workflow.train.TrainingOptions`; ``traits`` may also be names that are the same in the
        ratings, and ``scale`` is a pair of the lowest and highest vote.

        ``ratings`` may be a list: the traits of the first are predicted, and the others help. ``images``, ``traits``,
        ``columns`` and ``scale`` are then one for all (``traits``: for the first), or a list with one for each, None
        where there is nothing to say.
        """
        files = in_step(
            [Path(place) for place in _each(ratings, isinstance(ratings, _PATH))],
            images=[_path(place) for place in _each(images, isinstance(images, _PATH))],
            traits=[_as_mapping(names) for names in _each(traits, _is_one_choice(traits))],
            columns=_each(columns, isinstance(columns, Mapping)),
            scale=[_scale(ends) for ends in _each(scale, _is_one_scale(scale))],
        )
        options = train.TrainingOptions.of_files(
            files,
            bases=tuple(os.fspath(base) for base in ([bases] if isinstance(bases, str | os.PathLike) else bases)),
            encoder=encoder,
            views=views,
            mirror=mirror,
            output=_path(output),
            experiment=experiment,
            seed=seed,
            simulated=simulated,
            leave_out_raters=leave_out_raters,
            forget_portraits=forget_portraits,
            trees=trees,
        )
        return cls.load(train.train(options).output)

    @property
    def name(self) -> str:
        """Name, that of its directory at training."""
        return self._inner.manifest.name

    @property
    def traits(self) -> tuple[str, ...]:
        """Traits that it predicts."""
        return self._inner.traits

    @property
    def encoder(self) -> str:
        """Name of the encoder whose vectors it takes."""
        return self._inner.manifest.encoder.choice

    @property
    def simulated(self) -> bool:
        """Whether it was trained on simulated votes."""
        return self._inner.manifest.simulated

    @property
    def evaluation(self) -> Mapping[str, Any]:
        """The cross-validated evaluation, as in ``evaluation.json``."""
        return self._inner.evaluation.to_json()

    def score(
        self,
        pictures: PathLike | Picture | Iterable[PathLike | Picture],
        *,
        tolerant: bool = False,
        follow_links: bool = False,
    ) -> pd.DataFrame:
        """Score pictures; vectors come from the cache where it has them.

        Parameters
        ----------
        pictures : path or picture, or several
            Folders or image files; or pictures of Pillow or arrays, see `prescreen.images.in_memory.Picture`. Those in
            memory are rows ``001.png``, ``002.png`` ... in their order.
        tolerant : bool
            Score truncated pictures as far as they go instead of failing them.
        follow_links : bool
            Follow links that lead out of the folders; otherwise they are failed rows.

        Returns
        -------
        DataFrame
            One row a picture, sorted by path; the columns are those of ``docs/tables.md``. A picture that cannot be
            scored has ``status`` ``failed`` and its ``reason``.

        Raises
        ------
        prescreen.errors.NothingScored
            If there is no picture there. Pictures that all fail are rows here, and no error.
        """
        given = listed(pictures)
        with contextlib.ExitStack() as stack:
            if any(map(is_picture, given)):
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="prescreen-"))
                given = [save_pictures(given, Path(folder) / "pictures")[0].parent]
            return score.score_table(
                [Path(path) for path in given], self._inner, tolerant=tolerant, follow_links=follow_links
            )

    def rank(
        self,
        pictures: PathLike | Picture | Iterable[PathLike | Picture],
        current: PathLike | Picture | None = None,
        *,
        current_scores: Mapping[str, float] | PathLike | None = None,
        current_votes: int | None = None,
        same_raters: bool = False,
        improve: Iterable[str] | None = None,
        keep: Iterable[str] | None = None,
        budget: int | None = None,
        references: PathLike | Iterable[PathLike] = (),
        gates_off: Iterable[str] = (),
        output: PathLike | None = None,
        keep_metadata: bool = False,
    ) -> Picked:
        """Score pictures and rank them by their chance to beat the current photo: `pick` by this predictor.

        The arguments and what is returned are those of `pick`.
        """
        return pick(
            pictures,
            current,
            current_scores=current_scores,
            current_votes=current_votes,
            same_raters=same_raters,
            improve=improve,
            keep=keep,
            budget=budget,
            references=references,
            gates_off=gates_off,
            predictor=self._lasting,
            output=output,
            keep_metadata=keep_metadata,
        )

    def evaluate(
        self,
        ratings: PathLike,
        *,
        images: PathLike | None = None,
        traits: Mapping[str, str] | Iterable[str] | None = None,
        columns: Mapping[str, str] | None = None,
        scale: tuple[float, float] | None = None,
    ) -> Mapping[str, Any]:
        """Measure it against ratings of pictures that it was not trained on; the arguments are those of `train`.

        Returns
        -------
        mapping
            As ``prescreen evaluate --json`` writes it.
        """
        options = evaluate.EvaluationOptions(
            self._inner,
            Path(ratings),
            images=_path(images),
            traits=_as_mapping(traits),
            columns=columns,
            scale=_scale(scale),
        )
        return evaluate.evaluate(options).to_json()

    def __repr__(self) -> str:
        """Say what it is."""
        votes = ", simulated votes" if self.simulated else ""
        return f"<prescreen.Predictor {self.name}: {', '.join(self.traits)} from {self.encoder}{votes}>"


def pick(
    pictures: PathLike | Picture | Iterable[PathLike | Picture],
    current: PathLike | Picture | None = None,
    *,
    current_scores: Mapping[str, float] | PathLike | None = None,
    current_votes: int | None = None,
    same_raters: bool = False,
    improve: Iterable[str] | None = None,
    keep: Iterable[str] | None = None,
    budget: int | None = None,
    references: PathLike | Iterable[PathLike] = (),
    gates_off: Iterable[str] = (),
    predictor: PathLike | None = None,
    ratings: PathLike | None = None,
    images: PathLike | None = None,
    traits: Mapping[str, str] | Iterable[str] | None = None,
    simulated: bool = False,
    accept_licence: bool = False,
    source: PathLike | None = None,
    output: PathLike | None = None,
    seed: int = 0,
    keep_metadata: bool = False,
) -> Picked:
    """Find the few pictures that are worth sending to human raters, and copy them into a folder.

    Parameters
    ----------
    pictures : path or picture, or several
        Folders or image files; or pictures of Pillow or arrays. Those in memory are called ``001.png``, ``002.png`` ...
        in their order, and are kept in the folder.
    current : path or picture, optional
        The current photo. Without it, pictures are ranked by their predicted scores.
    current_scores : mapping of str to float, or path, optional
        Its scores from people, 0 to 10 by trait, or a file of results that it is in.
    current_votes : int, optional
        How many votes each of these scores comes from; 20 without it.
    same_raters, improve, keep, budget, references, gates_off
        As in `prescreen.ranking.options.RankingOptions`.
    predictor : path or str, optional
        Directory or MLflow model URI; without it, and without ratings, the champion of the MLflow store here, or else
        the predictor of public ratings.
    ratings, images, traits, simulated, accept_licence, source, output, seed, keep_metadata
        As in `prescreen.workflow.pick.PickOptions`.

    Returns
    -------
    Picked
        With ``table`` (all candidates, the best first), ``shortlist`` (the rows to send), ``advice`` (what to do),
        ``folder`` and ``report``; a notebook shows the page.

    Raises
    ------
    prescreen.errors.UsageError
        If there is no predictor and ``accept_licence`` is not given, or the output holds other things.
    prescreen.errors.NothingScored
        If there is no picture, or none could be scored.
    """
    scores = current_scores
    if isinstance(scores, Mapping):
        scores = ",".join(f"{quoted(trait)}={level}" for trait, level in scores.items())
    options = RankingOptions(
        improve=_names(improve),
        keep=_names(keep),
        budget=budget,
        baseline_scores=None if scores is None else os.fspath(scores),
        baseline_votes=current_votes,
        same_raters=same_raters,
        references=[Path(place) for place in listed(references)],
        gates_off=list(gates_off),
    )
    by = PickOptions(
        predictor=None if predictor is None else os.fspath(predictor),
        ratings=_path(ratings),
        images=_path(images),
        traits=_as_mapping(traits),
        simulated=simulated,
        accept_licence=accept_licence,
        source=None if source is None else os.fspath(source),
        output=_path(output),
        seed=seed,
        keep_metadata=keep_metadata,
    )
    given = [os.fspath(place) if isinstance(place, os.PathLike) else place for place in listed(pictures)]
    photo = os.fspath(current) if isinstance(current, os.PathLike) else current
    return workflow_pick.pick(given, current=photo, options=options, by=by)


def _names(given: Iterable[str] | None) -> Sequence[str] | None:
    return None if given is None else parse_names(given) if isinstance(given, str) and given else tuple(given)


def _each(values: Any, single: bool) -> list[Any]:
    """Return what was given for each rating file; one value is for all."""
    return [values] if single else [] if values is None else list(values)


def _is_one_choice(traits: Any) -> bool:
    """Whether these are the traits of one file rather than a list with those of each."""
    if traits is None or isinstance(traits, str | Mapping):
        return traits is not None
    return not isinstance(traits, Sequence) or all(isinstance(name, str) for name in traits)


def _is_one_scale(scale: Any) -> bool:
    return scale is not None and all(isinstance(end, int | float) for end in scale)


def _path(place: PathLike | None) -> Path | None:
    return None if place is None else Path(place)


def _scale(ends: tuple[float, float] | None) -> Scale | None:
    return None if ends is None else Scale(*ends)


def _as_mapping(traits: Mapping[str, str] | Iterable[str] | None) -> Mapping[str, str] | None:
    if traits is None or isinstance(traits, Mapping):
        return traits
    return parse_traits(traits) if isinstance(traits, str) else {name: name for name in traits}


__all__: Sequence[str] = ["Predictor", "pick"]
