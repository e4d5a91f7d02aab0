"""Live roulette numbers and strategies from a RunCash Live server, exactly once and in order."""

from .client import Client, Refused
from .progress import Message, Progress

__all__ = ["Client", "Message", "Progress", "Refused"]
