"""The grammar of the search box (api.md, Search). Pure; `search_lookup` finds the photos."""

from __future__ import annotations

import re
from typing import Final, Literal
from uuid import UUID

import msgspec

from service.errors import ValidationError
from service.library.search_text import Piece, fold, pieces

MAX_TERMS: Final = 32
LONGEST_SEED: Final = 20

Scope = Literal["", "-", "+"]
"""Which words are searched, by their mark in the index: the photo's, its negative prompt's, its model's."""

SCOPES: Final[dict[str, Scope]] = {"negative": "-", "model": "+"}
RESERVED: Final = frozenset(
    "lora base size ratio rating fav pick tag album session server date source state".split()  # noqa: SIM905
)
"""Keys that a later release will use. If they were words today, a saved link would change its meaning then."""

_TERM = re.compile(
    rf"(?P<negated>(?<!\S)-)?(?:(?P<key>{'|'.join(sorted({*SCOPES, 'seed', *RESERVED}))}):)?"
    r'(?:"(?P<phrase>[^"]*)(?P<end>"?)|(?P<word>[^\s"]*))',
    re.IGNORECASE,
)
_QUOTES = str.maketrans(dict.fromkeys("“”„‟«»", '"'))
_NAME = re.compile(r"[0-9a-f]{8}[0-9a-f-]*")


class Term(msgspec.Struct, frozen=True):
    """A term that a photo must have, or must not have."""

    negated: bool = False
    scope: Scope = ""
    pieces: tuple[Piece, ...] = ()
    """Words that follow each other."""
    is_whole: bool = False
    """Whether the last one is a whole word; else it may be the beginning of one."""
    name_ids: tuple[UUID, UUID] | None = None
    """The file names that match too: from the first of these UUIDs to the last."""
    seed: int | None = None


def parse(typed: str) -> list[list[Term]]:
    """Groups of terms: all terms of at least one group must hold. Empty when nothing is asked for. Raises
    ValidationError."""
    groups: list[list[Term]] = [[]]
    terms = 0
    for match in _TERM.finditer(typed.translate(_QUOTES)):
        if match["word"] is not None and match["word"].lower() == "or" and not (match["negated"] or match["key"]):
            groups.append([])
            continue
        term = _term(match)
        if term is None:
            continue
        terms += 1
        if terms > MAX_TERMS:
            raise ValidationError(f"q: at most {MAX_TERMS} search terms")
        groups[-1].append(term)
    return [group for group in groups if group]


def _term(match: re.Match[str]) -> Term | None:
    """The term; None if it asks for nothing, as a comma does, or a key without a value."""
    key = (match["key"] or "").lower()
    text = match["phrase"] if match["phrase"] is not None else match["word"]
    found = tuple(pieces(text))
    if not found:
        return None
    negated = match["negated"] is not None
    if key == "seed":
        return Term(negated, seed=_seed(text.strip()))
    if key in RESERVED:
        raise ValidationError(f'q: {key}: cannot be searched for yet; for the words, write "{key}:{text.strip()}"')
    scope = SCOPES.get(key, "")
    return Term(negated, scope, found, bool(match["end"]), _name_ids(text) if not scope else None)


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= LONGEST_SEED):
        raise ValidationError("q: seed: takes a number, such as seed:1234")
    return int(text)


def _name_ids(text: str) -> tuple[UUID, UUID] | None:
    """The range of UUIDs that begin with the text, at least eight digits, with or without a file name's ending."""
    beginning = fold(text.strip()).rpartition(".")[0] or fold(text.strip())
    digits = beginning.replace("-", "")
    if not _NAME.fullmatch(beginning) or len(digits) > 32:
        return None
    return UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f"))
