from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import TraitEvaluation
from prescreen.reports.ratings_origin import RatingsOrigin

ACCURACY = (TraitEvaluation("competence", 800, pearson=Estimate(0.816, 0.78, 0.84)), TraitEvaluation("warmth", 800))


def test_public_ratings_say_what_traits_were_called_their_licence_and_what_r_compares():
    columns = {"competence": "smart", "warmth": "outgoing", "trust": "Trust"}
    told = RatingsOrigin("omi", 803, 789, True, False, columns, ("CC BY-NC-SA 4.0 (https://x)",)).describe(ACCURACY)
    assert told == (
        "Predicted from public ratings of other faces: 803 portraits in omi. Competence was “smart” and warmth was "
        "“outgoing” there: a guess until people have rated your pictures. Licence: CC BY-NC-SA 4.0. Correlation r with "
        "ratings of portraits left out: competence 0.82, warmth unknown. It compares different people, not pictures of "
        "one person."
    )


def test_own_ratings_of_few_persons_claim_nothing_about_other_faces():
    told = RatingsOrigin("votes.csv", 120, 3).describe(ACCURACY[:1])
    assert told.startswith("Predicted from ratings: 120 portraits in votes.csv. Correlation r with ratings of ")
    assert told.endswith("portraits left out: competence 0.82.")


def test_simulated_ratings_are_called_so():
    assert "simulated ratings" in RatingsOrigin("votes.csv", 120, 90, simulated=True).describe()
