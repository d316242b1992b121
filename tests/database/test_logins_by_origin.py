"""The migration that keeps logins by origin gives each to the origin of its row's address."""

from __future__ import annotations

import json
from urllib.parse import urlsplit

import pytest

from service.database.engine import Database
from service.database.migrate import upgrade
from tests.database.released import restore
from tests.fakes.rows import insert

LOGIN = {"email": "owner@example.com", "password": "secret"}
ADDRESSES = ["http://127.0.0.1:9090", "https://gpu.example/behind/a/path", "http://[::1]:9090"]


@pytest.mark.parametrize("url", ADDRESSES)
async def test_a_login_belongs_to_the_origin_of_the_address_it_was_given_for(empty_database_url: str, url: str) -> None:
    database = Database(empty_database_url)
    async with database.connection() as connection:
        await restore(connection, "0001")
        await connection.execute("UPDATE backends SET url = url || '/' || id, credentials = NULL")
        [first, *_] = await connection.fetch("SELECT id FROM backends ORDER BY id")
        await connection.execute(
            "UPDATE backends SET url = $2, credentials = $3 WHERE id = $1", first["id"], url, json.dumps(LOGIN)
        )
    await upgrade(database.url)
    async with database.connection() as connection:
        logins = [json.loads(row[0]) for row in await connection.fetch("SELECT logins::text FROM backends ORDER BY id")]
        parts = urlsplit(url)
        assert logins[0] == {f"{parts.scheme}://{parts.netloc}": LOGIN}
        assert all(login == {} for login in logins[1:])
        # An address may be given twice now, to one enabled server.
        for number in range(2):
            await insert(
                connection, "backends", id=f"00000000-0000-0000-0000-00000000000{number}", name="twin", url="http://twin",
                enabled=bool(number),
            )  # fmt: skip
    await database.close()
