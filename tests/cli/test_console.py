import os
import subprocess
import sys
from types import SimpleNamespace

import click
import pandas as pd
import pytest
from click.testing import CliRunner

from prescreen.__main__ import run
from prescreen.cli import interrupts
from prescreen.cli.console import Terminal, verb
from prescreen.cli.main import main
from prescreen.errors import NothingScored, PrescreenError
from prescreen.ranking.checks import CHECKS
from prescreen.ranking.stopping import Advice
from prescreen.workflow import effects as effects_verb
from prescreen.workflow import rank as ranking_verb


def ending(error, *words):
    """How a verb ends that raises this error."""

    @click.command()
    @verb
    def command(terminal):
        raise error

    return CliRunner().invoke(command, list(words))


NO_EFFECTS = SimpleNamespace(table=pd.DataFrame({"trait": [], "p": []}))


@pytest.fixture
def ranked(monkeypatch):
    """What ``rank`` was asked for; it answers with a shortlist of two."""
    asked = {}
    shortlist = pd.DataFrame(
        {
            "rank": [1, 2],
            "image": ["a\x1b[2J\n.jpg", "b.jpg"],
            "p_better": [0.9999, 0.0001],
            "p_better_low": [0.99, 0.0],
            "p_better_high": [1.0, 0.001],
            "why": ["up", "so\tso"],
        }
    )

    def rank(scores, **options):
        asked.update(options)
        return SimpleNamespace(shortlist=shortlist, advice=Advice(0, 0.0, 0.0, 0.0), plans=())

    monkeypatch.setattr(ranking_verb, "rank", rank)
    return asked


def rank(*words):
    return CliRunner().invoke(main, ["rank", "s.csv", "--baseline", "a=5", "--output", "o.csv", "-q", *words])


def test_an_error_that_nobody_expected_is_one_line():
    done = ending(ValueError("shapes (3,)\nand (4,) do not fit"))
    assert done.exit_code == 1
    assert done.stderr == (
        "prescreen: error: unexpected ValueError: shapes (3,) and (4,) do not fit; "
        "run again with --debug and report it\n"
    )


def test_debug_shows_where_it_happened():
    done = ending(ValueError("no"), "--debug")
    assert done.exit_code == 1
    assert "Traceback" in done.stderr
    assert done.stderr.splitlines()[-1] == "prescreen: error: unexpected ValueError: no; please report it"


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (NothingScored("none"), 3, "prescreen: error: none\n"),
        (PermissionError(13, "Denied", "x.csv"), 1, "prescreen: error: [Errno 13] Denied: 'x.csv'\n"),
        (KeyboardInterrupt(), 130, "prescreen: interrupted; no output is half-written, finished pictures are cached\n"),
        (click.UsageError("wrong"), 2, "Error: wrong\n"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)  # fmt: skip
def test_every_kind_of_ending_has_its_exit_code(error, code, says):
    done = ending(error)
    assert done.exit_code == code
    assert done.stderr.endswith(says)
    assert "unexpected" not in done.stderr


def test_nothing_is_said_where_nobody_reads_on():
    code = """
import click
from prescreen.cli.console import Terminal, verb
@click.command()
@verb
def command(terminal):
    for line in range(100):
        click.echo(line)
command()
"""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False
    )
    os.close(writing)
    assert done.stderr == ""


@pytest.mark.parametrize("seed", ["-1", str(2**32), "x"])
def test_a_seed_out_of_range_is_a_usage_error(seed):
    done = CliRunner().invoke(main, ["train", "--ratings", "none.csv", "--seed", seed])
    assert done.exit_code == 2
    assert "--seed" in done.stderr


def test_the_shortlist_is_printable_and_calls_nothing_certain(ranked):
    done = rank()
    assert done.exit_code == 0, done.stderr
    advice, first, second = done.stdout.splitlines()
    assert advice == "Keep your current photo: no picture is left to test."
    assert first == "1. a\\x1b[2J\\n.jpg  over 99 % (99 % to over 99 %)  up"
    assert second == "2. b.jpg  under 1 %  so\\tso"


@pytest.mark.parametrize("improve", ["", " ", ","])
def test_nothing_to_improve_is_a_usage_error(ranked, improve):
    done = rank("--improve", improve)
    assert done.exit_code == 2
    assert not ranked


def test_the_length_of_a_list_is_passed_on_and_checked(ranked):
    assert rank("--votes", "300", "--wanted", "10").exit_code == 0
    assert (ranked["options"].votes, ranked["options"].wanted) == (300, 10)
    for number in ("1", "101"):
        assert rank("--wanted", number).exit_code == 2


def test_the_votes_of_a_baseline_are_passed_on(ranked):
    assert rank("--baseline-votes", "40").exit_code == 0
    assert ranked["options"].baseline_votes == 40
    assert rank("--baseline-votes", "0").exit_code == 2


@pytest.mark.parametrize(("old", "new"), [("present", "current"), ("unfamiliar", "novelty")])
def test_the_old_name_of_a_check_works_and_says_the_new_one(ranked, old, new):
    done = rank("--no-gates", f"nose, {old}")
    assert done.exit_code == 0
    assert f"the check {old} is called {new} now" in done.stderr
    assert set(ranked["options"].gates_off) == {"nose", new}


def test_all_checks_can_be_off_but_what_was_rejected_stays_out(ranked):
    assert rank("--no-gates", "all").exit_code == 0
    assert set(ranked["options"].gates_off) == set(CHECKS) - {"rejected"}
    assert rank("--gates", "nose").exit_code == 0
    assert "rejected" not in ranked["options"].gates_off
    refused = rank("--no-gates", "nose,rejected")
    assert refused.exit_code == 2
    assert "--no-gates rejected: what you rejected stays out" in refused.stderr


def test_effects_knows_the_old_names_of_checks_too(monkeypatch):
    asked = {}
    monkeypatch.setattr(effects_verb, "effects", lambda scores, **options: asked.update(options) or NO_EFFECTS)
    done = CliRunner().invoke(main, ["effects", "s.csv", "--gates", "faces,unfamiliar", "-q"])
    assert done.exit_code == 0, done.output
    assert "the check unfamiliar is called novelty now" in done.stderr
    assert asked["gates"] == ("faces", "novelty")


def test_nothing_to_keep_is_a_choice(ranked):
    assert rank("--keep", "").exit_code == 0
    assert ranked["options"].keep == ()
    assert ranked["options"].improve is None


def leaves(command, path=()):
    """Return the words that call each command that does something."""
    if not isinstance(command, click.Group):
        return [path]
    return [leaf for name, part in command.commands.items() for leaf in leaves(part, (*path, name))]


@pytest.mark.parametrize("words", leaves(main), ids="-".join)
def test_help_of_every_command_shows_how_it_is_called(words):
    shown = CliRunner().invoke(main, [*words, "--help"])
    assert shown.exit_code == 0
    assert f"prescreen {' '.join(words)}" in shown.output.partition("Examples:")[2]


@pytest.mark.parametrize(
    ("typed", "offered"),
    [("re", {"review"}), ("ex", {"export"}), ("export --to ", {"fiftyone", "label-studio", "xmp"})],
)
def test_the_shell_completes_commands_and_choices(typed, offered):
    words = f"prescreen {typed}"
    environment = {"_PRESCREEN_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": str(words.count(" "))}
    done = CliRunner().invoke(main, env=environment, prog_name="prescreen")
    assert {line.partition(",")[2] for line in done.output.split()} == offered


def test_an_interrupt_before_the_verb_begins_has_the_same_exit_code(monkeypatch, capsys):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(main.commands["rank"], "make_context", interrupt)
        done = CliRunner().invoke(main, ["rank"])
    assert done.exit_code == 130
    assert done.stderr == "prescreen: interrupted; no output is half-written, finished pictures are cached\n"
    monkeypatch.setattr("prescreen.cli.main.main", interrupt)
    monkeypatch.setattr("prescreen.process.set_up", lambda: None)  # this process is not the command's own
    monkeypatch.setattr(sys, "path", sys.path)
    with pytest.raises(SystemExit) as caught:
        run()
    assert caught.value.code == 130
    assert capsys.readouterr().err == "prescreen: interrupted before starting\n"


def test_ctrl_c_that_became_another_error_on_the_way_is_still_ctrl_c(monkeypatch):
    monkeypatch.setattr(interrupts, "_asked", True)
    for error in (ImportError("initialization failed"), PrescreenError("could not be started"), OSError("gone")):
        done = ending(error)
        assert done.exit_code == 130
        assert done.stderr == "prescreen: interrupted; no output is half-written, finished pictures are cached\n"


def test_ctrl_c_that_was_dropped_on_the_way_ends_the_work_at_the_next_step(monkeypatch):
    with Terminal(quiet=True).progress("working", 3) as advance:
        advance()
        monkeypatch.setattr(interrupts, "_asked", True)
        with pytest.raises(KeyboardInterrupt):
            advance()


DROPS = """
import os, signal, sys
from prescreen.workflow import train as verb
from prescreen.__main__ import run

def train(*_, **__):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        raise ImportError("initialization failed") from None

verb.train = train
sys.argv = ["prescreen", "train", "--ratings", "v.csv"]
run()
"""


def test_a_process_notes_ctrl_c_when_it_comes(tmp_path):
    done = subprocess.run([sys.executable, "-c", DROPS], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 130
    assert done.stderr == "prescreen: interrupted; no output is half-written, finished pictures are cached\n"
    calm = subprocess.run(
        [sys.executable, "-c", DROPS.replace("os.kill(os.getpid(), signal.SIGINT)", "raise KeyboardInterrupt")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert calm.returncode == 1
    assert "unexpected ImportError: initialization failed" in calm.stderr


@pytest.mark.parametrize("words", [(), *leaves(main)], ids="-".join)
def test_examples_can_be_pasted_into_a_shell(words):
    """What is no command of its own goes on with the line above, which ends with a backslash; no line has a hole."""
    shown = CliRunner().invoke(main, [*words, "--help"], prog_name="prescreen")
    lines = shown.output.partition("Examples:\n")[2].rstrip().splitlines()
    for above, line in zip(["", *lines], lines, strict=False):
        assert line.strip().startswith(("prescreen ", "PRESCREEN_")) != above.endswith("\\"), line
        assert "  " not in line.strip().partition("  #")[0].rstrip(), line


def test_what_explains_a_result_follows_it_and_details_come_only_when_asked_for():
    @click.command()
    @verb
    def command(terminal):
        terminal.note("note")
        terminal.detail("detail")
        terminal.info("info")
        click.echo("result")

    assert CliRunner().invoke(command, []).output == "info\nresult\nnote\n"
    assert CliRunner().invoke(command, ["-v"]).output == "detail\ninfo\nresult\nnote\n"
    assert CliRunner().invoke(command, ["-q"]).output == "result\n"

    @click.command()
    @verb
    def failing(terminal):
        terminal.note("95 of 100 pictures were trained on")
        raise PrescreenError("5 pictures are too few")

    assert CliRunner().invoke(failing, []).output.splitlines() == [
        "95 of 100 pictures were trained on",
        "prescreen: error: 5 pictures are too few",
    ]
    both = CliRunner().invoke(command, ["-q", "--verbose"])
    assert both.exit_code == 2
    assert "--quiet and --verbose: give one of them" in both.output


def test_the_estimate_of_progress_leaves_out_what_loading_took(monkeypatch, capsys):
    """Loading takes 60 s, and each batch of 4 takes 8 s: when the third of ten comes, a little over 60 s are left."""
    now = [1000.0]
    for place in ("prescreen.cli.console.time.time", "tqdm.std.time"):
        monkeypatch.setattr(place, lambda: now[0])
    with Terminal().progress("embedding", 40) as advance:
        now[0] += 60
        shown = []
        for _ in range(3):
            for _ in range(4):
                advance()
                now[0] += 0.01
            now[0] += 8
            shown.append(capsys.readouterr().err)
    assert "<?" in shown[0]
    assert "<?" in shown[1]
    assert "9/40 [00:08<01:02" in shown[2]


def test_the_estimate_of_progress_leaves_out_what_was_cached(monkeypatch, capsys):
    """Of 100 pictures 60 are cached and come within 3 s, then each takes 2 s: when 70 are done, 60 s are left."""
    now = [1000.0]
    for place in ("prescreen.cli.console.time.time", "tqdm.std.time"):
        monkeypatch.setattr(place, lambda: now[0])
    with Terminal().progress("embedding", 100) as advance:
        for place in range(70):
            now[0] += 0.05 if place < 60 else 2
            advance()
        assert "70/100 [00:18<01:00" in capsys.readouterr().err.splitlines()[-1]


def test_the_bar_is_cleared_however_fast_the_steps_were(capsys):
    with Terminal().progress("embedding", 2) as advance:
        advance()
    assert capsys.readouterr().err.endswith("\r")


def test_a_program_without_standard_error_draws_no_bar(monkeypatch):
    monkeypatch.setattr(sys, "stderr", None)
    with Terminal().progress("embedding", 2) as advance:
        advance()
