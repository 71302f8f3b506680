from heard import Heard
from prescreen.progress import receiver, reported, reporting_to


@reported
def work(said, reporter=None):
    receiver().info(said)


def test_the_reporter_that_a_function_is_given_hears_what_is_told_inside():
    heard = Heard()
    work("as a keyword", reporter=heard)
    work("by its place", heard)
    work("to nobody")
    assert heard.lines == ["as a keyword", "by its place"]


def test_without_a_reporter_the_one_around_it_hears():
    outer, inner = Heard(), Heard()
    with reporting_to(outer):
        work("first")
        work("second", inner)
        work("third")
    assert (outer.lines, inner.lines) == (["first", "third"], ["second"])
