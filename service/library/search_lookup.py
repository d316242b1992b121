"""Finds the photos of a search: which words of the index each term means, and the fastest way to their photos.

Every word of the index is in `search_words` with the number of its photos, so that the way is chosen here and not by
PostgreSQL, which cannot know (it took up to six seconds). Rare words are read from the index of words. Photos with
frequent ones are read by id until the page is full, for a bounded number of rows; the index of words then finds the
rest. In every case, the condition on the words' text decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import chain
from math import prod
from typing import Final
from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.database.models import SEARCH_WORDS
from service.library.search import Scope, Term
from service.library.search_index import NEVER, load
from service.library.sql import Arguments

FEW: Final = 4_000
"""Photos that are read from the index of words at once."""
WALK: Final = 20_000
"""Rows that a walk reads, at most, before the index of words is used."""
MOST_WORDS: Final = 500
"""Words of one term, at most, in a query of the index of words."""
LEAST_SHARE: Final = 0.001
"""The least share of photos without a word: their number is only estimated."""
MOST_OF_A_SEED: Final = 50_000
SHORTEST_PART: Final = 3
COLUMNS: Final[dict[Scope, str]] = {"": "words", "-": "negative", "+": "model"}
_SINGULARS: Final = ((re.compile("ies$"), "y"), (re.compile("es$"), ""), (re.compile("(?<=[^s])s$"), ""))

SETTINGS = """
    SET LOCAL enable_seqscan = off; SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off;
    SET LOCAL plan_cache_mode = force_custom_plan
"""
ROWS = "SELECT greatest(reltuples, 1)::bigint FROM pg_class WHERE oid = 'photo_search'::regclass"
SUMS = f"""coalesce(sum(w.photos), 0)::bigint AS photos, coalesce(max(w.newest), 0) AS newest,
    coalesce(min(w.oldest), {NEVER}) AS oldest, coalesce((array_agg(w.word))[1:{MOST_WORDS + 1}], '{{}}') AS words"""
LOOK_UP = f"""
    SELECT {SUMS}
      FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS r (low, high, n)
      LEFT JOIN LATERAL (SELECT * FROM search_words WHERE word >= r.low COLLATE "C" AND word < r.high COLLATE "C") w
        ON true
     GROUP BY r.n ORDER BY r.n
"""
PARTS = f"SELECT {SUMS} FROM search_words w WHERE word LIKE $1 AND word NOT LIKE ALL ($2::text[])"
NAMED = f"SELECT photo_id FROM photo_search WHERE name_id BETWEEN $1 AND $2 LIMIT {FEW + 1}"
SEEDED = f"SELECT id FROM photos WHERE seed = $1 ORDER BY id DESC LIMIT {MOST_OF_A_SEED}"
LAST = "\U0010ffff"


class Words(msgspec.Struct, frozen=True):
    """Words of the index, and what is known about their photos."""

    photos: int
    """At most so many photos have one of them."""
    newest: int
    oldest: int
    words: list[str]
    """The words; one more than MOST_WORDS if there are more."""

    @property
    def are_few(self) -> bool:
        return len(self.words) <= MOST_WORDS


class Meaning(msgspec.Struct, frozen=True):
    """A term looked up in the index. `photos`, `newest` and `oldest` as in Words."""

    negated: bool
    column: str
    patterns: list[str]
    """A photo matches when one of these patterns is like its words."""
    photos: int
    photos_of_each: list[int]
    """As `photos`, for each of the consecutive words."""
    newest: int
    oldest: int
    every: list[str]
    """Words that all of the photos have."""
    one_of: list[str] | None
    """Words of which they have at least one; None if those are too many for a query."""
    ids: list[UUID]
    """Photos that match for another reason."""

    def condition(self, arguments: Arguments) -> str:
        found = [f"s.{self.column} LIKE {arguments.add(pattern)}" for pattern in self.patterns]
        if self.ids:
            found.append(f"s.photo_id = ANY({arguments.add(self.ids)}::uuid[])")
        joined = " OR ".join(found) or "false"
        return f"NOT ({joined})" if self.negated else f"({joined})"

    @property
    def is_indexed(self) -> bool:
        return not self.negated and (bool(self.every) or self.one_of is not None)

    def indexed(self, arguments: Arguments) -> str:
        """The condition for the indexes."""
        words = []
        if self.every:
            words.append(f"{SEARCH_WORDS} @> {arguments.add(self.every)}::text[]")
        if self.one_of is not None and (self.one_of or not self.every):
            words.append(f"{SEARCH_WORDS} && {arguments.add(self.one_of)}::text[]")
        found = f"({' AND '.join(words)})"
        return f"({found} OR s.photo_id = ANY({arguments.add(self.ids)}::uuid[]))" if self.ids else found


class Search(msgspec.Struct, frozen=True):
    """A search looked up in the index. A photo must match all terms of at least one group."""

    groups: list[list[Meaning]]
    typed: list[list[Term]]
    rows: int
    """Estimated number of photos in the index."""
    behind: UUID | None
    """Photos older than this one may be missing in the index."""

    @property
    def is_indexed(self) -> bool:
        """Whether the index of words finds all of them."""
        return all(any(term.is_indexed for term in group) for group in self.groups)

    @property
    def candidates(self) -> float:
        """Estimated number of photos that the index of words finds, if terms are independent."""
        return sum(self._share(positive(group)) for group in self.groups) * self.rows

    @property
    def density(self) -> float:
        """Estimated share of photos that match, if terms are independent."""
        return sum(self._share(group) for group in self.groups)

    def _share(self, terms: Iterable[Meaning]) -> float:
        share = 1.0
        for term in terms:
            has = prod(min(1.0, photos / self.rows) for photos in term.photos_of_each)
            share *= max(1 - has, LEAST_SHARE) if term.negated else has
        return share

    def span(self) -> tuple[UUID, UUID]:
        """The range of the photos' ids; the end is excluded."""
        newest = max(min((term.newest for term in positive(group)), default=NEVER) for group in self.groups)
        oldest = min(max((term.oldest for term in positive(group)), default=0) for group in self.groups)
        return _id_at(oldest), _id_at(newest + 1)

    def condition(self, arguments: Arguments) -> str:
        """The condition on a row `s` of the index."""
        return any_group([all_of(term.condition(arguments) for term in group) for group in self.groups])

    def exists(self, arguments: Arguments) -> str:
        """The condition on a row of `photos`."""
        condition = self.condition(arguments)
        return f"EXISTS (SELECT FROM photo_search s WHERE s.photo_id = photos.id AND ({condition}))"

    def indexed(self, arguments: Arguments) -> str:
        """The condition for the index of words: only the rarest term of each group, if that is rare enough."""
        asked = []
        for group in self.groups:
            terms = sorted((term for term in group if term.is_indexed), key=lambda term: term.photos)
            wanted = terms[:1] if terms[0].photos <= FEW else terms
            asked.append(all_of(term.indexed(arguments) for term in wanted))
        return f"({any_group(asked)}) AND ({self.condition(arguments)})"


async def photos_of(connection: Connection, search: Search) -> list[UUID] | None:
    """All photos that a search finds in the index; None if they are many. Call it in a transaction with SETTINGS."""
    if not search.groups:
        return []
    if not search.is_indexed or search.candidates > FEW:
        return None
    arguments = Arguments()
    found = f"SELECT photo_id FROM photo_search s WHERE {search.indexed(arguments)} LIMIT {FEW + 1}"
    ids = [row["photo_id"] for row in await connection.fetch(found, *arguments.values)]
    return ids if len(ids) <= FEW else None


def any_group(groups: Sequence[str]) -> str:
    return " OR ".join(f"({group})" for group in groups) or "false"


def all_of(conditions: Iterable[str]) -> str:
    return " AND ".join(conditions) or "true"


def positive(group: Iterable[Meaning]) -> list[Meaning]:
    return [term for term in group if not term.negated]


def _id_at(milliseconds: int) -> UUID:
    return UUID(int=min(milliseconds, 2**48 - 1) << 80)


async def look_up(connection: Connection, typed: list[list[Term]]) -> Search:
    """Looks the terms up in the index as it is now. Call it in a transaction with SETTINGS."""
    behind = (await load(connection)).behind
    terms = list(chain.from_iterable(typed))
    sought = [_sought(term) for term in terms]
    ranges = sorted(set(chain.from_iterable(sought)))
    found = await connection.fetch(LOOK_UP, [low for low, _ in ranges], [high for _, high in ranges]) if ranges else []
    words = {range_: Words(**row) for range_, row in zip(ranges, found, strict=True)}
    meanings = iter(
        [
            await _meaning(connection, term, [words[range_] for range_ in its])
            for term, its in zip(terms, sought, strict=True)
        ]
    )
    groups = [[next(meanings) for _ in group] for group in typed]
    return Search(
        # A group with a term that no photo has finds nothing; an excluded term that no photo has excludes nothing.
        groups=[
            [term for term in group if not term.negated or term.photos]
            for group in groups
            if all(term.negated or term.photos for term in group)
        ],
        typed=typed,
        rows=await connection.fetchval(ROWS),
        behind=behind,
    )


async def _meaning(connection: Connection, term: Term, words: list[Words]) -> Meaning:
    if term.seed is not None:
        return _of_ids(term, [row["id"] for row in await connection.fetch(SEEDED, Decimal(term.seed))])
    tokens, is_prefix = _tokens(term)
    patterns = [f"% {' '.join(tokens)}{'%' if is_prefix else ' %'}"]
    if len(words) == 1 and not words[0].photos and is_prefix and not term.pieces[-1].is_run:
        words, patterns = await _not_a_word(connection, term, tokens[0], words, patterns)
    ids: list[UUID] = []
    if term.name_ids is not None:
        ids = [row["photo_id"] for row in await connection.fetch(NAMED, *term.name_ids)]
    rarest = min(words, key=lambda one: one.photos)
    last = words[-1]
    return Meaning(
        negated=term.negated,
        column=COLUMNS[term.scope],
        patterns=patterns,
        photos=rarest.photos + len(ids),
        photos_of_each=[one.photos + len(ids) for one in words],
        newest=max([min(one.newest for one in words), *(photo.int >> 80 for photo in ids)]),
        oldest=min([max(one.oldest for one in words), *(photo.int >> 80 for photo in ids)]),
        every=list(dict.fromkeys(tokens[:-1] if is_prefix else tokens)),
        one_of=(last.words if last.are_few else None) if is_prefix else None,
        ids=ids,
    )


def _of_ids(term: Term, ids: list[UUID]) -> Meaning:
    moments = [photo.int >> 80 for photo in ids]
    return Meaning(
        negated=term.negated,
        column=COLUMNS[""],
        patterns=[],
        photos=len(ids),
        photos_of_each=[len(ids)],
        newest=max(moments, default=0),
        oldest=min(moments, default=NEVER),
        every=[],
        one_of=[],
        ids=ids,
    )


async def _not_a_word(
    connection: Connection, term: Term, token: str, words: list[Words], patterns: list[str]
) -> tuple[list[Words], list[str]]:
    """For a term that no word begins with: the words whose plural it is, else those that contain it."""
    word = token.removeprefix(term.scope)
    singulars = [term.scope + ending.sub(other, word) for ending, other in _SINGULARS if ending.search(word)]
    if len(word) > SHORTEST_PART and singulars:
        ranges = [_whole(one) for one in singulars]
        rows = await connection.fetch(LOOK_UP, [low for low, _ in ranges], [high for _, high in ranges])
        found = [Words(**row) for row in rows]
        if any(one.photos for one in found):
            return [_together(found)], [f"% {one} %" for one in singulars]
    if len(word) < SHORTEST_PART:
        return words, patterns
    marks = [f"{mark}%" for mark in COLUMNS if mark]
    row = (await connection.fetch(PARTS, f"{term.scope}%{word}%", [] if term.scope else marks))[0]
    return [Words(**row)], [f"%{word}%"]


def _together(found: list[Words]) -> Words:
    present = [one for one in found if one.photos]
    return Words(
        photos=sum(one.photos for one in present),
        newest=max(one.newest for one in present),
        oldest=min(one.oldest for one in present),
        words=list(chain.from_iterable(one.words for one in present)),
    )


def _tokens(term: Term) -> tuple[list[str], bool]:
    """The consecutive words of the index for a term, and whether the last is the beginning of one."""
    *before, last = term.pieces
    tokens = [token for piece in before for token in piece.tokens(goes_on=False)] + last.tokens(goes_on=True)
    return [term.scope + token for token in tokens], last.is_run or not term.is_whole


def _sought(term: Term) -> list[tuple[str, str]]:
    """The ranges of words to look up for a term, one for each of its tokens."""
    if term.seed is not None:
        return []
    tokens, is_prefix = _tokens(term)
    last = (tokens[-1], tokens[-1] + LAST) if is_prefix else _whole(tokens[-1])
    return [*map(_whole, tokens[:-1]), last]


def _whole(token: str) -> tuple[str, str]:
    return token, token + "\x01"


def unindexed(typed: list[list[Term]], arguments: Arguments) -> str:
    """The condition on a row of `photos` that may not be in the index yet: its texts as written, but for case."""

    def condition(term: Term) -> str:
        if term.seed is not None:
            found = f"coalesce(seed = {arguments.add(Decimal(term.seed))}, false)"
        else:
            # This does not check a word's ends, nor what is between two words.
            parts = arguments.add(f"%{'%'.join(piece.text for piece in term.pieces)}%")
            found = f"lower({TEXTS[term.scope]}) LIKE {parts}"
        return f"NOT {found}" if term.negated else found

    return any_group([all_of(map(condition, group)) for group in typed])


TEXTS: Final[dict[Scope, str]] = {
    "": "concat_ws(' ', generation_prompt, caption, model_name, filename, array_to_string(tags, ' '),"
    " array_to_string(loras, ' '), source_text)",
    "-": "coalesce(generation_negative_prompt, '')",
    "+": "coalesce(model_name, '')",
}
