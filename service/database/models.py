"""The whole schema as SQLAlchemy models. Times are timestamptz in UTC; ids are UUIDv7, in order of time."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    ARRAY,
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    MetaData,
    Numeric,
    SmallInteger,
    Text,
    UniqueConstraint,
    Uuid,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

RETRIEVAL_STATUSES = ("pending", "retrieving", "completed", "failed", "gone")
STEP_STATUSES = ("pending", "processing", "completed", "failed", "canceled")
BATCH_STATES = ("waiting", "prepared", "posted", "enqueued", "refused")
ITEM_STATUSES = ("pending", "in_progress", "waiting", "completed", "failed", "canceled", "gone")
PHOTO_SOURCES = ("uploaded", "generated", "mirrored", "imported")
POD_STATES = ("stopped", "starting", "running", "stopping", "failed", "unknown")

LIVE = "deleted_at IS NULL AND purged_at IS NULL"
"""A photo in the library: neither in the trash nor a tombstone (trash)."""

WAITING = "retrieval_status = 'pending' AND purged_at IS NULL"
"""A photo that retrieval may claim once it is due (retrieval in the table)."""

GONE = "retrieval_status = 'gone' AND purged_at IS NULL AND deleted_at IS NULL"
"""A photo that its server deleted before it was retrieved, and that is not in the trash."""

SEARCH_WORDS = "array_remove(string_to_array((words || negative) || model, ' '::text), ''::text)"
"""All words of a row of `photo_search`, as they are indexed."""
UPLOADED = "source = 'uploaded' AND purged_at IS NULL AND sha256 IS NOT NULL"
"""An upload. No other upload may have the same bytes (whole upload or nothing)."""
HAS_LARGE = "large_bytes > 0 AND purged_at IS NULL"
LACKS_LARGE = (
    "large_bytes IS NULL AND local_thumbnail_path IS NOT NULL AND retrieval_status = 'completed' AND purged_at IS NULL"
)
"""A photo whose large rendition may be made (whole upload or nothing)."""


def one_of(column: str, values: tuple[str, ...]) -> str:
    return f"{column} IN ({', '.join(repr(value) for value in values)})"


class Base(DeclarativeBase):
    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
        list[int]: ARRAY(BigInteger),
    }


class Backend(Base):
    __tablename__ = "backends"
    __table_args__ = (
        Index("ix_backends_address", "url", "queue_id", unique=True, postgresql_where=text("enabled")),
        CheckConstraint(one_of("kind", ("server", "demo", "runpod", "command")), name="kind"),
        CheckConstraint(one_of("mirror", ("all", "own")), name="mirror"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default="server")
    url: Mapped[str]
    queue_id: Mapped[str] = mapped_column(server_default="default")
    logins: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """{origin: {email, password}}: each is sent to its own origin only. Write-only in the API, as `credentials`."""
    gateways: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    """{origin: {username, password, headers, ca_pem}}: as `logins`. Write-only in the API, as `gateway`."""
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    mirror: Mapped[str] = mapped_column(server_default="all")
    version: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime | None]
    gallery_watermark: Mapped[datetime | None]
    """On InvokeAI's clock (gallery reading)."""
    recognised_url: Mapped[str | None]
    """The address where its server was last recognised (recognised servers only)."""
    identity_since: Mapped[datetime | None]
    """When the owner said that the server at this address is the same one, moved or emptied; null again once an image
    or a batch has been recorded from there."""
    gone_seen_at: Mapped[datetime | None]
    """When the owner last marked the gone images as seen (ledger and home)."""
    gallery_beginning: Mapped[datetime | None]
    """When it was added, on InvokeAI's clock; null until InvokeAI told its time. Older images come by Import."""
    gallery_older: Mapped[list[str] | None]
    """Names of the newest images that were there before; null until the gallery was read."""


class Pod(Base):
    """A rented machine of a backend (stopped only when home): the provider's last reading, the wanted state, and the
    order under way. All times are the database's."""

    __tablename__ = "pods"
    __table_args__ = (
        CheckConstraint(one_of("said", POD_STATES), name="said"),
        CheckConstraint(one_of("state", POD_STATES), name="state"),
        CheckConstraint(one_of("root", ("safe", "lost_at_stop", "unknown")), name="root"),
        CheckConstraint(one_of("wanted", ("running", "stopped")), name="wanted"),
        CheckConstraint(one_of("wanted_by", ("work", "owner", "idle")), name="wanted_by"),
        CheckConstraint(one_of("order_kind", ("start", "stop")), name="order_kind"),
        CheckConstraint(
            one_of("order_outcome", ("taken", "no_gpu", "refused", "not_known", "later")), name="order_outcome"
        ),
        CheckConstraint("idle_minutes >= 0.1", name="idle_minutes"),
    )

    backend_id: Mapped[UUID] = mapped_column(ForeignKey("backends.id", ondelete="CASCADE"), primary_key=True)
    provider: Mapped[dict[str, Any]]
    """Its configuration with the key. It is never shown."""
    idle_minutes: Mapped[float] = mapped_column(server_default=text("15"))
    autostart: Mapped[bool] = mapped_column(server_default=text("true"))
    said: Mapped[str] = mapped_column(server_default="unknown")
    """The state in the provider's last reading."""
    said_words: Mapped[str | None]
    state: Mapped[str] = mapped_column(server_default="unknown")
    """The state that is shown: `said`, but `starting` while a start is repeated and `stopping` while a stop is under
    way."""
    state_since: Mapped[datetime] = mapped_column(server_default=func.now())
    words: Mapped[str | None]
    """The reason for the state."""
    read_at: Mapped[datetime | None]
    """When the provider was last read."""
    root: Mapped[str] = mapped_column(server_default="unknown")
    root_confirmed: Mapped[bool | None]
    """The owner's answer whether InvokeAI's root survives a stop, if the provider cannot tell: true for yes."""
    gpus: Mapped[int | None]
    locked: Mapped[bool] = mapped_column(server_default=text("false"))
    stopped_costs: Mapped[str | None]
    wanted: Mapped[str | None]
    wanted_by: Mapped[str | None]
    wanted_at: Mapped[datetime | None]
    confirmed: Mapped[bool] = mapped_column(server_default=text("false"))
    """The owner stops it although not everything is home."""
    give_up_at: Mapped[datetime | None]
    """When repeating a start that finds no free GPU ends."""
    failure: Mapped[str | None]
    """Why the last start was given up; null again with the next one."""
    gave_up_on: Mapped[int | None] = mapped_column(BigInteger)
    """Batches up to this ordinal start it no more: a start for them was given up, or the owner stopped it."""
    started_by_us: Mapped[bool] = mapped_column(server_default=text("false"))
    """The present run, or the one that an order of ours may still bring, is ours: only then the pod is stopped when
    idle."""
    ready_at: Mapped[datetime | None]
    """When its InvokeAI was first reached and recognised in the present run."""
    order_kind: Mapped[str | None]
    order_id: Mapped[UUID | None]
    order_written_at: Mapped[datetime | None]
    order_sent_at: Mapped[datetime | None]
    """Written before the order is sent: an order with it may have been sent, one without it was not."""
    order_outcome: Mapped[str | None]
    order_words: Mapped[str | None]
    next_order_at: Mapped[datetime | None]
    orders: Mapped[int] = mapped_column(server_default=text("0"))
    """How many orders were written for the wanted state."""
    held_at: Mapped[datetime | None]
    """Since when submissions are held, because it is to be stopped."""
    idle_since: Mapped[datetime | None]
    stop_refused: Mapped[str | None]
    alarm: Mapped[str | None]
    cost_per_hour: Mapped[float | None]
    """The last price while it ran."""
    run_began_at: Mapped[datetime | None]
    run_cost: Mapped[float] = mapped_column(server_default=text("0"))
    """The cost of the present run, or of the last one, until `read_at`."""
    stopped_by_us_at: Mapped[datetime | None]
    """When we stopped it; null once it runs again."""
    saved: Mapped[float] = mapped_column(server_default=text("0"))
    """Money saved by our earlier stops: what the hours until the next run would have cost."""


class Photo(Base):
    __tablename__ = "photos"
    __table_args__ = (
        UniqueConstraint("invoke_id"),
        CheckConstraint(one_of("source", PHOTO_SOURCES), name="source"),
        CheckConstraint(one_of("retrieval_status", RETRIEVAL_STATUSES), name="retrieval_status"),
        CheckConstraint("rating BETWEEN 0 AND 5", name="rating"),
        CheckConstraint("pick IN ('pick', 'reject')", name="pick"),
        CheckConstraint(
            "retrieval_status <> 'completed' OR purged_at IS NOT NULL"
            " OR (local_storage_path IS NOT NULL AND file_size IS NOT NULL AND sha256 IS NOT NULL)",
            name="completed_is_home",
        ),
        CheckConstraint(
            "(retrieval_status = 'retrieving') = (retrieval_claim IS NOT NULL)", name="claim_while_retrieving"
        ),
        Index("ix_photos_live", text("id DESC"), postgresql_where=text(LIVE)),
        Index(
            "ix_photos_trash", text("id DESC"), postgresql_where=text("deleted_at IS NOT NULL AND purged_at IS NULL")
        ),
        Index("ix_photos_model", "model_key", "id", postgresql_where=text(LIVE)),
        Index("ix_photos_model_name", "model_name", "id", postgresql_where=text(LIVE)),
        Index("ix_photos_generated", "is_generated", "id", postgresql_where=text(LIVE)),
        Index("ix_photos_model_base", "model_base", "id", postgresql_where=text(LIVE)),
        Index("ix_photos_source", "source", "id", postgresql_where=text(LIVE)),
        Index("ix_photos_name", "filename", "id", postgresql_where=text(LIVE)),
        Index("ix_photos_favorite", text("id DESC"), postgresql_where=text(f"favorite AND {LIVE}")),
        Index("ix_photos_rating", text("rating DESC"), text("id DESC"), postgresql_where=text(LIVE)),
        # Claims look backend by backend, so that photos of an unreachable one cost the others nothing.
        Index("ix_photos_due", "backend_id", "next_retrieval_attempt", postgresql_where=text(WAITING)),
        Index("ix_photos_fresh", "backend_id", text("id DESC"), postgresql_where=text(WAITING)),
        Index(
            "ix_photos_purged_files",
            "purged_at",
            postgresql_where=text("purged_at IS NOT NULL AND local_storage_path IS NOT NULL"),
        ),
        Index("ix_photos_leased", "retrieval_lease_until", postgresql_where=text("retrieval_status = 'retrieving'")),
        Index(
            "ix_photos_not_home",
            "retrieval_status",
            text("id DESC"),
            postgresql_where=text("retrieval_status <> 'completed'"),
        ),
        Index("ix_photos_ledger", "backend_id", "retrieval_status", postgresql_where=text("purged_at IS NULL")),
        Index("ix_photos_invoke_session", "invoke_session_id", postgresql_where=text("invoke_session_id IS NOT NULL")),
        Index("ix_photos_local_storage_path", "local_storage_path", unique=True),
        # Newer than the first release: `migrate.py` builds them, beside reads and writes.
        Index(
            "ix_photos_uploads",
            "sha256",
            unique=True,
            postgresql_where=text(UPLOADED),
            postgresql_concurrently=True,
        ),
        Index(
            "ix_photos_bytes",
            "sha256",
            postgresql_where=text("sha256 IS NOT NULL AND purged_at IS NULL"),
            postgresql_concurrently=True,
        ),
        Index(
            "ix_photos_pick",
            "pick",
            text("id DESC"),
            postgresql_where=text(f"pick IS NOT NULL AND {LIVE}"),
            postgresql_concurrently=True,
        ),
        Index(
            "ix_photos_large",
            text("id DESC"),
            postgresql_include=["large_bytes"],
            postgresql_where=text(HAS_LARGE),
            postgresql_concurrently=True,
        ),
        Index(
            "ix_photos_made_from",
            "source_image_id",
            "id",
            postgresql_where=text("source_image_id IS NOT NULL"),
            postgresql_concurrently=True,
        ),
        Index(
            "ix_photos_without_large",
            text("id DESC"),
            postgresql_where=text(LACKS_LARGE),
            postgresql_concurrently=True,
        ),
        Index(
            "ix_photos_gone",
            "backend_id",
            "last_retrieval_attempt",
            postgresql_where=text(GONE),
            postgresql_concurrently=True,
        ),
        Index("ix_photos_seed", "seed", postgresql_where=text("seed IS NOT NULL")),
        Index("ix_photos_tags", "tags", postgresql_using="gin"),
        Index("ix_photos_loras", "loras", postgresql_using="gin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """A UUIDv7 made from created_at."""
    filename: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes; null until home."""
    mime_type: Mapped[str]
    created_at: Mapped[datetime]
    """InvokeAI's own time for InvokeAI's images."""

    is_generated: Mapped[bool] = mapped_column(server_default=text("false"))
    generation_prompt: Mapped[str | None]
    generation_negative_prompt: Mapped[str | None]
    generation_params: Mapped[dict[str, Any] | None]
    """InvokeAI's metadata as it gives them. If it has none, those of the graph, with `taken_from`. Null above a
    megabyte."""
    params_summary: Mapped[dict[str, Any] | None]
    """The part that lists show. Null if there is none, and until the background pass has filled it (one background
    pass)."""
    source_image_id: Mapped[UUID | None] = mapped_column(ForeignKey("photos.id"))
    source: Mapped[str]

    invoke_id: Mapped[str | None]
    """InvokeAI's image name, a uuid4 (exactly once)."""
    backend_id: Mapped[UUID | None] = mapped_column(ForeignKey("backends.id", ondelete="SET NULL"))
    """The server to fetch it from. It is no part of the photo's identity."""
    invoke_session_id: Mapped[str | None]
    model_key: Mapped[str | None]
    model_hash: Mapped[str | None]
    model_name: Mapped[str | None]
    model_base: Mapped[str | None]
    loras: Mapped[list[str] | None]
    seed: Mapped[Decimal | None] = mapped_column(Numeric(20, 0))

    retrieval_status: Mapped[str] = mapped_column(server_default="pending")
    retrieval_attempts: Mapped[int] = mapped_column(server_default=text("0"))
    last_retrieval_attempt: Mapped[datetime | None]
    next_retrieval_attempt: Mapped[datetime | None] = mapped_column(server_default=func.now())
    """When it is due; null once final."""
    retrieval_claim: Mapped[UUID | None]
    """The worker's lease token. Every outcome is guarded by it (retrieval in the table)."""
    retrieval_lease_until: Mapped[datetime | None]
    retrieval_error: Mapped[str | None]
    missing_since: Mapped[datetime | None]
    """When InvokeAI first had no record of it while it had others; null again once it has one (retrieval in
    the table)."""

    local_storage_path: Mapped[str | None]
    """Relative to the data folder. Set when it is recorded; only a selection changes it."""
    local_thumbnail_path: Mapped[str | None]
    """Null if there is no thumbnail (undecodable, and InvokeAI had none)."""
    sha256: Mapped[str | None]
    """SHA-256 of the file that is home, or was: kept while a lost file is fetched again."""
    thumbnail_width: Mapped[int | None]
    """Width of the small rendition. Null, as is its height, for those of the first release: 300 px at their
    long side."""
    thumbnail_height: Mapped[int | None]
    large_bytes: Mapped[int | None]
    """Bytes of the large rendition; 0 if there can be none, null while it has not been made."""
    rendition_version: Mapped[int] = mapped_column(server_default=text("0"))
    """Part of the renditions' addresses. It rises when one of them is made again."""
    thumbhash: Mapped[str | None]
    """Base64."""
    damaged: Mapped[bool] = mapped_column(server_default=text("false"))
    """A JPEG that lacks only its end marker (whole upload or nothing)."""
    source_text: Mapped[str | None]
    """The beginning of the text inside of an upload, for the search."""
    derived: Mapped[int | None] = mapped_column(SmallInteger)
    """The version of the derivation (`photos/derive.py`); null before there were versions."""

    favorite: Mapped[bool] = mapped_column(server_default=text("false"))
    rating: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    pick: Mapped[str | None]
    caption: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    deleted_at: Mapped[datetime | None]
    """In the trash since then."""
    purged_at: Mapped[datetime | None]
    """A tombstone since then (trash)."""


class PhotoSearch(Base):
    """The words by which the search finds a photo (`library/search_text.py`), kept by `library/search_index.py`. It is
    a separate table: it is small enough to be read whole, and filling it rewrites no photo."""

    __tablename__ = "photo_search"
    __table_args__ = (
        Index("ix_photo_search_words", text(SEARCH_WORDS), postgresql_using="gin"),
        Index("ix_photo_search_name_id", "name_id", postgresql_where=text("name_id IS NOT NULL")),
    )

    photo_id: Mapped[UUID] = mapped_column(primary_key=True)
    """No foreign key, since that would lock each photo's row. A row without a photo has no effect."""
    words: Mapped[str] = mapped_column(Text(collation="C"))
    """The words of prompt, caption, tags, model, LoRAs and file name: each between spaces, and two spaces between two
    texts."""
    negative: Mapped[str] = mapped_column(Text(collation="C"))
    """The words of the negative prompt, each after a `-`."""
    model: Mapped[str] = mapped_column(Text(collation="C"))
    """The words of the model's name, each after a `+`."""
    name_id: Mapped[UUID | None]
    """A file name that is a UUID, as InvokeAI's are. It is not among the words: nobody searches a part of it."""


class SearchWord(Base):
    """Every word of the index, and how many photos have it."""

    __tablename__ = "search_words"
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    word: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    photos: Mapped[int] = mapped_column(BigInteger)
    newest: Mapped[int] = mapped_column(BigInteger)
    """The newest photo with it: the milliseconds that its id begins with."""
    oldest: Mapped[int] = mapped_column(BigInteger)


class PhotoCount(Base):
    """How many photos that are not purged a server has in a state: the sum of the rows of a key. Triggers on `photos`
    only ever add rows, so that no write of a photo waits for another; a task adds them together
    (`photo_counts.py`)."""

    __tablename__ = "photo_counts"

    number: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    backend_id: Mapped[UUID | None]
    """Null: photos of no server."""
    retrieval_status: Mapped[str]
    is_trashed: Mapped[bool]
    n: Mapped[int] = mapped_column(BigInteger)


class SearchChange(Base):
    """Photos whose words may have changed, written by a trigger on `photos`. Rows are only added and removed, so that
    no write of a photo waits for another."""

    __tablename__ = "search_changes"

    number: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    photo_id: Mapped[UUID]


class PhotoSource(Base):
    """The images that a photo was made from, as its metadata and graph name them."""

    __tablename__ = "photo_sources"
    __table_args__ = (
        Index("ix_photo_sources_image_name", "image_name"),
        Index(
            "ix_photo_sources_made_from",
            "source_photo_id",
            "photo_id",
            postgresql_where=text("source_photo_id IS NOT NULL"),
            postgresql_concurrently=True,
        ),
    )

    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    image_name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    """`init image`, `control`, `reference`, `mask`, `canvas`, or `image` if the role is not known."""
    source_photo_id: Mapped[UUID | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    """Null while no photo of that name is known."""


class UndoBatch(Base):
    """A batch of a bulk change: the photos that it changed, and their former values. Deleted once it is undone, or too
    old."""

    __tablename__ = "undo_batches"

    undo_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]
    value: Mapped[Any | None] = mapped_column(JSONB)
    made_at: Mapped[datetime]
    """The time of the whole change, also the `deleted_at` that it set."""
    photo_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    former: Mapped[list[Any]] = mapped_column(ARRAY(JSONB))
    """The former values of each photo; null if the action says it all."""


class Album(Base):
    __tablename__ = "albums"
    __table_args__ = (
        Index(
            "ix_albums_listed", text("updated_at DESC"), text("id DESC"), postgresql_where=text("deleted_at IS NULL")
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str | None]
    cover_photo_id: Mapped[UUID | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    """The chosen cover. It counts only while it is in the album and not in the trash."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Each change makes it later, even if the clock was set back."""
    deleted_at: Mapped[datetime | None]
    """Deleted since then. That can be undone for a day; then the row is removed."""
    photo_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Its photos that are not in the trash. Kept by triggers on `album_photo` and `photos`."""


class AlbumPhoto(Base):
    __tablename__ = "album_photo"
    __table_args__ = (Index("ix_album_photo_order", "album_id", "position", "photo_id"),)

    album_id: Mapped[UUID] = mapped_column(ForeignKey("albums.id", ondelete="CASCADE"), primary_key=True)
    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True, index=True)
    position: Mapped[int] = mapped_column(BigInteger)
    """Positions have room between two photos, for photos that are moved there."""
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AlbumCountChange(Base):
    """Photos of albums that a statement moved into the trash (-1) or out of it (+1). Triggers write and empty it within
    that statement."""

    __tablename__ = "album_count_changes"

    number: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    photo_id: Mapped[UUID]
    change: Mapped[int]


class GenerationSession(Base):
    __tablename__ = "generation_sessions"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    deleted_at: Mapped[datetime | None]


class GenerationStep(Base):
    __tablename__ = "generation_steps"
    __table_args__ = (
        UniqueConstraint("correlation_id"),
        CheckConstraint(one_of("status", STEP_STATUSES), name="status"),
        CheckConstraint("batch_size BETWEEN 1 AND 100", name="batch_size"),
        Index("ix_generation_steps_session", "session_id", "position"),
        Index(
            "ix_generation_steps_live",
            "backend_id",
            postgresql_where=text("status IN ('pending', 'processing') AND deleted_at IS NULL"),
        ),
        # Newer than the first release: `migrate.py` builds it, beside reads and writes.
        Index(
            "ix_generation_steps_model",
            "model_key",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
            postgresql_concurrently=True,
        ),
        Index(
            "ix_generation_steps_source",
            "source_photo_id",
            postgresql_where=text("source_photo_id IS NOT NULL"),
            postgresql_concurrently=True,
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    session_id: Mapped[UUID] = mapped_column(ForeignKey("generation_sessions.id"))
    parent_id: Mapped[UUID | None] = mapped_column(ForeignKey("generation_steps.id"), index=True)
    source_photo_id: Mapped[UUID | None] = mapped_column(ForeignKey("photos.id"))
    prompt: Mapped[str]
    negative_prompt: Mapped[str] = mapped_column(server_default="")
    parameters: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    model_key: Mapped[str]
    model_hash: Mapped[str]
    model_name: Mapped[str | None]
    backend_id: Mapped[UUID | None] = mapped_column(ForeignKey("backends.id", ondelete="SET NULL"))
    batch_id: Mapped[str | None]
    """Its latest batch."""
    correlation_id: Mapped[str | None]
    """The client's own key: posting the same again gives the existing step."""
    position: Mapped[int]
    batch_size: Mapped[int] = mapped_column(server_default=text("1"))
    status: Mapped[str] = mapped_column(server_default="pending")
    error_message: Mapped[str | None]
    selected_image_id: Mapped[UUID | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    selected_at: Mapped[datetime | None]
    cancel_requested_at: Mapped[datetime | None]
    cancel_taken: Mapped[bool | None]
    """InvokeAI has taken the owner's cancel, or the step ended since: what is retried there now is wanted."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    submitted_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]
    deleted_at: Mapped[datetime | None]


class StepBatch(Base):
    """One `enqueue_batch` of ours (idempotent submit): prepared → posted → enqueued | refused; back to prepared if it
    was certainly not sent. A batch with a source begins as waiting, until the photo is at its server (source is a
    photo)."""

    __tablename__ = "step_batches"
    __table_args__ = (
        CheckConstraint(one_of("state", BATCH_STATES), name="state"),
        CheckConstraint("cardinality(seeds) = wanted", name="a_seed_each"),
        Index("ix_step_batches_step", "step_id", "ordinal"),
        Index("ix_step_batches_backend", "backend_id", "ordinal"),
        Index("ix_step_batches_unsent", "backend_id", postgresql_where=text("state IN ('prepared', 'posted')")),
        # Newer than the first release: `migrate.py` builds it, beside reads and writes.
        Index(
            "ix_step_batches_waiting",
            "backend_id",
            postgresql_where=text("state = 'waiting'"),
            postgresql_concurrently=True,
        ),
    )

    batch_id: Mapped[str] = mapped_column(primary_key=True)
    step_id: Mapped[UUID] = mapped_column(ForeignKey("generation_steps.id"))
    backend_id: Mapped[UUID] = mapped_column(ForeignKey("backends.id", ondelete="CASCADE"))
    ordinal: Mapped[int] = mapped_column(Identity())
    """Order among batches; alternatives are positioned by it."""
    wanted: Mapped[int]
    enqueued: Mapped[int] = mapped_column(server_default=text("0"))
    seeds: Mapped[list[int]]
    state: Mapped[str] = mapped_column(server_default="prepared")
    source_image_name: Mapped[str | None]
    """The name of the step's source at this server (source is a photo); null while it waits, and without a source."""
    refusal: Mapped[str | None]
    """InvokeAI's words when refused."""
    posted_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    """When it was known whether InvokeAI took it; a reading begun before proves no absence (derived step status)."""
    lost_at: Mapped[datetime | None]
    """Given up after the time in which its answer is looked for (idempotent submit; state refused). If it turns up
    later it is canceled, and its saved images are filed here."""


class QueueItem(Base):
    """Our items of InvokeAI's queue. Item ids start again with a new InvokeAI database, so the key has the
    batch too."""

    __tablename__ = "queue_items"
    __table_args__ = (
        CheckConstraint(one_of("status", ITEM_STATUSES), name="status"),
        Index("ix_queue_items_step", "step_id"),
        Index("ix_queue_items_session", "invoke_session_id"),
        Index("ix_queue_items_unsettled", "batch_id", postgresql_where=text("settled_at IS NULL")),
    )

    batch_id: Mapped[str] = mapped_column(ForeignKey("step_batches.batch_id", ondelete="CASCADE"), primary_key=True)
    item_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    step_id: Mapped[UUID] = mapped_column(ForeignKey("generation_steps.id"))
    ordinal: Mapped[int | None]
    """k of `seeds[k]`; a retried item inherits it; null until known."""
    retried_from_item_id: Mapped[int | None] = mapped_column(BigInteger)
    invoke_session_id: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="pending")
    status_sequence: Mapped[int | None]
    error: Mapped[str | None]
    absent_since: Mapped[datetime | None]
    """The first reading that lacked it (derived step status)."""
    settled_at: Mapped[datetime | None]
    """When it had ended, was read once after that, and its last sighting was recorded (pure correlation)."""
    created_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class StepAlternative(Base):
    __tablename__ = "step_alternatives"
    __table_args__ = (UniqueConstraint("photo_id"), Index("ix_step_alternatives_order", "step_id", "position"))

    step_id: Mapped[UUID] = mapped_column(ForeignKey("generation_steps.id", ondelete="CASCADE"), primary_key=True)
    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    """The order: by batch, item ordinal, created_at; gaps allowed."""


class FileMove(Base):
    """A photo whose files may not be where its step's selection puts them (safe selection). Written in the transaction
    of the selection, and deleted once each file has the names that it should have, and no other."""

    __tablename__ = "file_moves"

    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    names: Mapped[list[str]]
    """All names that its original may have besides the one in its row. Those of the renditions follow from them."""
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Rises with each change of the wanted names: a move for an earlier version is not the last."""


class BackendUpload(Base):
    """Photos that we uploaded to InvokeAI. They are not mirrored back (gallery reading)."""

    __tablename__ = "backend_uploads"

    backend_id: Mapped[UUID] = mapped_column(ForeignKey("backends.id", ondelete="CASCADE"), primary_key=True)
    image_name: Mapped[str] = mapped_column(primary_key=True)
    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)


class SourceUpload(Base):
    """An upload of a photo to InvokeAI whose answer is not known yet (source is a photo). The row is written before it
    is sent. It is deleted once the image has its row in `backend_uploads`, or the upload certainly had no effect."""

    __tablename__ = "source_uploads"

    backend_id: Mapped[UUID] = mapped_column(ForeignKey("backends.id", ondelete="CASCADE"), primary_key=True)
    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True, index=True)
    token: Mapped[str]
    """Written into the metadata of the upload: the image is found by it."""
    file_size: Mapped[int] = mapped_column(BigInteger)
    """Bytes that were sent; the upload's time limit follows from them."""
    sent_at: Mapped[datetime] = mapped_column(server_default=func.now())


class Model(Base):
    __tablename__ = "models"

    backend_id: Mapped[UUID] = mapped_column(ForeignKey("backends.id", ondelete="CASCADE"), primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    hash: Mapped[str]
    name: Mapped[str]
    base: Mapped[str]
    type: Mapped[str]
    format: Mapped[str | None]
    variant: Mapped[str | None]
    submodels: Mapped[dict[str, Any] | None]
    expert: Mapped[str | None]
    latent_channels: Mapped[int | None]
    provider_id: Mapped[str | None]
    capabilities: Mapped[dict[str, Any] | None]
    description: Mapped[str | None]
    default_settings: Mapped[dict[str, Any] | None]
    trigger_phrases: Mapped[list[str] | None]
    seen_at: Mapped[datetime] = mapped_column(server_default=func.now())
    left_at: Mapped[datetime | None]
    """Since when the server does not have it. A LoRA is kept while photos name it, since no index tells which they
    name."""


class Setting(Base):
    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSONB)


class ApiToken(Base):
    __tablename__ = "api_tokens"

    id: Mapped[UUID] = mapped_column(primary_key=True)
    name: Mapped[str]
    token_hash: Mapped[str] = mapped_column(unique=True)
    """SHA-256 of the token; the token itself is shown once."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_used_at: Mapped[datetime | None]


class WebSession(Base):
    __tablename__ = "web_sessions"

    token_hash: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    expires_at: Mapped[datetime] = mapped_column(index=True)
