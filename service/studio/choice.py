"""Which backend makes a step, and what is known of its models there."""

from __future__ import annotations

from uuid import UUID

import msgspec

from service.database.engine import Connection
from service.errors import ValidationError
from service.invokeai import graphs
from service.studio.composing import unfit, unsupported
from service.studio.models import KnownModel, find_model
from service.studio.parameters import Parameters, checked, model_settings, with_defaults
from service.studio.schemas import StepCreate

# Enabled before disabled, whoever has the model first, among those the environment's, then the oldest.
BACKEND = """
    SELECT b.id FROM backends b
     ORDER BY b.enabled DESC,
              EXISTS (SELECT FROM models m WHERE m.backend_id = b.id
                         AND m.left_at IS NULL
                         AND (m.key = $1 OR (m.hash = $2 AND m.type = 'main'))) DESC,
              b.id = (SELECT (value->>'backend_id')::uuid FROM settings WHERE key = 'environment_backend')
                  DESC NULLS LAST,
              b.created_at, b.id
     LIMIT 1
"""
HOLD = "SELECT FROM backends WHERE id = $1 FOR KEY SHARE"
HOLD_ITS_OWN = "SELECT FROM backends WHERE id = (SELECT backend_id FROM generation_steps WHERE id = $1) FOR KEY SHARE"


class Choice(msgspec.Struct, frozen=True):
    """`parameters` have a seed, and every default where the model is known already."""

    backend_id: UUID
    parameters: Parameters
    model_name: str | None


async def choose(connection: Connection, asked: StepCreate) -> Choice:
    """Raises `ValidationError` for what can be known to be wrong now. A model not in the cache may be InvokeAI's
    newest, so the step stays pending and InvokeAI is asked when it is sent."""
    backend_id = asked.backend_id
    if backend_id is None:
        backend_id = await default_backend(connection, asked.model_key, asked.model_hash)
    elif not await hold(connection, backend_id):
        raise ValidationError("backend_id: there is no such backend")
    parameters = checked(asked.parameters)
    model = await find_model(connection, backend_id, asked.model_key, asked.model_hash)
    if model is None:
        return Choice(backend_id, parameters, asked.model_name)
    if model.type != "main" or model.base not in graphs.SUPPORTED_BASES:
        raise ValidationError(f"model_key: {unsupported(model)}")
    await _check_loras(connection, backend_id, parameters, model)
    settings = model_settings(model.default_settings)
    return Choice(backend_id, with_defaults(parameters, settings, model.base), model.name)


async def default_backend(connection: Connection, key: str, hash: str) -> UUID:
    """The environment's backend, else the oldest enabled one that has the model; a disabled one only where there is no
    other. `ValidationError` when there is none at all."""
    while (row := await connection.fetchrow(BACKEND, key, hash)) is not None:
        backend_id: UUID = row["id"]
        if await hold(connection, backend_id):
            return backend_id
    raise ValidationError("backend_id: there is no backend; add one first")


async def hold(connection: Connection, backend_id: UUID) -> bool:
    """Keeps the backend from being removed until this transaction ends: a removal then finds what was begun there.
    False when it is gone."""
    return await connection.fetchrow(HOLD, backend_id) is not None


async def hold_its_own(connection: Connection, step_id: UUID) -> None:
    """As `hold`, the backend a step has; before the step is locked, for a removal goes from backend to steps."""
    await connection.execute(HOLD_ITS_OWN, step_id)


async def _check_loras(connection: Connection, backend_id: UUID, parameters: Parameters, model: KnownModel) -> None:
    for lora in [] if isinstance(parameters.loras, msgspec.UnsetType) else parameters.loras:
        found = await find_model(connection, backend_id, lora.key, type="lora")
        if found is not None and (found.type != "lora" or found.base != model.base):
            raise ValidationError(f"parameters.loras: {unfit(found, model)}")
