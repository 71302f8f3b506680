"""The page's script completes the sentences that the ranking says."""

import pytest

from prescreen.ranking.goals import Goals
from prescreen.ranking.stopping import Advice
from prescreen.reports.advice_text import texts
from prescreen.text import chance_with_range

GOALS = Goals(("competence",), ("likeability",))


@pytest.mark.parametrize("count", [0, 1, 2, 12])
@pytest.mark.parametrize("chances", [(0.05, 0.01, 0.1), (0.7, 0.4, 0.9), (0.1, 0.0, 0.5), (float("nan"),) * 3])
def test_a_completed_sentence_is_the_one_of_the_ranking(count, chances):
    advice = Advice(count, *chances)
    templates = texts(GOALS, advice)["advice"][advice.verdict]
    chance = "" if advice.verdict == "ranked" else chance_with_range(*chances)
    assert templates[min(count, 2)].replace("{n}", str(count)).replace("{chance}", chance) == advice.describe()
