"""How far a client is, per topic: what makes delivery exactly-once across reconnects. Knows no network and no time.

The rules are those of PROTOCOL.md, section 4.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterable, List, Optional

Message = Dict[str, Any]

ALL_TABLES = "roulette:*"
EVENTS = frozenset({"new_number", "strategy_update", "number_corrected", "number_removed"})

#: Requests for what is missing before a topic goes on without it.
MAX_TRIES = 3


@dataclass
class Topic:
    """One topic. Positions are compared as texts; the empty one comes before all of them."""

    #: Everything of this topic at or below was received: resume from here.
    position: str = ""
    #: Position of the last snapshot: it contains what is at or below.
    mark: str = ""
    #: A snapshot or an event of it came.
    known: bool = False
    #: A reset was not followed by its snapshot yet.
    owed: bool = False
    #: It may exist no more: nothing came of it since a reset of all tables, or in another epoch.
    doubtful: bool = False
    #: The highest event that was not applied because of a hole before it.
    withheld: str = ""
    tries: int = 0


class Progress:
    """Decides what of a connection's frames is new. Every method returns the messages to hand on."""

    def __init__(self) -> None:
        self.topics: Dict[str, Topic] = {}
        self.epoch: Optional[str] = None
        self.seen = ""

    def topic(self, name: str) -> Topic:
        return self.topics.setdefault(name, Topic())

    def _move(self, topic: Topic, position: str) -> None:
        topic.position = max(topic.position, position)
        self.seen = max(self.seen, position)

    def _enter(self, epoch: str) -> None:
        """Positions of another epoch mean nothing."""
        if epoch == self.epoch:
            return
        self.epoch = epoch
        self.seen = ""
        for topic in self.topics.values():
            topic.position = topic.mark = topic.withheld = ""
            topic.owed = topic.doubtful = topic.known
            topic.tries = 0

    def event(self, event: Message, is_open: bool) -> List[Message]:
        """One event. `is_open`: tables may come that were never heard of, since all are followed, or a name."""
        name, position, previous = event["topic"], event["position"], event.get("prev")
        if name not in self.topics and not is_open:
            return []
        topic = self.topic(name)
        if not topic.known and not is_open:
            # It begins with its snapshot; what comes before that is inside it.
            return []
        at = max(topic.position, topic.mark)
        if position <= at:
            return []
        if topic.known and not topic.owed and at and previous and previous > at:
            first = not topic.withheld
            topic.withheld = max(topic.withheld, position)
            return [{"type": "gap", "topic": name, "after": at, "before": position}] if first else []
        topic.known = True
        self._move(topic, position)
        if position >= topic.withheld:
            topic.withheld, topic.tries = "", 0
        return [event]

    def snapshot(self, snapshot: Message, asked: bool) -> List[Message]:
        """A snapshot; `asked`: a request for its topic is under way."""
        self._enter(snapshot["epoch"])
        topic, position = self.topic(snapshot["topic"]), snapshot["position"]
        lower = position < topic.position
        if lower and not asked and not topic.owed:
            return []
        topic.known, topic.owed, topic.doubtful = True, False, False
        topic.withheld, topic.tries = "", 0
        topic.mark = position
        self.seen = position if lower else max(self.seen, position)
        if not asked:
            topic.position = position
        elif lower:
            topic.position = self.topic(ALL_TABLES).position = ""
        return [snapshot]

    def reset(self, reset: Message) -> List[Message]:
        everything = reset["topic"] == ALL_TABLES
        messages: List[Message] = []
        for name, topic in self.topics.items():
            if topic.known and (everything or name == reset["topic"]):
                topic.owed = True
                topic.doubtful = topic.doubtful or everything
                messages.append({**reset, "topic": name})
        return messages

    def subscribed(self, ack: Message, items: List[Message]) -> List[Message]:
        """The acknowledgement of a request for `items`."""
        self._enter(ack["epoch"])
        results = ack["topics"]
        names = [result["topic"] for result in results]
        resumed = any(item.get("after") for item in items)
        messages: List[Message] = [
            {"type": "lost", "topic": result["topic"], "reason": result["reason"]}
            for result in results
            if resumed and not result["recovered"] and result["reason"] != "new"
        ]
        everything = ALL_TABLES in names
        for name in list(self.topics) if everything else []:
            if self.topics[name].doubtful:
                # All tables were sent, and this was not among them.
                del self.topics[name]
        for name in {*names, *(self.topics if everything else ())}:
            topic = self.topic(name)
            if topic.withheld and topic.tries < MAX_TRIES:
                topic.tries += 1
                continue
            topic.withheld, topic.tries = "", 0
            self._move(topic, ack["position"])
        return messages

    def sync(self, position: str, held: Iterable[str]) -> None:
        """Everything up to `position` was sent of the topics `held`, of which nothing is under way."""
        holes = any(topic.withheld for topic in self.topics.values())
        names = set(held)
        for name, topic in self.topics.items():
            whole = not holes if name == ALL_TABLES else topic.known and not topic.withheld
            if whole and (name in names or ALL_TABLES in names):
                self._move(topic, position)

    def item(self, name: str, history: int) -> Message:
        """How to ask for a topic: where to go on, or from the beginning."""
        topic = self.topics.get(name, Topic())
        everything = name == ALL_TABLES
        owed = any(each.owed for key, each in self.topics.items() if everything or key == name)
        item: Message = {"topic": name, "history": history}
        if topic.position:
            item["after"] = topic.position
        if owed:
            item["owed"] = True
        return item

    def holes(self) -> List[str]:
        """Topics with a hole that is to be asked for."""
        return [name for name, topic in self.topics.items() if topic.withheld]
