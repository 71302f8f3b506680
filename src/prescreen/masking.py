"""Secrets never show: passwords in addresses, and whatever the environment names like a secret.

Messages, tracebacks and what MLflow keeps go through `masked`; addresses themselves are masked where they are named.
"""

import os
import re
from collections.abc import Mapping
from typing import Final

_MASK: Final = "***"
_USER: Final = re.compile(r"(?<=://)[^\s/'\"<>]*@")
_PARAMETER: Final = re.compile(
    r"([?&][\w.-]*(?:password|passwd|token|secret|signature|credential|key)=)[^&\s'\"]+", re.I
)
_SECRET_NAME: Final = re.compile(r"(?:TOKEN|SECRET|PASSWORD|PASSWD|KEY|KEY_ID)$", re.I)
_SHORTEST: Final = 8
"""Characters of a secret; shorter values stand in other words by chance."""


def masked(text: str) -> str:
    """Return a text without users and passwords in addresses, and without the secrets of the environment."""
    for secret in sorted(_secrets(), key=len, reverse=True):  # one may be part of another
        text = text.replace(secret, _MASK)
    return _PARAMETER.sub(rf"\1{_MASK}", _USER.sub(f"{_MASK}@", text))


def masked_values(values: Mapping[str, str]) -> dict[str, str]:
    """Return a mapping whose values are masked."""
    return {name: masked(value) for name, value in values.items()}


def _secrets() -> set[str]:
    named = {value for name, value in os.environ.items() if _SECRET_NAME.search(name)}
    passwords = {
        found[0].rpartition("@")[0].partition(":")[2]
        for value in os.environ.values()
        if "://" in value and (found := _USER.search(value))
    }
    return {secret for secret in named | passwords if len(secret) >= _SHORTEST}
