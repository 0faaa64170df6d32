"""`python -m etude` is the command `etude`."""

from .cli import main

main(prog_name="etude")
