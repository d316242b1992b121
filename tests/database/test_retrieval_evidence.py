"""What is recorded beside a photo that failed, at a cost that does not grow with the library."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from uuid import uuid4

from service.database.engine import Connection, Database
from service.retrieval import evidence
from service.retrieval.evidence import Evidence
from tests.fakes.rows import add_backend, add_photo


async def test_it_samples_from_both_ends_of_a_server_and_no_tombstone_and_no_other_servers(
    connection: Connection, database: Database
) -> None:
    backend, other = await add_backend(connection), await add_backend(connection)
    # As many as make the index worth reading.
    for n in range(400):
        await add_photo(connection, backend_id=backend, invoke_id=f"home {n}")
    await connection.execute("ANALYZE photos")
    failing = await add_photo(connection, home=False, backend_id=backend, invoke_id="failing")
    await add_photo(connection, home=False, backend_id=backend, invoke_id="waiting")
    await add_photo(connection, home=False, backend_id=backend, invoke_id="gone", retrieval_status="gone")
    await add_photo(connection, backend_id=backend, invoke_id="purged", purged_at=datetime.now(UTC), sha256=None)
    await add_photo(connection, backend_id=other, invoke_id="another server's")
    names = {image.image_name for image in await Evidence(database).sample(backend, failing)}
    assert "waiting" in names
    assert sum(name.startswith("home") for name in names) == 20
    assert not names & {"failing", "gone", "purged", "another server's"}
    assert len(names) <= 50


async def test_it_reads_no_more_of_a_large_library(connection: Connection) -> None:
    backend = await add_backend(connection)
    await connection.execute(
        "INSERT INTO photos (id, filename, width, height, mime_type, created_at, source, invoke_id, backend_id,"
        " retrieval_status, file_size, sha256, local_storage_path)"
        " SELECT gen_random_uuid(), 'f', 1, 1, 'image/png', now(), 'mirrored', 'name ' || n, $1,"
        " 'completed', 9, 'ab', 'path ' || n FROM generate_series(1, 5000) n",
        backend,
    )
    await connection.execute("ANALYZE photos")
    plan = "\n".join(row[0] for row in await connection.fetch(f"EXPLAIN ANALYZE {evidence.SAMPLE}", backend, uuid4()))
    assert plan.count("using ix_photos_ledger") >= 2
    assert "Seq Scan" not in plan
    assert max(int(rows) for rows in re.findall(r"actual [^)]* rows=(\d+)", plan)) < 50
