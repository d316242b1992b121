"""A demo InvokeAI: the real wire protocol, with pictures drawn instead of generated. Clearly labelled as a demo."""

from service.demo.server import DemoServer

__all__ = ["DemoServer"]
