"""The command line: one module a verb, each thin; printing and exit codes happen here only."""
