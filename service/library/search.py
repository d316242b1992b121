"""What the owner types into the search box, as a tsquery over `photos.search`."""

from __future__ import annotations

import re

from service.errors import ValidationError
from service.library.sql import Arguments

MAX_TERMS = 32
_TERM = re.compile(r'(?P<negated>-?)(?:"(?P<phrase>[^"]*)"?|(?P<word>[^\s"]+))')


def tsquery(typed: str, arguments: Arguments) -> str | None:
    """SQL for `typed` in websearch syntax (`"a phrase"`, `or`, `-not`); None when there is nothing to search for.

    Terms are joined one by one: each may be found as an English word (prompt, caption), as it stands (model, file name)
    or as a whole tag, whatever its neighbours are found as.
    """
    alternatives: list[list[str]] = [[]]
    terms = 0
    for match in _TERM.finditer(typed):
        word = match["word"]
        if word is not None and word.lower() == "or" and not match["negated"]:
            alternatives.append([])
            continue
        text = word if word is not None else match["phrase"].strip()
        if not text:
            continue
        terms += 1
        if terms > MAX_TERMS:
            raise ValidationError(f"q: at most {MAX_TERMS} search terms")
        term = _term(text, arguments)
        alternatives[-1].append(f"!!({term})" if match["negated"] else f"({term})")
    groups = [" && ".join(group) for group in alternatives if group]
    return " || ".join(f"({group})" for group in groups) or None


def _term(text: str, arguments: Arguments) -> str:
    """One word or phrase. Where English has nothing left of it (a stop word), it asks for nothing."""
    typed = arguments.add(text)
    lexeme = arguments.add("'" + text.replace("\\", "\\\\").replace("'", "''") + "'")
    english = f"phraseto_tsquery('english', {typed})"
    return (
        f"CASE WHEN numnode({english}) = 0 THEN ''::tsquery"
        f" ELSE {english} || phraseto_tsquery('simple', {typed}) || {lexeme}::text::tsquery END"
    )
