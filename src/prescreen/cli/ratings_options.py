"""Options of the verbs that read what people said of pictures."""

import click

columns_option = click.option(
    "--columns",
    help="What the file's columns are, where their names do not tell: image=photo,rater=WorkerId,competence=Q1; "
    "a * stands for the picture where each has a column: competence=*.jpg. [by their names]",
)
