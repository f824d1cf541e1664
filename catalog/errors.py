"""Refusals of the catalogue."""

from dataclasses import dataclass

from shop.errors import Refusal
from shop.words import gettext as _
from shop.words import ngettext


@dataclass(frozen=True)
class FileFault:
    """One thing to correct in a file: where, and what is wrong."""

    file: str
    line: int
    field: str
    sentence: str

    def __str__(self) -> str:
        facts = {"place": f"{self.file}:{self.line}", "field": self.field, "sentence": self.sentence}
        if not self.field:
            return _("%(place)s : %(sentence)s", **facts)
        return _("%(place)s : %(field)s : %(sentence)s", **facts)


class FileRefused(Refusal):
    """The file cannot be read as it is; `faults` lists everything to correct, in the order of the lines."""

    def __init__(self, faults: tuple[FileFault, ...]) -> None:
        heading = ngettext("%(count)d erreur :", "%(count)d erreurs :", len(faults))
        super().__init__("\n".join([heading, *(str(fault) for fault in faults)]))
        self.faults = faults


class ImportRefused(Refusal):
    """The file is well written, but it would falsify what was sold; `sentences` lists every reason."""

    def __init__(self, sentences: tuple[str, ...]) -> None:
        super().__init__("\n".join([_("Rien n’a été changé :"), *sentences]))
        self.sentences = sentences
