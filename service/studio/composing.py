"""From a step to the body of `enqueue_batch`: its models found on the backend, its parameters completed."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec

from service.database.engine import Connection, Database
from service.errors import DarkroomError, ValidationError
from service.invokeai import graphs
from service.studio.batches import Batch
from service.studio.models import KnownModel, ModelCache, find_model
from service.studio.parameters import Parameters, complete, model_settings, with_defaults

WORK = """
    SELECT prompt, negative_prompt, parameters::text, model_key, model_hash, model_name
      FROM generation_steps WHERE id = $1
"""
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


class Models(msgspec.Struct, frozen=True):
    """The models of a step, as its backend has them."""

    main: KnownModel
    vae: KnownModel | None
    loras: list[KnownModel]


async def compose(database: Database, cache: ModelCache, batch: Batch) -> dict[str, Any]:
    """The body to send. A model that is not in the cache is looked for once at InvokeAI itself. Raises `CannotCompose`,
    or an `InvokeError` when InvokeAI had to be asked and did not answer."""
    try:
        return await _compose(database, batch)
    except CannotCompose:
        await cache.refresh(batch.backend_id)
    return await _compose(database, batch)


async def _compose(database: Database, batch: Batch) -> dict[str, Any]:
    async with database.connection() as connection:
        work = await read_work(connection, batch.step_id)
        models = await _find(connection, batch.backend_id, work)
        parameters = with_defaults(work.parameters, model_settings(models.main.default_settings), models.main.base)
        await connection.execute(REMEMBER, batch.step_id, msgspec.json.encode(parameters).decode(), models.main.name)
    try:
        return _body(batch, work, models, parameters)
    except ValidationError as error:
        raise CannotCompose(error.message) from error


def _body(batch: Batch, work: Work, models: Models, parameters: Parameters) -> dict[str, Any]:
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
        vae=None if models.vae is None else _reference(models.vae),
        loras=[
            graphs.Lora(_reference(model), lora.weight)
            for model, lora in zip(models.loras, settings.loras, strict=True)
        ],
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
    if main.type != "main" or main.base not in graphs.SUPPORTED_BASES:
        raise CannotCompose(unsupported(main))
    loras = []
    for lora in [] if isinstance(work.parameters.loras, msgspec.UnsetType) else work.parameters.loras:
        found = await find_model(connection, backend_id, lora.key, type="lora")
        if found is None:
            raise CannotCompose(f"this InvokeAI has no LoRA with the key {lora.key}")
        if found.type != "lora" or found.base != main.base:
            raise CannotCompose(unfit(found, main))
        loras.append(found)
    vae_key = model_settings(main.default_settings).vae
    vae = await find_model(connection, backend_id, vae_key) if vae_key else None
    if vae is not None and (vae.type != "vae" or vae.base not in (main.base, "any")):
        vae = None
    return Models(main, vae, loras)


def unsupported(model: KnownModel) -> str:
    """Why a model cannot be generated with."""
    if model.type != "main":
        return f"“{model.name}” is not a main model but of type {model.type}"
    bases = ", ".join(sorted(graphs.SUPPORTED_BASES))
    return f"“{model.name}” is a {model.base} model; Darkroom generates with {bases}"


def unfit(lora: KnownModel, main: KnownModel) -> str:
    """Why a LoRA does not go with a model (InvokeAI itself would fail without a word)."""
    if lora.type != "lora":
        return f"“{lora.name}” is not a LoRA but of type {lora.type}"
    return f"the LoRA “{lora.name}” is for {lora.base} models; “{main.name}” is {main.base}"


def _reference(model: KnownModel) -> graphs.ModelRef:
    return graphs.ModelRef(key=model.key, hash=model.hash, name=model.name, base=model.base, type=model.type)
