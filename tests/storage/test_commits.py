import shutil
import subprocess

import pytest

from prescreen.storage.commits import git_commit

needs_git = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


@pytest.fixture
def git(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)

    def run(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
        return subprocess.run(["git", *identity, *arguments], check=True, capture_output=True, text=True).stdout.strip()

    return run


def first_commit(git):
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "first")
    return git("rev-parse", "HEAD")


@needs_git
def test_the_commit_of_the_working_directory(git, tmp_path, monkeypatch):
    assert git_commit() == ""
    git("init", "-q")
    assert git_commit() == ""
    first = first_commit(git)
    assert git_commit() == first
    git("commit", "-q", "--allow-empty", "-m", "second")
    second = git("rev-parse", "HEAD")
    assert git_commit() == second
    (tmp_path / "repository" / "deep").mkdir()
    monkeypatch.chdir(tmp_path / "repository" / "deep")
    assert git_commit() == second


@needs_git
def test_branches_in_one_file_a_bare_commit_and_further_working_trees(git, tmp_path, monkeypatch):
    commit = first_commit(git)
    git("pack-refs", "--all")
    assert git_commit() == commit
    git("worktree", "add", "-q", "-b", "other", str(tmp_path / "tree"))
    git("checkout", "-q", "--detach")
    assert git_commit() == commit
    monkeypatch.chdir(tmp_path / "tree")
    assert git_commit() == commit
    git("commit", "-q", "--allow-empty", "-m", "there")
    assert git_commit() == git("rev-parse", "HEAD") != commit


@needs_git
def test_no_program_that_a_repository_names_is_run(git, tmp_path):
    mark = tmp_path / "mark"
    (tmp_path / "repository" / "kept.txt").write_text("one")
    git("init", "-q")
    (tmp_path / "repository" / ".gitattributes").write_text("* filter=evil\n")
    git("add", "kept.txt")
    git("commit", "-q", "-m", "first")
    (tmp_path / "repository" / "kept.txt").write_text("two")
    with (tmp_path / "repository" / ".git" / "config").open("a") as file:
        file.write(f'[core]\n\tfsmonitor = "touch {mark};:"\n[filter "evil"]\n\tclean = "touch {mark}; cat"\n')
    assert len(git_commit()) == 40
    assert not mark.exists()
    git("status")
    assert mark.exists()  # the trap is one


@pytest.mark.parametrize(
    ("head", "branch"),
    [
        ("ref: refs/heads/../../../secret\n", None),
        ("ref: /etc/passwd\n", None),
        ("ref: refs/heads/main\n", "no commit\n"),
        ("ref: refs/heads/main\n", None),
        ("\0\n", None),
        ("a" * 39, None),
    ],
)
def test_other_content_is_no_commit(tmp_path, monkeypatch, head, branch):
    (tmp_path / ".git" / "refs" / "heads").mkdir(parents=True)
    (tmp_path / ".git" / "HEAD").write_text(head)
    (tmp_path / "secret").write_text("b" * 40)
    if branch is not None:
        (tmp_path / ".git" / "refs" / "heads" / "main").write_text(branch)
    monkeypatch.chdir(tmp_path)
    assert git_commit() == ""


def test_a_pipe_and_a_file_without_end_are_no_commit(tmp_path, monkeypatch):
    import os

    (tmp_path / ".git").mkdir()
    monkeypatch.chdir(tmp_path)
    os.mkfifo(tmp_path / ".git" / "HEAD")
    assert git_commit() == ""
    (tmp_path / ".git" / "HEAD").unlink()
    (tmp_path / ".git" / "HEAD").symlink_to("/dev/zero")
    assert git_commit() == ""
