"""The command ``prescreen``, which is also ``python -m prescreen``."""

import sys

from prescreen import interrupts


def run() -> None:
    """Run the command; Ctrl-C while it is being loaded ends it without a traceback, too."""
    with interrupts.noted():
        try:
            from prescreen.cli import main

            main(prog_name="prescreen")
        except (KeyboardInterrupt, ImportError) as error:
            if isinstance(error, ImportError) and not interrupts.asked():
                raise
            sys.stderr.write("prescreen: interrupted before starting\n")
            raise SystemExit(130) from None


if __name__ == "__main__":
    run()
