from prescreen.cli.output import accuracy_lines, accuracy_table, what_more_would_bring
from prescreen.evaluation.curves import CurvePoint, LearningCurve
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation


def point(pictures, r, votes=None):
    return CurvePoint(pictures, votes, pearson=Estimate(r))


def test_what_more_pictures_and_votes_would_bring_is_said_below_the_table():
    whole = point(80, 0.58)
    curve = LearningCurve((point(20, 0.2), point(40, 0.5), whole), (point(80, 0.4, 2), point(80, 0.55, 5), whole))
    said = (
        "from 40 to 80 pictures mean r changed by +0.080, so 160 would add at most about that; "
        "from at most 5 votes each to all of them mean r changed by +0.030"
    )
    assert what_more_would_bring(curve) == said
    assert said in accuracy_table(Evaluation(n=80, learning_curve=curve)).splitlines()
    assert said == accuracy_lines(Evaluation(n=80, learning_curve=curve))[-1]


def test_nothing_is_promised_where_the_curve_shows_nothing():
    falling = LearningCurve((point(40, 0.5), point(80, 0.49)))
    assert (
        what_more_would_bring(falling)
        == "from 40 to 80 pictures mean r changed by -0.010: no sign that more would help"
    )
    assert what_more_would_bring(LearningCurve((point(80, 0.5),))) == ""
    assert what_more_would_bring(LearningCurve((point(40, None), point(80, 0.5)))) == ""
