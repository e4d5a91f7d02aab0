"""Follows tables by long-polling, with the standard library alone: one file, to be copied where nothing may be installed.

    for message in follow("http://127.0.0.1:5000", ["roulette:2010165"]):
        print(message)
"""

from __future__ import annotations

import http.client
import json
import random
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any, Dict, Iterator, Optional, Sequence

Message = Dict[str, Any]

EVENTS = frozenset({"new_number", "strategy_update", "number_corrected", "number_removed"})
#: Answers that repeating does not change.
FINAL = frozenset({400, 401, 403, 404, 405, 421})
#: How long the server may keep a poll, in seconds, and how much longer its answer may take.
WAIT_S = 25
GRACE_S = 15


class Refused(Exception):
    """The server refused, and repeating is of no use."""


def follow(url: str, topics: Sequence[str], token: Optional[str] = None, history: int = 20) -> Iterator[Message]:
    """Yields events, `snapshot` and `reset` messages for ever, each event once and in order. Raises Refused."""
    names = ["roulette:*" if topic == "*" else topic for topic in topics]
    query = {"topics": ",".join(urllib.parse.quote(name, safe="") for name in names), "history": str(history)}
    headers = {"Accept": "application/json", **({} if token is None else {"Authorization": f"Bearer {token}"})}
    place: Optional[str] = None
    failures, first = 0, True
    #: Per topic, the position of the last event or snapshot: a poll repeats what lies above the lowest of them.
    last: Dict[str, str] = {}
    epoch = ""
    while True:
        wait = 0 if first else WAIT_S
        pairs = [f"{key}={value}" for key, value in query.items()] + [f"wait={wait}"]
        if place is not None:
            pairs.append("after=" + urllib.parse.quote(place, safe=""))
        request = urllib.request.Request(f"{url.rstrip('/')}/poll?{'&'.join(pairs)}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=wait + GRACE_S) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            if error.code in FINAL:
                raise Refused(f"{error.code} {error.read().decode(errors='replace')}") from error
            failures = _wait(failures, error.headers.get("Retry-After"))
            continue
        except (OSError, http.client.HTTPException, ValueError):
            failures = _wait(failures, None)
            continue
        failures, first = 0, False
        place = answer["next"]
        for message in answer["frames"]:
            kind = message.get("type")
            if kind == "snapshot":
                if message["epoch"] != epoch:
                    last, epoch = {}, message["epoch"]
                last[message["topic"]] = message["position"]
                yield message
            elif kind == "reset":
                yield message
            elif kind in EVENTS and message["position"] > last.get(message["topic"], ""):
                last[message["topic"]] = message["position"]
                yield message


def _wait(failures: int, retry_after: Optional[str]) -> int:
    own_s = random.random() if failures == 0 else 0.25 + random.random() * min(15.0, 0.5 * 2**failures)
    asked_s = float(retry_after) if retry_after is not None and retry_after.isdigit() else 0.0
    time.sleep(max(own_s, asked_s))
    return failures + 1
