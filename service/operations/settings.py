"""REST routes of the settings that change at run time, and a description of all settings."""

from __future__ import annotations

from litestar import get, patch
from litestar.di import NamedDependency
from litestar.params import JSONBody

from service.bus.bus import Bus
from service.bus.live_state import Resource
from service.config.runtime_settings import Patch, RuntimeSettings, Setting, Values, described
from service.config.settings import Option, Settings
from service.database.engine import Database


class SettingsDescribed(Resource, frozen=True):
    settings: list[Setting]
    """Settings that `PATCH /settings` changes while Darkroom runs."""
    environment: list[Option]
    """Settings that environment variables decide at start."""


@get("/api/v1/settings", operation_id="get_settings", tags=["operations"])
async def get_settings(runtime_settings: NamedDependency[RuntimeSettings]) -> Values:
    """Get the settings that can be changed while Darkroom runs."""
    return runtime_settings.current


@get("/api/v1/settings/described", operation_id="describe_settings", tags=["operations"])
async def describe_settings(
    runtime_settings: NamedDependency[RuntimeSettings], settings: NamedDependency[Settings]
) -> SettingsDescribed:
    """Describe all settings: value, default, bounds and help of each; and the environment variables, without secret
    values."""
    return SettingsDescribed(settings=described(runtime_settings.current), environment=settings.options())


@patch("/api/v1/settings", operation_id="update_settings", tags=["operations"])
async def update_settings(
    data: JSONBody[Patch],
    runtime_settings: NamedDependency[RuntimeSettings],
    database: NamedDependency[Database],
    bus: NamedDependency[Bus],
) -> Values:
    """Change the fields that are given. They apply from the next use on."""
    changed = await runtime_settings.update(database, data)
    if changed:
        bus.settings_changed(changed)
    return runtime_settings.current


routes = [get_settings, describe_settings, update_settings]
