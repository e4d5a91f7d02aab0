"""A client over WebSocket, for asyncio."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any, AsyncGenerator, AsyncIterator, Awaitable, Callable, Dict, List, Optional, Sequence, Set, Union
from urllib.parse import urlsplit, urlunsplit

import websockets

from .progress import ALL_TABLES, EVENTS, Message, Progress

Token = Union[None, str, Callable[[], Union[str, Awaitable[str]]]]

#: How long an answer to a ping may take, in seconds. One is sent after a silence of the server's ping interval.
GRACE_S = 10.0
#: A connection that lasted so long lets the next loss count as the first again.
STABLE_S = 10.0
#: The server holds a subscribe at most 5 s; while it is still starting, longer.
ANSWER_S = 60.0
#: What one topic takes of a frame, generously.
TOPIC_BYTES = 128


class Refused(Exception):
    """The server refused, and repeating is of no use; `code` is a close code, an HTTP status or an error code."""

    def __init__(self, code: Union[int, str], reason: str) -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code


class _Lost(Exception):
    """The connection is gone; come back after `retry_s`, or when the client thinks fit."""

    def __init__(self, reason: str, retry_s: Optional[float] = None) -> None:
        super().__init__(reason)
        self.retry_s = retry_s


def socket_address(url: str) -> str:
    """`ws(s)://host/prefix/ws` of any address that people write for a server. Raises ValueError."""
    scheme, host, path, _, _ = urlsplit(url)
    if scheme not in ("http", "https", "ws", "wss") or not host:
        raise ValueError(f"no address of a server: {url}")
    path = path.rstrip("/")
    return urlunsplit((scheme.replace("http", "ws"), host, path if path.endswith("/ws") else path + "/ws", "", ""))


class Client:
    """Follows topics for as long as it is iterated: `async for message in client`."""

    def __init__(self, url: str, topics: Sequence[str], token: Token = None, history: int = 20) -> None:
        self._address = socket_address(url)
        self._wanted = ["roulette:*" if topic == "*" else topic for topic in topics]
        self._token = token
        self._history = history
        self._progress = Progress()
        self._messages: Optional[AsyncGenerator[Message, None]] = None
        #: Connections after the first.
        self.reconnects = -1

    @property
    def positions(self) -> Dict[str, str]:
        """Where every topic is."""
        return {name: topic.position for name, topic in self._progress.topics.items()}

    async def __aenter__(self) -> "Client":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends the connection and the iteration."""
        if self._messages is not None:
            await self._messages.aclose()

    def __aiter__(self) -> AsyncIterator[Message]:
        self._messages = self._follow()
        return self._messages

    async def _fresh_token(self) -> Optional[str]:
        token = self._token() if callable(self._token) else self._token
        return token if token is None or isinstance(token, str) else await token

    async def _follow(self) -> AsyncGenerator[Message, None]:
        loop = asyncio.get_running_loop()
        attempt = 0
        while True:
            began = loop.time()
            retry_s: Optional[float] = None
            try:
                token = await self._fresh_token()
                headers = {} if token is None else {"Authorization": f"Bearer {token}"}
                async with websockets.connect(
                    self._address, open_timeout=10, ping_interval=None, close_timeout=1, max_size=2**24, **_headers(headers)
                ) as socket:
                    self.reconnects += 1
                    async for message in self._session(socket):
                        yield message
            except websockets.exceptions.InvalidStatusCode as error:
                status = error.status_code
                if status in (400, 401, 403, 404, 405, 421):
                    raise Refused(status, "the server refused the connection") from error
            except websockets.exceptions.ConnectionClosed as error:
                code = 1006 if error.rcvd is None else error.rcvd.code
                if 4000 <= code < 4100:
                    raise Refused(code, "" if error.rcvd is None else error.rcvd.reason) from error
            except _Lost as error:
                retry_s = error.retry_s
            except (OSError, asyncio.TimeoutError, websockets.exceptions.WebSocketException):
                # The network: tried again below.
                pass
            attempt = 0 if loop.time() - began > STABLE_S else attempt + 1
            own_s = random.random() if attempt <= 1 else 0.25 + random.random() * min(15.0, 0.5 * 2**attempt)
            await asyncio.sleep(own_s if retry_s is None else max(retry_s, own_s if attempt > 1 else 0.0))

    async def _session(self, socket: Any) -> AsyncIterator[Message]:
        """One connection, from `hello` to its end."""
        session = _Session(self._progress, self._wanted, self._history)
        #: How long a silence may last before it is asked whether anybody is there; None: it is not asked.
        quiet_s: Optional[float] = None
        patience_s = GRACE_S
        farewell: Optional[_Lost] = None
        while True:
            try:
                text = await asyncio.wait_for(socket.recv(), quiet_s or patience_s)
            except asyncio.TimeoutError:
                if quiet_s is None:
                    raise farewell or _Lost("silence") from None
                quiet_s = None
                await socket.send('{"type":"ping"}')
                continue
            except websockets.exceptions.ConnectionClosed:
                if farewell is not None:
                    raise farewell from None
                raise
            quiet_s = session.quiet_s if farewell is None else None
            message: Message = json.loads(text)
            kind = message.get("type")
            if kind == "hello":
                if message["protocol"] != 1:
                    raise Refused(4001, "protocol version")
                quiet_s = session.quiet_s = message["ping_s"]
                session.limits(message["limits"])
            elif kind == "bye":
                if 4000 <= message["code"] < 4100:
                    raise Refused(message["code"], message["reason"])
                farewell = _Lost(message["reason"], message["retry_ms"] / 1000)
                quiet_s, patience_s = None, 2.0
            for given in session.take(message):
                yield given
            request = session.request()
            if request is not None:
                await socket.send(json.dumps(request))


def _headers(headers: Dict[str, str]) -> Dict[str, Any]:
    """The argument for request headers, which was renamed in websockets 14."""
    major = int(websockets.__version__.split(".")[0])
    return {"additional_headers" if major >= 14 else "extra_headers": headers}


class _Session:
    """What one connection holds and asks for: one request at a time."""

    def __init__(self, progress: Progress, wanted: Sequence[str], history: int) -> None:
        self._progress = progress
        self._history = history
        self._waiting = list(wanted)
        self._held: Set[str] = set()
        self._named = any(not _is_canonical(topic) for topic in wanted)
        #: Single topics to hand on while all tables are followed for their sake; none for everything.
        self._only: Set[str] = set()
        self._flight: Optional[Message] = None
        self._asked: List[Message] = []
        self._sent = 0
        self._most = 0
        #: The server's ping interval, in seconds, once it is known.
        self.quiet_s: Optional[float] = None

    def limits(self, limits: Message) -> None:
        self._most = max(1, limits["frame_bytes"] // TOPIC_BYTES)
        if len(self._waiting) > limits["topics"] and all(map(_is_canonical, self._waiting)):
            self._only = set(self._waiting)
            self._waiting = [ALL_TABLES]

    @property
    def _is_open(self) -> bool:
        asked = any(item["topic"] == ALL_TABLES or not _is_canonical(item["topic"]) for item in self._asked)
        return asked or ALL_TABLES in self._held

    def _expects(self, topic: str) -> bool:
        return not self._only or topic in self._only

    def take(self, message: Message) -> List[Message]:
        kind, progress = message.get("type"), self._progress
        if kind in EVENTS:
            return progress.event(message, self._is_open) if self._expects(message["topic"]) else []
        if kind == "snapshot":
            asked = any(item["topic"] in (message["topic"], ALL_TABLES) or self._named for item in self._asked)
            return progress.snapshot(message, asked) if self._expects(message["topic"]) else []
        if kind == "reset":
            return progress.reset(message)
        if kind == "sync":
            busy = {item["topic"] for item in self._asked}
            if ALL_TABLES not in busy:
                progress.sync(message["position"], self._held - busy)
            return []
        if kind == "subscribed" and self._flight is not None and message["id"] == self._flight["id"]:
            items, self._asked, self._flight = self._asked, [], None
            # What nobody knows yet is named as it was asked for, and told of by `resolved`.
            known = [result for result in message["topics"] if not result.get("pending") or _is_canonical(result["topic"])]
            message = {**message, "topics": known}
            names = {result["topic"] for result in known}
            self._held = {ALL_TABLES} if ALL_TABLES in names else self._held | names
            return progress.subscribed(message, items)
        if kind == "resolved" and ALL_TABLES not in self._held:
            self._held.add(message["topic"])
        if kind == "error":
            return self._refused(message)
        return []

    def _refused(self, error: Message) -> List[Message]:
        if self._flight is None or error.get("id") != self._flight["id"]:
            return []
        if error["retry"] == "never":
            raise Refused(error["code"], error["message"])
        raise _Lost(error["code"], error.get("retry_ms", 1000) / 1000)

    def request(self) -> Optional[Message]:
        """The next request, when none is under way and something is missing."""
        if self._flight is not None or self._most == 0:
            return None
        names = self._waiting[: self._most]
        self._waiting = self._waiting[self._most :]
        names = names or self._progress.holes()[: self._most]
        if not names:
            return None
        self._sent += 1
        self._asked = [self._progress.item(name, self._history) for name in names]
        self._flight = {"type": "subscribe", "id": self._sent, "topics": self._asked}
        if self._progress.epoch is not None:
            self._flight["epoch"] = self._progress.epoch
        if self._progress.seen:
            self._flight["seen"] = self._progress.seen
        return self._flight


def _is_canonical(topic: str) -> bool:
    """Whether a topic is answered under the same name: an id or all tables, and no name or UUID."""
    reference = topic.partition(":")[2]
    return reference == "*" or (len(reference) == 7 and reference.isdigit())
