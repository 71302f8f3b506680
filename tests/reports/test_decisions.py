import pytest

from prescreen.errors import UsageError
from prescreen.reports.decisions import Decisions, read_decided


def test_decisions_say_what_is_rejected_and_kept(tmp_path):
    path = tmp_path / "scores.decisions.csv"
    path.write_text("image,decision,tags\na.jpg,keep,grin\nb.jpg,reject,\nc.jpg,,stage\n")
    decided = read_decided(path)
    assert (decided.kept, decided.rejected, decided.exported) == ({"a.jpg"}, {"b.jpg"}, False)
    assert decided.by_name() == {"a.jpg": "keep", "b.jpg": "reject"}


def test_of_a_list_that_the_page_exported_all_is_kept(tmp_path):
    path = tmp_path / "shortlist.csv"
    path.write_text("order,file,image,decision,p_better\n1,01_a.jpg,a.jpg,,0.5\n2,02_b.jpg,'=b.jpg,keep,0.4\n")
    decided = read_decided(path)
    assert (decided.kept, decided.rejected, decided.exported) == ({"a.jpg", "=b.jpg"}, frozenset(), True)


def test_another_decision_is_refused(tmp_path):
    path = tmp_path / "d.csv"
    path.write_text("image,decision\na.jpg,maybe\n")
    with pytest.raises(UsageError, match="decision 'maybe' of 'a.jpg'"):
        read_decided(path)


def test_a_name_with_a_line_break_is_known_as_the_page_writes_it(tmp_path):
    path = tmp_path / "decisions.csv"
    path.write_text("image,decision,tags\nnew\\nline.jpg,reject,\na.jpg,keep,\ngone.jpg,keep,\n")
    decided = read_decided(path).among(["new\nline.jpg", "a.jpg", "b.jpg"])
    assert decided.rejected == {"new\nline.jpg"}
    assert decided.kept == {"a.jpg", "gone.jpg"}
    saved = Decisions(tmp_path / "saved.csv", ["new\nline.jpg"])
    saved.set(0, "keep", [])
    assert read_decided(saved.path).among(saved.names).kept == {"new\nline.jpg"}
