import os
import time
from pathlib import Path

import pytest

from prescreen.ratings.reading import read_ratings

SHARED = Path(os.environ.get("PRESCREEN_SHARED", Path(__file__).parents[3] / "shared"))
PUBLISHED = {
    "smart": 0.172,
    "trustworthy": 0.237,
    "electable": 0.433,
    "dominant": 0.297,
    "outgoing": 0.336,
    "attractive": 0.225,
    "happy": 0.625,
}


@pytest.mark.shared
@pytest.mark.skipif(not (SHARED / "omi").is_dir(), reason="the One Million Impressions data are not here")
def test_single_vote_reliabilities_are_those_published():
    start = time.perf_counter()
    result = read_ratings(SHARED / "omi")
    assert time.perf_counter() - start < 6
    assert len(result.traits) == 34
    assert {trait: result.reliability[trait].icc1 for trait in PUBLISHED} == pytest.approx(PUBLISHED, abs=0.006)
    assert result.reliability["trustworthy"].votes_per_image == pytest.approx(72, abs=1)
