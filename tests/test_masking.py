import sys

import click
import pytest
from click.testing import CliRunner

from prescreen.cli.console import verb
from prescreen.errors import StoreError
from prescreen.text import masked

SECRETS = {
    "HF_TOKEN": "hf_AbCdEfGhIjKl",
    "AWS_SECRET_ACCESS_KEY": "/wJalrXUtnFEMI/K7MDENG",
    "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7",
    "MLFLOW_TRACKING_PASSWORD": "correct horse",
    "my_service_token": "lower-case-too",
    "MLFLOW_TRACKING_URI": "postgresql://anna:s3cret.p@ss@db.example/mlflow",
}


@pytest.fixture
def environment(monkeypatch):
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://anna:geheim@mlflow.example/api", "https://***@mlflow.example/api"),
        (
            "see mysql+pymysql://a:b@h:3306/d, then http://token@h",
            "see mysql+pymysql://***@h:3306/d, then http://***@h",
        ),
        ("postgresql://anna:p@ss@host/db", "postgresql://***@host/db"),
        ("s3://bucket/key?X-Amz-Signature=abc&x=1", "s3://bucket/key?X-Amz-Signature=***&x=1"),
        ("postgresql://h/db?user=a&password=geheim", "postgresql://h/db?user=a&password=***"),
    ],
)
def test_addresses_lose_users_and_passwords(text, shown):
    assert masked(text) == shown


@pytest.mark.parametrize(
    "text",
    ["", "models:/prescreen@champion", "sqlite:////home/a@b/mlruns/mlflow.db", "https://host/a@b", "anna@example.org",
     "a key=value and a token", "file:///tmp/x"],
)  # fmt: skip
def test_everything_else_stays(text):
    assert masked(text) == text


def test_secrets_of_the_environment_show_nowhere(environment):
    said = masked(" | ".join([*SECRETS.values(), "horse", "ss", "KEY"]))
    assert said == "*** | *** | *** | *** | *** | postgresql://***@db.example/mlflow | horse | ss | KEY"


def test_short_values_are_no_secrets(monkeypatch):
    monkeypatch.setenv("SOME_KEY", "1")
    assert masked("11 pictures") == "11 pictures"


@pytest.mark.parametrize("kind", [StoreError, ValueError, OSError])
@pytest.mark.parametrize("options", [[], ["--debug"]])
def test_neither_error_nor_traceback_nor_message_tells_one(environment, kind, options):
    @click.command()
    @verb
    def command(terminal):
        terminal.info(f"store {SECRETS['MLFLOW_TRACKING_URI']}")
        terminal.warn(f"token {SECRETS['HF_TOKEN']}")
        try:
            raise RuntimeError(f"cannot connect to {SECRETS['MLFLOW_TRACKING_URI']}")
        except RuntimeError as error:
            raise kind(f"{SECRETS['AWS_SECRET_ACCESS_KEY']} refused") from error

    done = CliRunner().invoke(command, options)
    assert done.exit_code == 1
    assert ("RuntimeError: cannot connect to postgresql://***@db.example/mlflow" in done.stderr) == bool(options)
    for secret in [*SECRETS.values(), "s3cret", "p@ss"]:
        assert secret not in done.output + done.stderr


def test_names_of_stores_are_masked_and_the_store_is_opened_with_the_password(environment, monkeypatch):
    from prescreen import tracking

    assert tracking.store_uri() == SECRETS["MLFLOW_TRACKING_URI"]
    assert tracking.store_name() == "postgresql://***@db.example/mlflow"
    assert "prescreen.text" in sys.modules
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://anna:geheim123@host/x")
    with pytest.raises(StoreError) as raised:
        tracking.check_store()
    assert "geheim123" not in str(raised.value)
    assert "nonsense://***@host/x" in str(raised.value)
