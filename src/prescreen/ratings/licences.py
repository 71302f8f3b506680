"""Licences of public ratings that their format tells."""

from typing import Final

LICENCES: Final = {"omi": "CC BY-NC-SA 4.0 (https://creativecommons.org/licenses/by-nc-sa/4.0/)"}
"""{format: licence}; of all other formats the files do not tell."""
