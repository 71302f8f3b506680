"""Which candidates are worth sending to human raters: arrays and tables in, a ranked table out."""
