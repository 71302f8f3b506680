"""The command ``prescreen``, which is also ``python -m prescreen``."""

import sys


def run() -> None:
    """Run the command; Ctrl-C while it is being loaded ends it without a traceback, too."""
    from prescreen import process

    sys.path[:] = process.trusted_path()  # before anything else is imported
    from prescreen.cli import interrupts
    from prescreen.errors import PrescreenError

    with interrupts.noted():
        try:
            process.set_up()
            from prescreen.cli.main import main

            main(prog_name="prescreen")
        except PrescreenError as error:
            sys.stderr.write(f"prescreen: error: {error}\n")
            raise SystemExit(error.exit_code) from None
        except (KeyboardInterrupt, ImportError) as error:
            if isinstance(error, ImportError) and not interrupts.asked():
                raise
            sys.stderr.write("prescreen: interrupted before starting\n")
            raise SystemExit(130) from None


if __name__ == "__main__":
    run()
