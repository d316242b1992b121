"""A scripted InvokeAI for tests: the demo server, plus every trouble a real one can make."""

from tests.fakes import answers, batches
from tests.fakes.multiuser import Account, MultiUser
from tests.fakes.rules import EventRule, RouteRule
from tests.fakes.scripted import Hold, ScriptedInvokeAI

__all__ = ["Account", "EventRule", "Hold", "MultiUser", "RouteRule", "ScriptedInvokeAI", "answers", "batches"]
