"""Cuts texts into words without case, accents and width, for what is indexed and what is typed.

Chinese, Japanese, Korean and Thai are cut into overlapping pairs of characters (城堡垒 is 城堡, 堡垒, 垒), since a part
of one character must be found where no space ends a word. A pair is a word like any other: a character is found as
the beginning of one, a longer run as several consecutive ones.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from functools import cache

import msgspec

LONGEST_TEXT = 65_536
"""Characters of one text that are indexed."""
LONGEST_WORD = 64
"""Characters of one word. A longer one is cut into several."""

# Marks on Latin, Greek, Cyrillic, Hebrew and Arabic letters, and invisible characters. Marks of other scripts are
# letters.
_ASIDE = re.compile(
    "[\u0300-\u036f\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670"
    "\u06d6-\u06dc\u06df-\u06e4\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f"
    "\u00ad\u200b-\u200f\u2060\ufeff\ufe00-\ufe0f\U000e0100-\U000e01ef]"
)
_LETTERS = str.maketrans(
    {"æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ı": "i", "ħ": "h", "ŧ": "t", "ŋ": "n"}
)
# don't is dont and painter's painters, but l'eau is two words.
_APOSTROPHES = "'’ʼ`´"
_CLITIC = re.compile(rf"(?<=[^\W_])[{_APOSTROPHES}](?=(?:t|s|re|ll|ve|d|m)(?![^\W_]))")
_ASCII_WORDS = re.compile(f"[a-z0-9]{{1,{LONGEST_WORD}}}")
# Scripts that put no space between words, Korean, and pictographs.
_RUN = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u2600-\u27bf\u3005\u3007\u3041-\u30fa\u30fc-\u30ff"
    "\u3100-\u318f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U0001f000-\U0001faff\U00020000-\U0003ffff"
)
UUID_NAME = re.compile(r"[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")


class Piece(msgspec.Struct, frozen=True):
    """A word, or a run of characters of a script without spaces."""

    text: str
    is_run: bool = False

    def tokens(self, *, goes_on: bool) -> list[str]:
        """The words of the index for this piece. In a run that may go on, the last character begins no word yet."""
        if not self.is_run:
            return [self.text]
        last = len(self.text) - (goes_on and len(self.text) > 1)
        return [self.text[at : at + 2] for at in range(last)]


def fold(text: str) -> str:
    """The text without case, accents and width; ß is ss, æ is ae, ø is o."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", text).casefold())
    return unicodedata.normalize("NFC", _ASIDE.sub("", decomposed)).translate(_LETTERS)


def pieces(text: str) -> list[Piece]:
    """The words and runs of a text, in order."""
    folded = _joined(fold(text[:LONGEST_TEXT]))
    if folded.isascii():
        return [Piece(word) for word in _ASCII_WORDS.findall(folded)]
    return [Piece(run or word, bool(run)) for run, word in _words().findall(folded)]


def tokens(text: str) -> list[str]:
    """The words of the index in a text of the program's, not of the search box."""
    folded = _joined(fold(text[:LONGEST_TEXT]))
    if folded.isascii():
        return _ASCII_WORDS.findall(folded)
    found: list[str] = []
    for run, word in _words().findall(folded):
        found.extend(Piece(run or word, bool(run)).tokens(goes_on=False))
    return found


def document(texts: Iterable[str | None], mark: str = "") -> str:
    """The texts as one line in which every word stands between spaces, each after `mark`, and a phrase ends with its
    text. Empty if there is no word."""
    between = f" {mark}"
    lines = [f"{between}{between.join(found)} " for text in texts if text and (found := tokens(text))]
    return "".join(lines)


def _joined(folded: str) -> str:
    return _CLITIC.sub("", folded) if any(one in folded for one in _APOSTROPHES) else folded


@cache
def _words() -> re.Pattern[str]:
    # Made at first use: the marks of all scripts are looked up.
    marks = "".join(chr(code) for code in range(0x300, 0x1F000) if unicodedata.category(chr(code))[0] == "M")
    return re.compile(f"([{_RUN}]+)|((?:[^\\W_{_RUN}]|[{marks}]){{1,{LONGEST_WORD}}})")
