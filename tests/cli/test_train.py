from prescreen.cli.train import _standing


def test_a_version_that_is_not_the_champion_comes_with_the_command_that_makes_it_one():
    assert _standing("3", True, "0.5 against 0.4 of version 1") == (
        "version 3 is now the champion: 0.5 against 0.4 of version 1"
    )
    assert _standing("3", False, "0.3 against 0.4 of version 1").endswith(
        "0.3 against 0.4 of version 1; prescreen models promote 3 --force changes that"
    )
