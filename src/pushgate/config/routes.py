"""``routes:``: a public path, what to poll for it, and how to push it; and views, which are a part of another route."""

from __future__ import annotations

from functools import cached_property
from itertools import product
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Tag, model_validator

from ..values import Mode, Transport
from .access import AuthNames, Forward, Rule, Share
from .addresses import Headers, HttpPath, Query
from .documents import DocumentKey, DocumentPointer, History, Key, Status, Tolerance, Verdict
from .expressions import JmesPath, Pointer
from .formats import AutoFormat, Format
from .parameters import Parameter, QueryName, QueryRule
from .pipeline import Accumulate, Batch, Guards, Pages
from .poll import Poll, Stale
from .requests import Body, Form, Request
from .scalars import Count, Duration, Text
from .section import EMPTY, Names, OneOrMore, Section, demand_one, given, misplaced, refuse_both

ALL_TRANSPORTS: tuple[Transport, ...] = ("short_poll", "long_poll", "sse", "websocket")


class Write(Section):
    """What becomes of a client's write; `{data.x}` stands for a member of its body."""

    path: HttpPath | None = None
    """The path below the upstream's URL; by default that of the route's own request, with the client's query."""
    query: Query = EMPTY
    """Query parameters."""
    headers: Headers = EMPTY
    """Header fields."""
    body: Body | None = None
    """Text, or a mapping sent as JSON; by default the client's own body."""
    form: Form | None = None
    """Fields of a form."""
    refresh: Names[Text] = ()
    """Topics that are polled after it, by their paths; `*` is any segment. By default the one it is written to."""
    wait: Duration = 1.0
    """How long its answer is held until they are published; 0s does not hold it."""

    @model_validator(mode="after")
    def _one_body(self) -> Write:
        refuse_both(self, "body", "form")
        return self


class Route(Section):
    """A public path and the document behind it."""

    description: Text = ""
    """What it is, for people."""
    upstream: Text
    """Whom to ask."""
    request: Request = Request()
    """What to ask."""
    params: dict[Text, Parameter] = EMPTY
    """What each `{name}` of the path must match, as a whole; by default anything but a slash."""
    query: dict[QueryName, QueryRule] = EMPTY
    """Query parameters that clients may add; any other is refused."""
    poll: Poll = Poll()
    """When to ask."""
    stale: Stale = Stale()
    """When the document is too old."""
    on_status: dict[Status, Verdict] = EMPTY
    """What a status means; unnamed: 2xx is an answer, 404 and 410 are gone, the rest fail."""
    pages: Pages | None = None
    """Answers in pages."""
    accumulate: Accumulate | None = None
    """Answers that only tell what is new."""
    batch: Batch | None = None
    """Many topics in one request."""
    format: Format = AutoFormat(kind="auto")
    """What the answer is."""
    ignore: Names[Pointer] = ()
    """What is removed from the answer; `*` is any member."""
    guards: Guards = Guards()
    """When an answer is not believed at once."""
    select: JmesPath | None = None
    """Which part of the answer is the document."""
    key: DocumentKey | None = None
    """Which member tells the items of an array apart."""
    unordered: Names[DocumentPointer] = ()
    """Arrays whose order means nothing."""
    quiet: dict[DocumentPointer, Tolerance] = EMPTY
    """Members that change without being a change."""
    emit: OneOrMore[Mode] = ("patch", "snapshot")
    """How changes are told; the first is the default."""
    transports: OneOrMore[Transport] = ALL_TRANSPORTS
    """How clients may listen."""
    short_poll: Literal["document", "raw"] = "document"
    """What a plain GET answers: the document, or the upstream's own bytes and type."""
    history: History = History()
    """How much of the past is kept."""
    max_topics: Count = 500
    """Live topics of this route."""
    share: Share = "public"
    """Which clients see the same document."""
    forward: Forward = Forward()
    """What of the client's request is sent upstream."""
    auth: AuthNames = None
    """Who may listen: entries of `auth:`, or none."""
    allow: tuple[Rule, ...] = ()
    """What must hold of who listens; all of them."""
    write: dict[Literal["POST", "PUT", "PATCH", "DELETE"], Write] = EMPTY
    """Methods that are passed on to the upstream."""

    @model_validator(mode="after")
    def _safe_to_share(self) -> Route:
        if self.share != "identity" and (self.forward.headers or self.forward.cookies):
            raise misplaced("forward", "one client's answer would be everybody's; set `share: identity`")
        if self.share != "public" and self.poll.while_ == "always":
            raise misplaced(("poll", "while"), "`always` has nobody to ask as; set `share: public`, or remove it")
        return self

    @model_validator(mode="after")
    def _items_have_a_key(self) -> Route:
        if "items" in self.emit and self.key is None and self.format.kind != "feed":
            raise misplaced("emit", "`items` needs `key`, which tells the items apart; add it")
        if self.format.kind == "binary" and "emit" in self.model_fields_set and self.emit != ("snapshot",):
            raise misplaced("emit", "bytes have no differences; set `emit: snapshot`")
        return self

    @model_validator(mode="after")
    def _one_answer_for_a_document(self) -> Route:
        several = given(self, "pages", "batch", "accumulate")
        if self.short_poll == "raw" and several:
            message = f"a document is not one answer's bytes with `{several[0]}`; set `short_poll: document`"
            raise misplaced("short_poll", message)
        if self.format.kind == "binary" and several:
            raise misplaced(several[0], "bytes have no parts; remove it, or name another `format`")
        if self.batch is not None and len(several) > 1:
            other = "pages" if self.pages is not None else "accumulate"
            raise misplaced("batch", f"stands beside `{other}`; keep one of them")
        return self

    @cached_property
    def pacing(self) -> object:
        """What says when a topic is polled, for those who ask whether it is still the same."""
        poll = self.poll.model_dump(exclude={"while_", "topics", "linger", "ttl", "until"})
        return poll, self.guards.confirm_after, self.batch is not None

    @property
    def is_raw(self) -> bool:
        """Whether a short poll is answered with the upstream's own bytes and type: what is bytes always is."""
        return self.short_poll == "raw" or self.format.kind == "binary"

    @property
    def document_key(self) -> DocumentKey | None:
        """The key in force: the items of a feed have ids anyway."""
        return "id" if self.key is None and self.format.kind == "feed" else self.key

    @property
    def shelf(self) -> tuple[str, Key] | None:
        """Where items are looked up by their keys: the pointer of an array, and its key; None if that is not clear."""
        key = self.document_key
        if isinstance(key, dict):
            pointers = [""] if "" in key else [pointer for pointer in key if "*" not in pointer.split("/")]
            return (pointers[0], key[pointers[0]]) if len(pointers) == 1 else None
        has_items = self.format.kind == "feed" and self.select is None
        return None if key is None else ("/items" if has_items else "", key)

    def standing_topics(self) -> tuple[dict[str, str], ...]:
        """Return the parameter values of the topics that ``while: always`` polls: those named, or all combinations."""
        if self.poll.while_ != "always":
            return ()
        if self.poll.topics:
            return self.poll.topics
        listed = {name: values for name, values in self.params.items() if isinstance(values, tuple)}
        return tuple(dict(zip(listed, values, strict=True)) for values in product(*listed.values()))


class View(Section):
    """A part of another route's document, with a path of its own; it has no poll."""

    description: Text = ""
    """What it is, for people."""
    from_: Text
    """The route whose document it shows; upstream, params, query, share and auth are that route's."""
    item: Text | None = None
    """The item whose key has this text; the members of a compound key are joined by slashes."""
    pointer: Pointer | None = None
    """What stands here."""
    select: JmesPath | None = None
    """What this expression yields."""
    key: DocumentKey | None = None
    """Which member tells the items of an array apart."""
    emit: OneOrMore[Mode] = ("patch", "snapshot")
    """How changes are told; the first is the default."""
    transports: OneOrMore[Transport] = ALL_TRANSPORTS
    """How clients may listen."""
    history: History = History()
    """How much of the past is kept."""
    allow: tuple[Rule, ...] = ()
    """What must hold beside the other route's rules."""

    @model_validator(mode="after")
    def _one_part(self) -> View:
        demand_one(self, "item", "pointer", "select")
        return self

    @model_validator(mode="after")
    def _items_have_a_key(self) -> View:
        if "items" in self.emit and self.key is None:
            raise misplaced("emit", "`items` needs `key`, which tells the items apart; add it")
        return self


def _entry_kind(value: Any) -> str:
    return "<View>" if isinstance(value, View) or (isinstance(value, dict) and "from" in value) else "<Route>"


RouteOrView = Annotated[
    Annotated[Route, Tag("<Route>")] | Annotated[View, Tag("<View>")],
    Discriminator(_entry_kind),
]
