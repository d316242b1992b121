"""The whole schema. Times are timestamptz in UTC; ids are UUIDv7, so id order is time order."""

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
BATCH_STATES = ("prepared", "posted", "enqueued", "refused")
ITEM_STATUSES = ("pending", "in_progress", "waiting", "completed", "failed", "canceled", "gone")
PHOTO_SOURCES = ("uploaded", "generated", "mirrored", "imported")

LIVE = "deleted_at IS NULL AND purged_at IS NULL"
"""A photo in the library: neither in the trash nor a tombstone (rule 11)."""

WAITING = "retrieval_status = 'pending' AND purged_at IS NULL"
"""A photo that retrieval may claim once it is due (rule 9)."""

SEARCH_WORDS = "array_remove(string_to_array((words || negative) || model, ' '::text), ''::text)"
"""All words of a row of `photo_search`, as they are indexed."""
UPLOADED = "source = 'uploaded' AND purged_at IS NULL AND sha256 IS NOT NULL"
"""An upload, whose bytes nothing else that was uploaded may have (rule 12)."""
HAS_LARGE = "large_bytes > 0 AND purged_at IS NULL"
LACKS_LARGE = (
    "large_bytes IS NULL AND local_thumbnail_path IS NOT NULL AND retrieval_status = 'completed' AND purged_at IS NULL"
)
"""A photo whose large rendition may be made (rule 12)."""


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
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    mirror: Mapped[str] = mapped_column(server_default="all")
    version: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    last_seen_at: Mapped[datetime | None]
    gallery_watermark: Mapped[datetime | None]
    """InvokeAI's clock (rule 6)."""
    recognised_url: Mapped[str | None]
    """Where its server was last recognised (rule 19)."""
    identity_since: Mapped[datetime | None]
    """When the owner said that the server at this address is the same one, moved or emptied; null again once an image
    or a batch has been recorded from there."""
    gone_seen_at: Mapped[datetime | None]
    """When the owner last said that the images that are gone there were seen (rule 19)."""
    gallery_beginning: Mapped[datetime | None]
    """When it was added, on InvokeAI's clock; null until InvokeAI told its time. Older images come by Import."""
    gallery_older: Mapped[list[str] | None]
    """The newest of the images that were there before, by name; null until the gallery was read."""


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
        # Claims look backend by backend, so that what waits for an unreachable one costs the others nothing.
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
        Index("ix_photos_descent", "source_image_id", postgresql_where=text("source_image_id IS NOT NULL")),
        Index("ix_photos_local_storage_path", "local_storage_path", unique=True),
        # Later than the first release: `migrate.py` builds them, beside reads and writes.
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
            "ix_photos_without_large",
            text("id DESC"),
            postgresql_where=text(LACKS_LARGE),
            postgresql_concurrently=True,
        ),
        Index("ix_photos_seed", "seed", postgresql_where=text("seed IS NOT NULL")),
        Index("ix_photos_tags", "tags", postgresql_using="gin"),
        Index("ix_photos_loras", "loras", postgresql_using="gin"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    """UUIDv7 minted from created_at."""
    filename: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    file_size: Mapped[int | None] = mapped_column(BigInteger)
    """Bytes; null until home."""
    mime_type: Mapped[str]
    created_at: Mapped[datetime]
    """InvokeAI's own for what InvokeAI made."""

    is_generated: Mapped[bool] = mapped_column(server_default=text("false"))
    generation_prompt: Mapped[str | None]
    generation_negative_prompt: Mapped[str | None]
    generation_params: Mapped[dict[str, Any] | None]
    """InvokeAI's metadata as it gives it; where it has none, what the graph tells, with `taken_from`."""
    source_image_id: Mapped[UUID | None] = mapped_column(ForeignKey("photos.id"))
    source: Mapped[str]

    invoke_id: Mapped[str | None]
    """InvokeAI's image name, a uuid4 (rule 5)."""
    backend_id: Mapped[UUID | None] = mapped_column(ForeignKey("backends.id", ondelete="SET NULL"))
    """Where to fetch it; not identity."""
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
    """The worker's lease token; every outcome is guarded by it (rule 9)."""
    retrieval_lease_until: Mapped[datetime | None]
    retrieval_error: Mapped[str | None]
    missing_since: Mapped[datetime | None]
    """When InvokeAI first had no record of it while it had others; null again once it has one (rule 9)."""

    local_storage_path: Mapped[str | None]
    """Relative to the data folder; fixed when recorded, changed only by selection."""
    local_thumbnail_path: Mapped[str | None]
    """Null where there is no thumbnail (undecodable, and InvokeAI had none)."""
    sha256: Mapped[str | None]
    """Of the file that is home, or that was: kept while a lost file is fetched again."""
    thumbnail_width: Mapped[int | None]
    """Of the small rendition; null, as is its height, for those of the first release: 300 px at their long side."""
    thumbnail_height: Mapped[int | None]
    large_bytes: Mapped[int | None]
    """Size of the large rendition's file; 0 where there can be none, null while it has not been made."""
    rendition_version: Mapped[int] = mapped_column(server_default=text("0"))
    """Stands in their addresses, and rises when one of them is made again."""
    thumbhash: Mapped[str | None]
    """Base64."""
    damaged: Mapped[bool] = mapped_column(server_default=text("false"))
    """A JPEG that lacks its end marker only, and was taken all the same (rule 12)."""
    source_text: Mapped[str | None]
    """The beginning of the text inside of an upload, for the search."""
    derived: Mapped[int | None] = mapped_column(SmallInteger)
    """The version of what was derived from the file (`retrieval/derive.py`); null before there were versions."""

    favorite: Mapped[bool] = mapped_column(server_default=text("false"))
    rating: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    pick: Mapped[str | None]
    caption: Mapped[str | None]
    tags: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    deleted_at: Mapped[datetime | None]
    """In the trash since."""
    purged_at: Mapped[datetime | None]
    """A tombstone since (rule 11)."""


class PhotoSearch(Base):
    """The words that a photo is found by (`library/search_text.py`), kept by `library/search_index.py`. A table of its
    own: it is small enough to be walked, and filling it rewrites no photo."""

    __tablename__ = "photo_search"
    __table_args__ = (
        Index("ix_photo_search_words", text(SEARCH_WORDS), postgresql_using="gin"),
        Index("ix_photo_search_name_id", "name_id", postgresql_where=text("name_id IS NOT NULL")),
    )

    photo_id: Mapped[UUID] = mapped_column(primary_key=True)
    """No foreign key: it would lock each photo's row. A row without a photo is found by nobody."""
    words: Mapped[str] = mapped_column(Text(collation="C"))
    """Of prompt, caption, tags, model, LoRAs and file name: each between spaces, and two spaces between two texts."""
    negative: Mapped[str] = mapped_column(Text(collation="C"))
    """Of the negative prompt, each word behind a `-`."""
    model: Mapped[str] = mapped_column(Text(collation="C"))
    """Of the model's name, each word behind a `+`."""
    name_id: Mapped[UUID | None]
    """A file name that is a UUID, as InvokeAI's are. It is not among the words: nobody looks for a part of it."""


class SearchWord(Base):
    """Every word of the index, as it stands there, and how many photos have it."""

    __tablename__ = "search_words"
    __table_args__ = ({"postgresql_with": {"fillfactor": 70}},)

    word: Mapped[str] = mapped_column(Text(collation="C"), primary_key=True)
    photos: Mapped[int] = mapped_column(BigInteger)
    newest: Mapped[int] = mapped_column(BigInteger)
    """No photo with it is younger: the milliseconds that its id begins with."""
    oldest: Mapped[int] = mapped_column(BigInteger)


class SearchChange(Base):
    """Photos whose words may have changed, written by a trigger on `photos`. Only ever added to and taken from, so that
    no write of a photo waits for another."""

    __tablename__ = "search_changes"

    number: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    photo_id: Mapped[UUID]


class PhotoSource(Base):
    """The images that a photo was made from, as its metadata and graph name them."""

    __tablename__ = "photo_sources"
    __table_args__ = (
        Index("ix_photo_sources_image_name", "image_name"),
        Index("ix_photo_sources_source", "source_photo_id", postgresql_where=text("source_photo_id IS NOT NULL")),
    )

    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    image_name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(primary_key=True)
    """`init image`, `control`, `reference`, `mask`, `canvas`, or `image` where the role cannot be told."""
    source_photo_id: Mapped[UUID | None] = mapped_column(ForeignKey("photos.id", ondelete="SET NULL"))
    """Null while no photo of that name is known."""


class UndoBatch(Base):
    """A batch of a bulk change: the photos that it changed, and what they were. Gone once it is undone, and in time."""

    __tablename__ = "undo_batches"

    undo_id: Mapped[UUID] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True)
    action: Mapped[str]
    value: Mapped[Any | None] = mapped_column(JSONB)
    made_at: Mapped[datetime]
    """Of the whole change; also the `deleted_at` that it gave."""
    photo_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid))
    former: Mapped[list[Any]] = mapped_column(ARRAY(JSONB))
    """Of each photo; null where the action says it all."""


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
    """As it was chosen. It is the cover only while it is in the album and not in the trash."""
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())
    updated_at: Mapped[datetime] = mapped_column(server_default=func.now())
    """Each change makes it later, also when the clock was set back."""
    deleted_at: Mapped[datetime | None]
    """Its deletion can be undone for a day; then the row goes."""
    photo_count: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Of its photos those that are not in the trash. Kept by triggers on `album_photo` and `photos`."""


class AlbumPhoto(Base):
    __tablename__ = "album_photo"
    __table_args__ = (Index("ix_album_photo_order", "album_id", "position", "photo_id"),)

    album_id: Mapped[UUID] = mapped_column(ForeignKey("albums.id", ondelete="CASCADE"), primary_key=True)
    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True, index=True)
    position: Mapped[int] = mapped_column(BigInteger)
    """With room between two, for what is moved there."""
    added_at: Mapped[datetime] = mapped_column(server_default=func.now())


class AlbumCountChange(Base):
    """Photos of albums that a statement took into the trash (-1) or out of it (+1). Triggers write and empty it within
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
        # Later than the first release: `migrate.py` builds it, beside reads and writes.
        Index(
            "ix_generation_steps_model",
            "model_key",
            "id",
            postgresql_where=text("deleted_at IS NULL"),
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
    """The latest of its batches."""
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
    """One `enqueue_batch` of ours (rule 7): prepared → posted → enqueued | refused; back when certainly unsent."""

    __tablename__ = "step_batches"
    __table_args__ = (
        CheckConstraint(one_of("state", BATCH_STATES), name="state"),
        CheckConstraint("cardinality(seeds) = wanted", name="a_seed_each"),
        Index("ix_step_batches_step", "step_id", "ordinal"),
        Index("ix_step_batches_backend", "backend_id", "ordinal"),
        Index("ix_step_batches_unsent", "backend_id", postgresql_where=text("state IN ('prepared', 'posted')")),
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
    refusal: Mapped[str | None]
    """InvokeAI's words when refused."""
    posted_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    """When its fate was known; a reading begun before proves no absence (rule 8)."""
    lost_at: Mapped[datetime | None]
    """Given up after rule 7's window (state refused); arriving later it is canceled, and what it saved filed here."""


class QueueItem(Base):
    """InvokeAI's queue items of ours; item ids restart with a new InvokeAI database, so the key has the batch too."""

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
    """The first reading that lacked it (rule 8)."""
    settled_at: Mapped[datetime | None]
    """Ended, read once after it ended, and its last sighting recorded (rule 3)."""
    created_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    completed_at: Mapped[datetime | None]


class StepAlternative(Base):
    __tablename__ = "step_alternatives"
    __table_args__ = (UniqueConstraint("photo_id"), Index("ix_step_alternatives_order", "step_id", "position"))

    step_id: Mapped[UUID] = mapped_column(ForeignKey("generation_steps.id", ondelete="CASCADE"), primary_key=True)
    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
    """By batch, item ordinal, created_at; gaps allowed."""


class FileMove(Base):
    """A photo whose files are to be where its step's selection puts them, and are not, or may not be (rule 13). Written
    with what makes it so, and gone once each file has the names that it should have, and no other."""

    __tablename__ = "file_moves"

    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), primary_key=True)
    names: Mapped[list[str]]
    """All that its original may have besides the one in its row; those of the renditions follow from them."""
    version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Rises with each change of what is to be: who moved the files by an earlier one is not done."""


class BackendUpload(Base):
    """Photos of ours that we uploaded to InvokeAI: not mirrored back (rule 6)."""

    __tablename__ = "backend_uploads"

    backend_id: Mapped[UUID] = mapped_column(ForeignKey("backends.id", ondelete="CASCADE"), primary_key=True)
    image_name: Mapped[str] = mapped_column(primary_key=True)
    photo_id: Mapped[UUID] = mapped_column(ForeignKey("photos.id", ondelete="CASCADE"), index=True)


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
    """Since when the server has it no more: a LoRA is kept while photos name it, for no index tells which they name."""


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
