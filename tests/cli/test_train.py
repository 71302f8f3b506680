from dataclasses import replace

from prescreen.cli.train import _standing, few_pictures
from prescreen.encoders import EncoderSpecification
from prescreen.encoders.bundled import FACE
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, Overall, TraitEvaluation
from prescreen.evaluation.usability import Usability
from prescreen.predictor.manifest import Manifest

FINE = Usability({"warm": "", "smart": ""})


def test_a_version_that_is_not_the_champion_comes_with_the_command_that_makes_it_one():
    assert _standing("3", True, "0.5 against 0.4 of version 1", FINE) == [
        "version 3 is now the champion: 0.5 against 0.4 of version 1"
    ]
    (line,) = _standing("3", False, "0.3 against 0.4 of version 1", FINE)
    assert line.endswith("0.3 against 0.4 of version 1; prescreen models promote 3 --force changes that")


def test_a_version_that_cannot_be_used_is_saved_all_the_same():
    (line,) = _standing("1", False, "not usable", Usability({"warm": "r -0.10 on 40 pictures, not above 0"}))
    assert line == "version 1 is saved and logged, but not the champion: it is not usable"


def few(r, known=0, bases=(), others=()):
    """Say of 30 pictures what the command says; bases are described by whether they forget."""
    trait = TraitEvaluation("warm", 30, r)
    nothing = {"icc1": None, "votes_per_image": None, "of_mean": None}
    data = {"source": "a.csv", "sha256": "ab", "images": 30, "columns": {"warm": "warm"}, "known_to_bases": known}
    encoder = EncoderSpecification(name="face", members=(FACE,))
    manifest = Manifest("a", encoder, ("warm",), "0:10", True, data, {"warm": nothing}, 0, False, {"numpy": "2"})
    described = [replace(manifest, data=data | {"forgotten": forgets}).as_base("aa") for forgets in bases]
    manifest = replace(
        manifest, data=data | {"bases": described + [manifest.as_base(fingerprint) for fingerprint in others]}
    )
    return few_pictures(Evaluation(n=30, overall=Overall(1, r), traits=(trait,)), manifest)


def test_r_of_few_pictures_comes_with_its_interval_and_a_warning():
    good = Estimate(0.5, 0.2, 0.7)
    assert few(good).startswith("mean r 0.500 [0.200, 0.700] of only 30 pictures: cross-validation is pessimistic")
    assert "r was 0.13 higher with 30" in few(good)
    assert "r was with a base 0.06 higher with 30" in few(good, bases=[False])


def test_nothing_is_said_of_few_pictures_where_it_may_be_wrong():
    good = Estimate(0.5, 0.2, 0.7)
    assert few(Estimate(-0.1, -0.4, 0.2)) == ""
    assert few(good, known=3, bases=[False]) == ""
    assert few(good, bases=[False, True]) == ""
    assert few(good, others=[""]) == few(good, bases=[False], others=[""]) == ""
