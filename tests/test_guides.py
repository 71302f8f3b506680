"""The check of the guides accepts other numbers, and nothing else that differs."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parent / "check_guides.py"


def check(tmp_path, command, printed):
    guide = tmp_path / "guide.md"
    guide.write_text(f"# Title\n\n```console\n$ {command}\n{printed}\n```\n")
    return subprocess.run([sys.executable, str(SCRIPT), str(guide)], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("printed", ["r 0.7 of 12\nlast", "r  -0.12  of 9\nlast", "...\nlast", "r 1 of 1\n..."])
def test_other_numbers_and_lines_left_out_are_accepted(tmp_path, printed):
    done = check(tmp_path, "echo 'r 0.635 of 120' && \\\n    echo last", printed)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("printed", ["r 0.7 of 12", "q 0.7 of 12\nlast", "r 0.7 of 12\nlast\nmore", "...\nr 1 of 1"])
def test_other_words_fewer_lines_and_more_lines_are_not(tmp_path, printed):
    assert check(tmp_path, "echo 'r 0.635 of 120' && \\\n    echo last", printed).returncode == 1


def test_a_command_that_fails_or_a_guide_without_commands_is_not_accepted(tmp_path):
    assert check(tmp_path, "echo done; exit 3", "done").returncode == 1
    (tmp_path / "guide.md").write_text("no commands\n")
    done = subprocess.run([sys.executable, str(SCRIPT), str(tmp_path / "guide.md")], capture_output=True, check=False)
    assert done.returncode == 1


def test_a_chance_near_one_is_a_number_too(tmp_path):
    assert check(tmp_path, "echo 'a.jpg  over 99 %  likely'", "a.jpg  84 %  likely").returncode == 0
    assert check(tmp_path, "echo 'a.jpg  over 99 %  likely'", "a.jpg  over likely").returncode == 1


def test_the_sample_is_in_the_folder_and_progress_bars_do_not_count(tmp_path):
    command = r"ls -d rated portraits votes.csv now.jpg results.csv | sort; printf 'bar 10%%\rend 3\n'"
    done = check(tmp_path, command, "now.jpg\nportraits\nrated\nresults.csv\nvotes.csv\nend 4")
    assert done.returncode == 0, done.stdout


def test_what_a_slow_machine_says_more_does_not_count(tmp_path):
    command = "echo 'estimate   60 pictures, about 30 seconds with bundled on 2 processors'; echo 'end 3'"
    assert check(tmp_path, command, "end 4").returncode == 0
