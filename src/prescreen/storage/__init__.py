"""Files, tables and URLs: written whole or not at all, read within limits."""
