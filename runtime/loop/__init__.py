"""A control loop that must not stop: NumPy and the standard library only.

``observe()`` gives a raw observation, ``apply(action)`` takes an action, a runner lies between, and
whatever fails of the three has one answer, which is in a table: ``docs/control-loop.md``.
"""

from dspctl.runtime.loop.control import ControlLoop
from dspctl.runtime.loop.event_log import EventLog
from dspctl.runtime.loop.preparing import prepare
from dspctl.runtime.loop.reader import Reader
from dspctl.runtime.loop.records import KINDS, Event, LogAccount, LoopSettings, Summary

__all__ = [
    "KINDS",
    "ControlLoop",
    "Event",
    "EventLog",
    "LogAccount",
    "LoopSettings",
    "Reader",
    "Summary",
    "prepare",
]
