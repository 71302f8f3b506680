"""A word too many is answered with what was probably meant."""

import pytest
from click.testing import CliRunner

from prescreen.cli.main import main
from prescreen.cli.pick import _own_names


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("rank s.csv --improve influence competence --baseline now.jpg", "--improve influence,competence"),
        ("rank --improve influence competence s.csv --baseline now.jpg", "--improve influence,competence"),
        ("rank s.csv --baseline now.jpg --keep a, b,c d", "--keep a,b,c,d"),
        ("learn r.csv --predictor m --output n --traits warm kind", "--traits warm,kind"),
        ("effects s.csv --by outfit scene", "--by outfit,scene"),
        ("rank s.csv now.jpg", "did you mean --baseline now.jpg?"),
        ("rank now.jpg s.csv", "did you mean --baseline now.jpg?"),
        ("rank s.csv competence=8.2,influence=7", "did you mean --baseline competence=8.2,influence=7?"),
        ("rank s.csv influence --baseline now.jpg", "did you mean --improve influence?"),
        ("rank s.csv influence competence --baseline now.jpg", "did you mean --improve influence,competence?"),
        ("learn r.csv s.csv --predictor m --output n", "did you mean --scores s.csv?"),
        ("train votes.csv", "did you mean --ratings votes.csv?"),
        ("train --ratings votes.csv others.csv", "did you mean --ratings others.csv?"),
        ("evaluate votes.xlsx --predictor m", "did you mean --ratings votes.xlsx?"),
        ("rank s.csv --baseline now.jpg --improve --keep a", "--improve: its value is missing, --keep follows"),
        ("models promote 3 4", "4: one word too many; prescreen models promote --help"),
    ],
)
def test_what_was_meant_is_said_in_one_line(words, told):
    output = ["--output", "o.csv"] if words.startswith("rank") else []
    done = CliRunner().invoke(main, [*words.split(), *output], prog_name="prescreen")
    assert done.exit_code == 2
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert told in line


@pytest.mark.parametrize("words", ["rank --help x y", "rank x y --help"])
def test_help_comes_first(words):
    done = CliRunner().invoke(main, words.split())
    assert done.exit_code == 0
    assert "--improve" in done.stdout


def test_what_fits_goes_through(monkeypatch):
    given = {}

    def rank(scores, **options):
        given.update(options, scores=scores)
        raise SystemExit(0)

    monkeypatch.setattr("prescreen.workflow.rank.rank", rank)
    words = ["rank", "s.csv", "--baseline", "a=5", "--output", "o.csv", "--improve", "b,c", "--keep", "", "--any-of"]
    assert CliRunner().invoke(main, words).exit_code == 0
    assert (str(given["scores"]), given["baseline"]) == ("s.csv", "a=5")
    assert given["options"].improve == ("b", "c")


@pytest.mark.parametrize(
    ("said", "here"),
    [
        ("--baseline-scores: unknown; give --baseline.", "--current-scores: unknown; give --current."),
        ("baseline: no score (see --baseline)", "--current-scores: no score (see --current)"),
        ("a/--baseline/b.jpg and --baseline.jpg are gone", "a/--baseline/b.jpg and --baseline.jpg are gone"),
        ("the picture's '--baseline x' lacks --baseline", "the picture's '--baseline x' lacks --current"),
    ],
)
def test_pick_names_options_as_its_own_but_no_part_of_a_name(said, here):
    assert _own_names(said) == here
