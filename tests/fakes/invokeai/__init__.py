"""A stand-in for InvokeAI 6.14.2: the demo's server with the whole wire, which is compared with recordings."""
