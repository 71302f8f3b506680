"""What predictions come from, as the page says it on its first screen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from prescreen.evaluation.report import TraitEvaluation
from prescreen.predictor.manifest import Manifest
from prescreen.text import describe_list, shown


@dataclass(frozen=True)
class RatingsOrigin:
    """The ratings behind a predictor.

    Parameters
    ----------
    source : str
        Name of the file or folder.
    images : int
        How many rated portraits there were.
    persons : int
        How many persons they showed.
    public : bool
        Whether they are ratings that anybody can have, of other faces.
    simulated : bool
        Whether they were simulated.
    columns : mapping of str to str
        What each trait was called there.
    licences : sequence of str
        Of these ratings and of those of its bases, where known.
    """

    source: str
    images: int
    persons: int
    public: bool = False
    simulated: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    licences: Sequence[str] = ()

    @classmethod
    def of(cls, manifest: Manifest) -> "RatingsOrigin":
        """Return what a predictor's manifest says."""
        data = manifest.data
        return cls(
            str(data["source"]),
            int(data["images"]),
            int(data.get("groups", data["images"])),
            manifest.licence is not None,
            manifest.simulated,
            dict(data["columns"]),
            manifest.licences,
        )

    def describe(self, accuracy: Sequence[TraitEvaluation] = ()) -> str:
        """Say it in a few sentences, with how well predictions agreed with ratings of portraits that were left out."""
        kind = "simulated ratings" if self.simulated else "public ratings of other faces" if self.public else "ratings"
        sentences = [f"Predicted from {kind}: {self.images} portraits in {shown(self.source)}."]
        if self.simulated:
            sentences.append(
                "This shows how the tool works and says nothing about how people would judge your pictures."
            )
        other = [
            f"{shown(trait)} was “{shown(name)}” there"
            for trait, name in self.columns.items()
            if trait.casefold() != name.casefold()
        ]
        if other:
            listed = describe_list(other).replace(" there", "", len(other) - 1)
            sentences.append(f"{listed[:1].upper()}{listed[1:]}: a guess until people have rated your pictures.")
        if self.licences:
            sentences.append(f"Licence: {describe_list([licence.partition(' (')[0] for licence in self.licences])}.")
        known = [f"{shown(row.trait)} {row.pearson.text(2, interval=False)}" for row in accuracy]
        if known:
            sentences.append(f"Correlation r with ratings of portraits left out: {', '.join(known)}.")
            if 2 * self.persons > self.images:
                sentences.append("It compares different people, not pictures of one person.")
        return " ".join(sentences)
