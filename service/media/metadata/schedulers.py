"""Names of samplers in other programs, and InvokeAI's scheduler for each."""

from __future__ import annotations

import re

# Samplers without spaces, dashes and underscores, `++` as `pp`.
SAMPLERS = {
    "euler": "euler",
    "eulera": "euler_a",
    "eulerancestral": "euler_a",
    "heun": "heun",
    "lms": "lms",
    "dpm2": "kdpm_2",
    "dpm2a": "kdpm_2_a",
    "dpm2ancestral": "kdpm_2_a",
    "dpmpp2m": "dpmpp_2m",
    "dpmpp2msde": "dpmpp_2m_sde",
    "dpmppsde": "dpmpp_sde",
    "ddim": "ddim",
    "ddpm": "ddpm",
    "plms": "pndm",
    "pndm": "pndm",
    "unipc": "unipc",
    "deis": "deis",
    "ersde": "er_sde",
    "lcm": "lcm",
    "tcd": "tcd",
}
WITH_KARRAS = {"euler", "heun", "lms", "kdpm_2", "kdpm_2_a", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "unipc", "deis"}
"""Schedulers that InvokeAI has also with Karras' noise, as `…_k`."""
PLAIN_SCHEDULES = {"", "automatic", "normal", "simple", "default", "native", "uniform", "none", "null", "undefined"}
INVOKEAI = {*SAMPLERS.values(), *(f"{name}_k" for name in WITH_KARRAS)}
OTHERS = {"dpmpp_2s", "dpmpp_2s_k", "dpmpp_3m", "dpmpp_3m_k"}
"""Schedulers of InvokeAI with no other name in another program."""
KARRAS = " karras"


def invokeai_scheduler(sampler: str, schedule: str = "") -> str | None:
    """InvokeAI's scheduler for the sampler. If there is none, the program's own words; None if it has none."""
    sampler, schedule = sampler.strip()[:100], schedule.strip()[:100]
    if sampler in INVOKEAI or sampler in OTHERS:
        known = sampler
    else:
        name = sampler.lower()
        if name.endswith(KARRAS):
            name, schedule = name.removesuffix(KARRAS), schedule or "karras"
        squeezed = re.sub(r"[\s_-]+", "", name.removeprefix("k_").replace("++", "pp")).removesuffix("gpu")
        known = SAMPLERS.get(squeezed, "")
    if schedule.lower() == "karras" and known in WITH_KARRAS:
        return f"{known}_k"
    if known and schedule.lower() in PLAIN_SCHEDULES:
        return known
    return " ".join(part for part in (sampler, schedule) if part) or None
