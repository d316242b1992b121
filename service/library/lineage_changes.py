"""Compares a photo with one that was made from it: words of the prompts, and parameters. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, Final

import msgspec

from service.api.resources import Photo
from service.bus.live_state import Resource
from service.media.metadata.json_text import listed, table
from service.media.metadata.values import number

MAX_PROMPT: Final = 20_000
"""Characters of a prompt that are compared."""
METADATA: Final = ("steps", "cfg_scale", "guidance", "scheduler", "strength")
COMPARED: Final = (*METADATA, "loras")
"""Keys of the metadata."""

# `(cat:1.2)`, `<lora:ink:0.8>`, and `(cat)1.2` as Compel writes it.
WEIGHT: Final = re.compile(r":\s*-?[\d.]+\s*(?=[)\]>])|(?<=\))-?\d*\.?\d+")
BETWEEN_WORDS: Final = re.compile(r"""[\s,;|()\[\]{}<>"“”«»。、，；！？：（）「」『』【】…]+""")
EDGES: Final = ".,:;!?+-*_=/\\'’‘`~^&#"
"""Characters at the ends of a word that do not belong to it."""

Value = float | str | None


class WordChange(Resource, frozen=True, kw_only=True):
    """Words in the order of the prompt that has them, each once; without weights and punctuation."""

    added: list[str]
    removed: list[str]


class ParameterChange(Resource, frozen=True, kw_only=True):
    name: str
    """`model`, `seed`, `width`, `height`, `steps`, `cfg_scale`, `guidance`, `scheduler`, `strength` or `loras`."""
    before: Value
    after: Value
    """LoRAs as text: `ink 0.8, fog 0.5`."""


class Changes(Resource, frozen=True, kw_only=True):
    prompt: WordChange
    negative_prompt: WordChange
    parameters: list[ParameterChange]
    """Only those that differ, always in the same order."""


class _Metadata(msgspec.Struct):
    """The keys of InvokeAI's metadata that are compared. The others are skipped without being decoded."""

    steps: Any = None
    cfg_scale: Any = None
    guidance: Any = None
    scheduler: Any = None
    strength: Any = None
    loras: Any = None


_metadata = msgspec.json.Decoder(_Metadata)


class Making:
    """Prompt and parameters of a photo, read once for all photos that it is compared with. `metadata` has at least the
    compared keys."""

    def __init__(self, photo: Photo, metadata: msgspec.Raw | None) -> None:
        self.photo = photo
        self.words = _words(photo.generation_prompt)
        self.negative_words = _words(photo.generation_negative_prompt)
        self._metadata = _read(metadata)

    @property
    def is_known(self) -> bool:
        photo = self.photo
        told = photo.generation_prompt, photo.seed, photo.model_key, photo.model_name, self._metadata
        return any(value is not None for value in told)

    def changes_to(self, made: Making) -> Changes | None:
        """The changes from this photo to the one made from it. None if one of the two tells nothing."""
        if not self.is_known or not made.is_known:
            return None
        return Changes(
            prompt=_word_change(self.words, made.words),
            negative_prompt=_word_change(self.negative_words, made.negative_words),
            parameters=list(self._parameters_to(made)),
        )

    def _parameters_to(self, made: Making) -> Iterable[ParameterChange]:
        before, after = self.photo, made.photo
        if _is_other_model(before, after):
            yield ParameterChange(name="model", before=_model(before), after=_model(after))
        if before.seed is not None and after.seed is not None and before.seed != after.seed:
            yield ParameterChange(name="seed", before=before.seed, after=after.seed)
        for name in ("width", "height"):
            if getattr(before, name) != getattr(after, name):
                yield ParameterChange(name=name, before=getattr(before, name), after=getattr(after, name))
        if self._metadata is None or made._metadata is None:
            return  # unknown values do not differ
        for name in METADATA:
            old, new = _scalar(getattr(self._metadata, name)), _scalar(getattr(made._metadata, name))
            if old != new:
                yield ParameterChange(name=name, before=old, after=new)
        old, new = _loras(self._metadata.loras), _loras(made._metadata.loras)
        if old != new:
            yield ParameterChange(name="loras", before=old, after=new)


def _words(prompt: str | None) -> dict[str, str]:
    """Each word in its compared form, and as it is written first."""
    found: dict[str, str] = {}
    for part in BETWEEN_WORDS.split(WEIGHT.sub(" ", (prompt or "")[:MAX_PROMPT])):
        if word := part.strip(EDGES):
            found.setdefault(word.casefold(), word)
    return found


def _word_change(before: dict[str, str], after: dict[str, str]) -> WordChange:
    return WordChange(
        added=[word for key, word in after.items() if key not in before],
        removed=[word for key, word in before.items() if key not in after],
    )


def _read(metadata: msgspec.Raw | None) -> _Metadata | None:
    if metadata is None:
        return None
    try:
        return _metadata.decode(metadata)
    except (msgspec.DecodeError, RecursionError):
        return None


def _is_other_model(before: Photo, after: Photo) -> bool:
    """Whether the models differ by what both tell: at another server a model has another key, and may have another
    name."""
    if before.model_hash is not None and after.model_hash is not None:
        return before.model_hash != after.model_hash
    keys, names = (before.model_key, after.model_key), (before.model_name, after.model_name)
    if None not in keys and keys[0] == keys[1]:
        return False
    both = names if None not in names else keys
    return None not in both and both[0] != both[1]


def _model(photo: Photo) -> str | None:
    return photo.model_name or photo.model_key


def _scalar(value: Any) -> Value:
    if isinstance(value, str):
        return value or None
    return number(value)


def _loras(entries: Any) -> str | None:
    found = []
    for entry in map(table, listed(entries)):
        # InvokeAI 3 wrote `lora`, later versions write `model`.
        lora = table(entry.get("model") or entry.get("lora"))
        name = next((text for key in ("name", "model_name", "key") if isinstance(text := lora.get(key), str)), None)
        weight = number(entry.get("weight"))
        if name:
            found.append(name if weight is None else f"{name} {weight:g}")
    return ", ".join(found) or None
