from prescreen.cli.train import _standing, few_pictures
from prescreen.evaluation.metrics import Estimate
from prescreen.evaluation.report import Evaluation, Overall
from prescreen.evaluation.usability import REMEDY, Usability

FINE = Usability({"warm": "", "smart": ""})


def test_a_version_that_is_not_the_champion_comes_with_the_command_that_makes_it_one():
    assert _standing("3", True, "0.5 against 0.4 of version 1", FINE) == [
        "version 3 is now the champion: 0.5 against 0.4 of version 1"
    ]
    (line,) = _standing("3", False, "0.3 against 0.4 of version 1", FINE)
    assert line.endswith("0.3 against 0.4 of version 1; prescreen models promote 3 --force changes that")


def test_a_version_that_cannot_be_used_comes_with_the_reason_and_the_remedy():
    first, second = _standing("1", False, "not usable", Usability({"warm": "r -0.10 on 40 pictures, not above 0"}))
    assert first == "version 1 is not the champion: not usable for warm: r -0.10 on 40 pictures, not above 0"
    assert second.endswith(REMEDY)


def test_a_champion_names_the_traits_that_cannot_be_used():
    first, second = _standing("1", True, "the first champion", Usability({"warm": "", "smart": "r 0.05"}))
    assert first == "version 1 is now the champion: the first champion"
    assert second == f"not usable for smart: r 0.05; to make it usable there, {REMEDY}"


def test_r_of_few_pictures_comes_with_its_interval_and_a_warning():
    said = few_pictures(Evaluation(n=30, overall=Overall(3, Estimate(0.5, 0.2, 0.7))))
    assert said.startswith("mean r 0.500 [0.200, 0.700] of only 30 pictures: cross-validation is pessimistic")
