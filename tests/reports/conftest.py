import numpy as np
import pandas as pd
import pytest

import simulated
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.noise_ceiling import NoiseCeiling
from prescreen.evaluation.report import TraitEvaluation
from prescreen.ranking.goals import default_goals
from prescreen.ranking.stopping import Advice
from prescreen.reports.summarize import BaselinePicture, TraitValue, summarize_ranking

ACCURACY = TraitEvaluation(
    "competence", 803, pearson=Estimate(0.81, 0.78, 0.83), ceiling=NoiseCeiling(highest_r=0.93, votes=Estimate(24.0))
)
TRAITS = ("competence", "likeability", "influence")
BASELINE = {"competence": 6.0, "likeability": 7.0, "influence": 5.0}
ROWS = {
    "best.jpg": (9.0, 8.5, 8.0),
    "copy.jpg": (8.9, 8.4, 8.0),
    "good.jpg": (8.0, 7.5, 7.0),
    "mixed.jpg": (9.5, 5.0, 7.0),
    "low.jpg": (4.0, 4.0, 4.0),
    "broken.jpg": None,
}


@pytest.fixture
def summary():
    """Return a function that ranks pictures, given or the usual ones, and summarizes the ranking."""

    def build(rows=ROWS, budget=2, copies=("copy.jpg",), chosen=(), **options):
        values = np.array([row or (np.nan,) * 3 for row in rows.values()])
        scores = pd.DataFrame({"image": pd.Series(list(rows), dtype=object)})
        scores["status"] = ["ok" if row else "failed" for row in rows.values()]
        scores["reason"] = ["" if row else "no face </script><script>alert(1)</script>" for row in rows.values()]
        for t, trait in enumerate(TRAITS):
            scores[trait] = values[:, t]
            scores[f"{trait}_low"], scores[f"{trait}_high"] = values[:, t] - 1, values[:, t] + 0.5
        goals = default_goals(TRAITS)
        table = simulated.rank(
            scores,
            TRAITS,
            BASELINE,
            goals,
            budget,
            covariance=0.1 * np.eye(3),
            copies=dict.fromkeys(copies, "best.jpg"),
        )
        if chosen:
            table["selected"] = table["image"].isin(chosen)
        baseline = BaselinePicture(
            "now.jpg",
            "predicted from the picture",
            {name: TraitValue(value, 4.0, 9.0) for name, value in BASELINE.items()},
        )
        options.setdefault("accuracy", (ACCURACY,))
        origin = {"Predictor": "models/made", "Encoder": ""}
        options.setdefault("advice", Advice(int(table["selected"].sum()), 0.8, 0.6, 0.9))
        return summarize_ranking(table, TRAITS, goals, baseline, origin, **options)

    return build
