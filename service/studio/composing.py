"""Makes the body of `enqueue_batch` from a step: its models as the backend has them, its parameters completed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from service.database.engine import Connection, Database
from service.errors import DarkroomError, ValidationError
from service.invokeai import graphs
from service.invokeai.events import ImageDTO
from service.models.cache import ModelCache
from service.models.rows import KnownModel, find_model, unfit, unsupported
from service.steps.batches import Batch
from service.steps.parameters import Parameters, complete, model_settings, with_defaults
from service.studio.source_rows import PURGED_SOURCE

WORK = """
    SELECT s.prompt, s.negative_prompt, s.parameters::text, s.model_key, s.model_hash, s.model_name,
           p.purged_at IS NOT NULL AS source_is_purged
      FROM generation_steps s LEFT JOIN photos p ON p.id = s.source_photo_id WHERE s.id = $1
"""
NAME = "SELECT name FROM models WHERE key = $1 AND type = 'lora' LIMIT 1"
"""The name of a LoRA that another server has, or that left this one."""
REMEMBER = "UPDATE generation_steps SET parameters = $2, model_name = coalesce(model_name, $3) WHERE id = $1"


class CannotCompose(DarkroomError):
    """The step cannot be made on this backend; the message is for the owner."""


class Work(msgspec.Struct, frozen=True):
    """What a step asks for."""

    prompt: str
    negative_prompt: str
    parameters: Parameters
    model_key: str
    model_hash: str
    model_name: str | None
    source_is_purged: bool


class Models(msgspec.Struct, frozen=True):
    """The models of a step, as its backend has them."""

    main: KnownModel
    vae: graphs.ModelRef | None
    loras: list[graphs.Lora]


async def compose(database: Database, cache: ModelCache, batch: Batch, source: ImageDTO | None) -> dict[str, Any]:
    """The body to send; `source` is the step's source as the backend has it. A model that is not in the cache is looked
    for once at InvokeAI itself. Raises `CannotCompose`, or an `InvokeError` when InvokeAI had to be asked and did not
    answer."""
    try:
        return await _compose(database, batch, source)
    except CannotCompose:
        await cache.refresh(batch.backend_id)
    return await _compose(database, batch, source)


async def _compose(database: Database, batch: Batch, source: ImageDTO | None) -> dict[str, Any]:
    async with database.connection() as connection:
        work = await read_work(connection, batch.step_id)
        if work.source_is_purged:
            raise CannotCompose(PURGED_SOURCE)
        models = await _find(connection, batch.backend_id, work)
        parameters = with_defaults(work.parameters, model_settings(models.main.default_settings), models.main.base)
        await connection.execute(REMEMBER, batch.step_id, msgspec.json.encode(parameters).decode(), models.main.name)
    try:
        return _body(batch, work, models, parameters, source)
    except ValidationError as error:
        raise CannotCompose(error.message) from error


def _body(batch: Batch, work: Work, models: Models, parameters: Parameters, source: ImageDTO | None) -> dict[str, Any]:
    settings = complete(parameters)
    return graphs.build(
        _reference(models.main),
        prompt=work.prompt,
        negative_prompt=work.negative_prompt,
        width=settings.width,
        height=settings.height,
        steps=settings.steps,
        cfg_scale=settings.cfg_scale,
        scheduler=settings.scheduler,
        seeds=batch.seeds,
        batch_id=batch.batch_id,
        step_id=batch.step_id,
        vae=models.vae,
        loras=models.loras,
        source=(
            None if source is None else graphs.Source(source.image_name, source.width, source.height, settings.strength)
        ),
    )


async def read_work(connection: Connection, step_id: UUID) -> Work:
    row = await connection.fetchrow(WORK, step_id)
    if row is None:
        raise CannotCompose("the step does not exist any more")
    return msgspec.convert(dict(row) | {"parameters": msgspec.json.decode(row["parameters"], type=Parameters)}, Work)


async def _find(connection: Connection, backend_id: UUID, work: Work) -> Models:
    main = await find_model(connection, backend_id, work.model_key, work.model_hash)
    if main is None:
        name = f"“{work.model_name}”" if work.model_name else f"with the key {work.model_key}"
        raise CannotCompose(f"this InvokeAI has no model {name}")
    if (objection := unsupported(main)) is not None:
        raise CannotCompose(objection)
    loras = []
    for lora in work.parameters.chosen_loras:
        found = await find_model(connection, backend_id, lora.key, type="lora")
        if found is None:
            name = await connection.fetchval(NAME, lora.key)
            raise CannotCompose("this InvokeAI has no LoRA " + (f"“{name}”" if name else f"with the key {lora.key}"))
        if (objection := unfit(found, main)) is not None:
            raise CannotCompose(objection)
        loras.append(graphs.Lora(_reference(found), lora.weight))
    vae_key = model_settings(main.default_settings).vae
    vae = await find_model(connection, backend_id, vae_key) if vae_key else None
    if vae is None or vae.type != "vae" or vae.base not in (main.base, "any"):
        return Models(main, None, loras)
    return Models(main, _reference(vae), loras)


def _reference(model: KnownModel) -> graphs.ModelRef:
    return graphs.ModelRef(key=model.key, hash=model.hash, name=model.name, base=model.base, type=model.type)
