from pathlib import Path

from prescreen.workflow.demo import find_sample


def test_the_sample_of_the_repository_is_found_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_sample() == Path(__file__).parents[2] / "data" / "sample"


def test_a_sample_below_the_working_directory_comes_first(tmp_path, monkeypatch):
    (tmp_path / "data" / "sample").mkdir(parents=True)
    (tmp_path / "data" / "sample" / "baseline.jpg").touch()
    monkeypatch.chdir(tmp_path)
    assert find_sample() == tmp_path / "data" / "sample"
