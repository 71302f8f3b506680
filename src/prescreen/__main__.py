"""The command ``prescreen``, which is also ``python -m prescreen``."""

import sys


def run() -> None:
    """Run the command; Ctrl-C while it is being loaded ends it without a traceback, too."""
    try:
        from prescreen.cli import main

        main(prog_name="prescreen")
    except KeyboardInterrupt:
        sys.stderr.write("prescreen: interrupted; nothing was begun\n")
        raise SystemExit(130) from None


if __name__ == "__main__":
    run()
