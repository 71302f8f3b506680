"""Puts the sample into the wheel, for ``prescreen demo`` without a clone; an editable installation reads it here."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class IncludeSample(BuildHookInterface):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "standard":
            build_data["force_include"]["data/sample"] = "prescreen/sample"
