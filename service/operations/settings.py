"""What the owner has set, what there is to say of each setting, and what the environment decides."""

from __future__ import annotations

from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody

from service.database.engine import Database
from service.live.announce import Announcer
from service.live.messages import Resource
from service.runtime_settings import Patch, RuntimeSettings, Setting, Values, described
from service.settings import Option, Settings


class SettingsDescribed(Resource, frozen=True):
    settings: list[Setting]
    """What may be changed while Darkroom runs, by `PATCH /settings`."""
    environment: list[Option]
    """What environment variables decide when it starts."""


@get("/api/v1/settings", operation_id="get_settings", tags=["operations"])
async def get_settings(runtime_settings: NamedDependency[RuntimeSettings]) -> Values:
    """What the owner may change while Darkroom runs."""
    return runtime_settings.current


@get("/api/v1/settings/described", operation_id="describe_settings", tags=["operations"])
async def describe_settings(
    runtime_settings: NamedDependency[RuntimeSettings], settings: NamedDependency[Settings]
) -> SettingsDescribed:
    """Each setting with its value, default, bounds and help; and the options that environment variables decide, without
    the values of those that are secret."""
    return SettingsDescribed(settings=described(runtime_settings.current), environment=settings.options())


@patch("/api/v1/settings", operation_id="update_settings", tags=["operations"])
async def update_settings(
    data: JSONBody[Patch],
    runtime_settings: NamedDependency[RuntimeSettings],
    database: NamedDependency[Database],
    announcer: NamedDependency[Announcer],
) -> Values:
    """Change what is given; it holds from the next use on."""
    changed = await runtime_settings.update(database, data)
    if changed:
        announcer.settings_updated(changed)
    return runtime_settings.current


routes = [get_settings, describe_settings, update_settings]
