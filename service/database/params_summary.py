"""SQL for the summary of `photos.generation_params` that lists show.

It is for photos from before its column; the background pass fills that (one background pass).
"""

from __future__ import annotations

from typing import Final

from service.media.metadata.parameters import DECIMALS, LARGEST_NUMBER, LONGEST_SCHEDULER, MAX_KEPT

LONGEST_TEXT: Final = 2 * MAX_KEPT
"""Bytes of metadata as PostgreSQL writes them, with spaces. Rows from before there was a bound may have more."""
SMALL: Final = 4_000
"""Bytes as stored, up to which metadata are read for a list: a page of them takes a few milliseconds."""


def summary(params: str = "generation_params") -> str:
    """The summary as jsonb; null if there are no metadata."""
    numbers = ", ".join(_number(params, name) for name in ("steps", "cfg_scale", "strength"))
    return f"""CASE WHEN {params} IS NOT NULL THEN jsonb_build_object({numbers}, 'scheduler',
        CASE WHEN jsonb_typeof({params}->'scheduler') = 'string'
             THEN left({params}->>'scheduler', {LONGEST_SCHEDULER}) END) END"""


def _number(params: str, name: str) -> str:
    value = f"({params}->'{name}')"
    # Rounded, since it may have thousands of digits. CASE prevents a cast of values that are no numbers.
    return f"""'{name}', CASE WHEN jsonb_typeof({value}) = 'number' THEN
        CASE WHEN abs({value}::numeric) < {LARGEST_NUMBER} THEN round({value}::numeric, {DECIMALS})::float8 END END"""


def kept(params: str = "generation_params") -> str:
    """The metadata; null if they are too long to be stored."""
    return f"""CASE WHEN pg_column_size({params}) <= {SMALL} OR octet_length({params}::text) <= {LONGEST_TEXT}
        THEN {params} END"""


LISTED: Final = f"coalesce(params_summary, CASE WHEN pg_column_size(generation_params) < {SMALL} THEN {summary()} END)"
"""The summary in lists: large metadata are not read for it."""
