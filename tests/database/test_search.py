"""What is typed is found, and nothing else: in the index, over a real database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from service.database.engine import Connection, Database
from service.errors import ValidationError
from service.library import queries, search_lookup
from service.library.filters import PhotoFilters
from service.library.queries import Page, list_photos
from tests.fakes.rows import add_photo
from tests.fakes.search import index_all

PHOTOS: dict[str, dict[str, Any]] = {
    "castle": {
        "generation_prompt": "A castle on a cliff above the sea, golden hour, HDR/8k, (masterpiece:1.2)",
        "generation_negative_prompt": "blurry, bad hands, watermark",
        "model_name": "Dreamy XL v9",
        "filename": "IMG_0042.png",
        "tags": ["holiday", "North Coast"],
        "caption": "my keepsake",
        "seed": 1234567,
    },
    "cat": {
        "generation_prompt": "two cats asleep, oil painting.highly detailed <lora:add_detail:0.8>, blue_hair girl",
        "generation_negative_prompt": "hands, text, zebra",
        "model_name": "juggernautXL_v9Rundiffusion",
        "loras": ["Ink Wash", "0b6a2a4e-7f0a-4c39-8a52-1f3f8f0f9a11"],
        "seed": 42,
    },
    "location": {
        "generation_prompt": "a remote location, brown hair, blue eyes, don't look, the who live at leeds, tail_slider",
        "filename": "3f2a9c1e-4d1a-4b7e-9c55-0a1b2c3d4e5f.png",
        "model_name": "Flux dev",
    },
    "german": {
        "generation_prompt": "Ein Mädchen auf der Straße bei Sonnenuntergang, Ölgemälde, Fußgängerübergang",
        "generation_negative_prompt": "unscharf",
    },
    "french": {
        "generation_prompt": "Une forêt enchantée près d'un café, l'eau brille, crème brûlée, œuvre d’art",
    },
    "spanish": {
        "generation_prompt": "El niño y el océano, corazón español, paisaje montañoso",
    },
    "nordic": {
        "generation_prompt": "Ærøskøbing harbour, Łódź and İstanbul by night, smørrebrød",
    },
    "russian": {
        "generation_prompt": "Ёлка в снегу, зимний лес, северное сияние над озером",
    },
    "chinese": {
        "generation_prompt": "美丽的城堡在山顶上，夕阳，高清8K，水墨画",
        "model_name": "国风3 GuoFeng3",
    },
    "japanese": {
        "generation_prompt": "桜の下の少女、ガンダム、夕焼けの東京タワー、猫",
    },
    "korean": {
        "generation_prompt": "아름다운 한복을 입은 여자, 서울의 밤하늘",
    },
    "wide": {
        "generation_prompt": "ＣＹＢＥＲＰＵＮＫ　ｃｉｔｙ, ﬁne art, ｶﾒﾗ, 🐉 above",
        "filename": "sunset.over.bay.webp",
    },
    "hindi": {
        "generation_prompt": "एक सुंदर किताब और हाथी",
    },
}

FOUND: list[tuple[str, set[str]]] = [
    # Words and their beginnings, whatever the case.
    ("castle", {"castle"}),
    ("CASTLE", {"castle"}),
    ("cast", {"castle"}),
    ("cat", {"cat"}),  # not "location": there is a word that begins so
    ("cats", {"cat"}),
    ("a", {"castle", "location", "french", "nordic", "cat", "wide", "german"}),
    ("castle golden", {"castle"}),
    ("golden castle", {"castle"}),
    ("castle desert", set()),
    ("the who", {"location"}),
    ("who", {"location"}),
    ("don't", {"location"}),
    ("dont", {"location"}),
    ("don’t", {"location"}),
    ("castles", {"castle"}),
    # Parts of words, where no word begins so.
    ("ocation", {"location"}),
    ("eepsak", {"castle"}),
    ("gernaut", {"cat"}),
    ("rundiff", {"cat"}),
    ("slid", {"location"}),
    ("xq", set()),
    # Prompt syntax, by its words.
    ("HDR/8k", {"castle"}),
    ("hdr", {"castle"}),
    ("8k", {"castle", "chinese"}),
    ("(masterpiece:1.2)", {"castle"}),
    ("masterpiece:1.3", set()),
    ("painting.highly", {"cat"}),
    ("highly", {"cat"}),
    ("<lora:add_detail:0.8>", {"cat"}),
    ("add_detail", {"cat"}),
    ("detail", {"cat"}),
    ("blue_hair", {"cat"}),
    ("blue hair", {"cat", "location"}),
    ("blue-hair", {"cat"}),
    # Accents, ligatures, width.
    ("cafe", {"french"}),
    ("CAFÉ", {"french"}),
    ("foret enchantee", {"french"}),
    ("eau", {"french"}),
    ("œuvre", {"french"}),
    ("oeuvre d'art", {"french"}),
    ("brulee", {"french"}),
    ("madchen", {"german"}),
    ("Mädchen", {"german"}),
    ("strasse", {"german"}),
    ("STRAẞE", {"german"}),
    ("gänger", {"german"}),
    ("nino oceano", {"spanish"}),
    ("corazón", {"spanish"}),
    ("ocean", {"spanish"}),
    ("aeroskobing", {"nordic"}),
    ("lodz", {"nordic"}),
    ("istanbul", {"nordic"}),
    ("smorrebrod", {"nordic"}),
    ("cyberpunk city", {"wide"}),
    ("fine", {"wide"}),
    ("カメラ", {"wide"}),
    ("🐉", {"wide"}),
    # Russian, Hindi.
    ("елка", {"russian"}),
    ("ЛЕС", {"russian"}),
    ("сияние", {"russian"}),
    ("किताब", {"hindi"}),
    # Chinese, Japanese, Korean: any part, of one character too.
    ("城", {"chinese"}),
    ("城堡", {"chinese"}),
    ("的城堡在", {"chinese"}),
    ("堡城", set()),
    ("国风", {"chinese"}),
    ("高清8k", {"chinese"}),
    ("夕", {"chinese", "japanese"}),
    ("猫", {"japanese"}),
    ("ガンダム", {"japanese"}),
    ("カンタム", set()),
    ("東京タワー", {"japanese"}),
    ("한복", {"korean"}),
    ("울", {"korean"}),
    ("밤하늘", {"korean"}),
    # Phrases, exclusions, alternatives.
    ('"golden hour"', {"castle"}),
    ('"hour golden"', set()),
    ('"north coast"', {"castle"}),
    ('"keepsake holiday"', set()),  # a phrase ends with its text
    ('"cast"', set()),
    ('"golden ho', {"castle"}),
    ('"城堡在"', {"chinese"}),
    ("blue -hair", set()),
    ("hair -cats", {"location"}),
    ("castle -nowhere", {"castle"}),
    ("-nowhere", set(PHOTOS)),
    ("-blue -城 -a", {"spanish", "russian", "japanese", "korean", "hindi"}),
    ("castle or 猫 or nowhere", {"castle", "japanese"}),
    ("castle or", {"castle"}),
    # Model, LoRA, tags, caption, file name.
    ("dreamy xl", {"castle"}),
    ("ink", {"cat"}),
    ("holiday", {"castle"}),
    ("IMG_0042", {"castle"}),
    ("IMG_0042.png", {"castle"}),
    ("0042", {"castle"}),
    ("sunset.over", {"wide"}),
    ("3f2a9c1e", {"location"}),
    ("3F2A9C1E-4d1a", {"location"}),
    ("3f2a9c1e-4d1a-4b7e-9c55-0a1b2c3d4e5f.png", {"location"}),
    ("4d1a", set()),
    # Keys.
    ("hands", set()),
    ("negative:hands", {"castle", "cat"}),
    ("negative:zeb", {"cat"}),
    ("negative:atermar", {"castle"}),
    ('negative:"bad hands"', {"castle"}),
    ("-negative:zebra negative:hands", {"castle"}),
    ("seed:42", {"cat"}),
    ("seed:4", set()),
    ("-seed:42 blue", {"location"}),
    ("model:dream", {"castle"}),
    ("Model:v9", {"castle", "cat"}),
    ('model:"dreamy xl"', {"castle"}),
    ("model:castle", set()),
    ("model:国风", {"chinese"}),
    # What asks for nothing is ignored.
    ("castle ,", {"castle"}),
    ('- castle !! "" lora: seed:', {"castle"}),
    # What is no key is words.
    ("foo:1.2", set()),
    ("https://example.com/castle", set()),
    ("'; DROP TABLE photos; --", set()),
]


@pytest.fixture(scope="module")
async def library(module_database_url: str) -> AsyncIterator[tuple[Database, dict[UUID, str]]]:
    database = Database(module_database_url)
    async with database.connection() as connection:
        names = {await add_photo(connection, **values): name for name, values in PHOTOS.items()}
    await index_all(database)
    yield database, names
    await database.close()


async def searched(connection: Connection, q: str, **filters: Any) -> list[UUID]:
    answer = await list_photos(connection, PhotoFilters(q=q, **filters), Page(limit=200))
    assert answer.total is None
    return [photo.id for photo in answer.items]


@pytest.mark.parametrize("way", ["few", "walked", "from the index", "in another order"])
async def test_what_is_typed_is_found_and_nothing_else(
    library: tuple[Database, dict[UUID, str]], way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However rare or frequent the words are, which decides how they are read."""
    database, names = library
    if way != "few":
        monkeypatch.setattr(search_lookup, "FEW", -1)
    if way == "from the index":
        monkeypatch.setattr(queries, "WALK", 0)
    wrong = {}
    async with database.connection() as connection:
        for typed, wanted in FOUND:
            photos = await searched(connection, typed, order="name" if way == "in another order" else "newest")
            found = {names[photo] for photo in photos}
            if found != wanted or len(found) != len(photos):
                wrong[typed] = found
    assert wrong == {}


@pytest.mark.parametrize("typed", ["", "   ", ",", "-", '""', "!! ( | & <-> :*", "or", "model: lora:"])
async def test_a_search_that_asks_for_nothing_shows_everything(
    library: tuple[Database, dict[UUID, str]], typed: str
) -> None:
    database, names = library
    async with database.connection() as connection:
        answer = await list_photos(connection, PhotoFilters(q=typed), Page(limit=200))
    assert answer.total == len(answer.items) == len(names)


@pytest.mark.parametrize(
    ("typed", "named"),
    [("lora:ink", "lora:"), ("castle Rating:5", "rating:"), ("-album:x", "album:"), ("seed:first", "seed:")],
)
async def test_a_key_that_means_nothing_yet_is_refused_by_name(
    library: tuple[Database, dict[UUID, str]], typed: str, named: str
) -> None:
    database, _ = library
    async with database.connection() as connection:
        with pytest.raises(ValidationError, match=named):
            await searched(connection, typed)
