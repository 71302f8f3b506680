from pathlib import Path

from prescreen.workflow.demo import find_sample


def test_in_a_clone_the_sample_is_that_of_the_repository_from_any_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_sample() == Path(__file__).parents[2] / "data" / "sample"
