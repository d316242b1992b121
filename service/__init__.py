"""Darkroom: the live photo gallery for InvokeAI."""

VERSION = "0.1.0"
