"""``python -m prescreen`` is the command ``prescreen``."""

from prescreen.cli import main

main(prog_name="prescreen")
