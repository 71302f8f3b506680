import pytest

from prescreen.errors import UsageError
from prescreen.reports.decisions import read_decided, read_rejected


def test_decisions_say_what_is_rejected_and_kept(tmp_path):
    path = tmp_path / "scores.decisions.csv"
    path.write_text("image,decision,tags\na.jpg,keep,grin\nb.jpg,reject,\nc.jpg,,stage\n")
    decided = read_decided(path)
    assert (decided.kept, decided.rejected, decided.exported) == ({"a.jpg"}, {"b.jpg"}, False)
    assert decided.by_name() == {"a.jpg": "keep", "b.jpg": "reject"}
    assert read_rejected(path) == {"b.jpg"}


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
