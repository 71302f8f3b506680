"""Candidates of one simulated person, ranked by the functions that `prescreen rank` runs, without networks."""

from types import SimpleNamespace

import numpy as np
import pandas as pd

from prescreen.encoders import IDENTITY_BLOCK
from prescreen.evaluation.usability import Usability
from prescreen.predictor.calibration import Calibration
from prescreen.predictor.human_scores import Errors, HumanResults, Pictures
from prescreen.predictor.scores_table import score_columns
from prescreen.ranking.checks import References
from prescreen.ranking.goals import default_goals
from prescreen.ranking.options import RankingOptions
from prescreen.ratings.vote_noise import score_to_z
from prescreen.reports.ratings_origin import RatingsOrigin
from prescreen.reports.summarize import BaselinePicture, TraitValue, summarize_ranking
from prescreen.shortlist.baseline import Baseline
from prescreen.shortlist.shortlist import make_shortlist

TRAITS = ("competence", "likeability", "influence")
GOALS = default_goals(TRAITS)
LEVELS = {"competence": 6.0, "likeability": 7.0, "influence": 5.0}


class SimulatedPredictor:
    """What a shortlist asks of a predictor; features are face descriptors."""

    traits = TRAITS
    results = None
    manifest = SimpleNamespace(
        encoder=SimpleNamespace(blocks={IDENTITY_BLOCK: slice(0, 128)}),
        reliability=dict.fromkeys(TRAITS, {"icc1": 0.3}),
    )
    calibration = Calibration(
        np.tile(np.linspace(0, 10, 20)[:, None], 3),
        np.ones(3),
        0.15 * np.eye(3) + 0.1,
        True,
        similar_share=0.4,
        similar_gamma=2.0,
    )

    def __init__(self, table, unusable=""):
        self.z = {row["content"]: score_to_z([row[trait] for trait in TRAITS]) for row in table.to_dict("records")}
        self.usability = Usability(dict.fromkeys(TRAITS, unusable))

    def scored(self):
        none = HumanResults.none(128, 3)
        return Pictures(np.zeros((0, 3)), none.vectors, none.vectors, none.keys), none

    def errors(self, *references):
        return Errors(self.calibration, np.array(references).reshape(-1, 128))

    def featurize(self, vectors, contents, raw=None):
        keys = np.array([int(content, 16) for content in contents], dtype=np.uint64)
        return Pictures(np.array([self.z[content] for content in contents]), vectors, vectors, keys)

    def was_tested(self, contents):
        return np.zeros(len(contents), dtype=bool)


class Person:
    """So many candidates, some of them near-copies of each other and one excluded, and a current photo.

    ``shift`` is added to all scores; without ``current`` there is no current photo.
    """

    def __init__(self, names, shift=0.0, *, current=True, unusable=""):
        random = np.random.default_rng(11)
        n = len(names)
        face = random.normal(size=128)
        faces = face + 0.12 * np.linalg.norm(face) / np.sqrt(128) * random.normal(size=(n, 128))
        faces[5] = faces[2] + 1e-3
        faces[9] = faces[4] - 1e-3
        faces = (faces / np.linalg.norm(faces, axis=1)[:, None]).astype(np.float16)
        self.vectors = dict(zip(names, faces, strict=True))
        table = pd.DataFrame(0.0, index=range(n + 1), columns=score_columns(list(TRAITS)))
        table = table.astype(dict.fromkeys(("image", "status", "reason", "face_detector", "content"), object))
        table = table.assign(
            image=[*names, "now.jpg"], status="ok", reason="", content=[f"{i:016x}" for i in range(1, n + 2)],
            faces=1, width=900, height=900, face_share=0.2, face_margin=0.5, sharpness=20.0,
        )  # fmt: skip
        for trait in TRAITS:
            values = np.append(np.clip(random.normal(LEVELS[trait] + shift, 1.0, n), 0.5, 9.5), LEVELS[trait]).round(3)
            table[trait] = table[f"{trait}_raw"] = values
            table[f"{trait}_low"], table[f"{trait}_high"] = np.clip(values - 2, 0, 10), np.clip(values + 2, 0, 10)
        table.loc[7, "sharpness"] = 1.0
        self.predictor = SimulatedPredictor(table, unusable)
        self.table = table.iloc[:-1]
        self.current = None
        if current:
            ends = ({trait: level + end for trait, level in LEVELS.items()} for end in (-2, 2))
            photo = (face / np.linalg.norm(face)).astype(np.float16)
            self.current = Baseline("now.jpg", LEVELS, *ends, None, vector=photo, content=table["content"].iloc[-1])

    def rank(self, rejected=(), kept=(), **options):
        """Return the shortlist that `prescreen rank` makes of these decisions."""
        only = options.pop("only_kept", False)
        wanted = RankingOptions(**options)
        return make_shortlist(
            self.table,
            self.predictor,
            self.current,
            wanted,
            self.vectors,
            References(),
            rejected,
            kept=kept,
            only_kept=only,
        )

    def summary(self, done, decided=None):
        """Return what the page says about a shortlist."""
        values = {name: TraitValue(level, level - 2, level + 2) for name, level in LEVELS.items()}
        return summarize_ranking(
            done.table,
            TRAITS,
            GOALS,
            BaselinePicture("now.jpg", "predicted from the picture", values) if self.current else None,
            {"Predictor": "models/made"},
            advice=done.advice,
            ratings=RatingsOrigin("made.csv", 100, 90, simulated=True),
            plan=done.describe_plan(),
            contenders=done.contenders,
            decided=decided,
        )
