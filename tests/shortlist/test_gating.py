"""Candidates with their gates, on scores and faces made for the purpose."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from prescreen.embeddings.pipeline import Quality
from prescreen.errors import UsageError
from prescreen.predictor.scores_table import score_columns
from prescreen.ranking.gates import References
from prescreen.ranking.goals import Goals
from prescreen.ranking.options import RankingOptions
from prescreen.shortlist.baseline import Baseline
from prescreen.shortlist.gating import rank_with_gates

PREDICTOR = SimpleNamespace(
    traits=("warm",), calibration=SimpleNamespace(error_covariance=np.array([[0.3]]), person_share=0.3)
)


def test_a_near_copy_is_named_once():
    table = pd.DataFrame(0.0, index=range(3), columns=score_columns(["warm"]))
    table = table.astype(dict.fromkeys(("image", "status", "reason", "face_detector", "content"), object))
    table = table.drop(columns="content").assign(
        image=["a.jpg", "copy.jpg", "c.jpg"], status="ok", reason="", face_detector="hog", warm=[8.0, 7.0, 6.0],
        warm_low=5.0, warm_high=9.0, faces=1, width=900, height=900, face_share=0.2, face_margin=0.5, sharpness=20.0,
    )  # fmt: skip
    assert set(Quality.__dataclass_fields__) <= set(table.columns)
    face, other = np.eye(2, 128, dtype=np.float32)
    faces = {"a.jpg": face, "copy.jpg": face + 0.01 * other, "c.jpg": 0.3 * other + face}
    baseline = Baseline("now", {"warm": 5.0}, {}, {}, None)
    ranked = rank_with_gates(table, PREDICTOR, baseline, Goals(("warm",)), 3, faces, References()).set_index("image")
    copy = ranked.loc["copy.jpg"]
    assert (copy["demoted"], copy["duplicate_of"], copy["gates"]) == ("near-copy of a.jpg", "a.jpg", "copies")
    assert copy["why"].startswith("near-copy of a.jpg; warm +2.0")
    assert ranked.loc[["a.jpg", "c.jpg"], "gates"].tolist() == ["", ""]


@pytest.mark.parametrize("name", ["budget", "votes", "baseline_votes"])
def test_zero_is_a_number_and_not_nothing(name):
    with pytest.raises(UsageError, match=f"{name} 0: expected at least 1"):
        RankingOptions(**{name: 0})
    assert getattr(RankingOptions(**{name: 1}), name) == 1
