"""Answers in pages: asks until there is no next one, and returns them as one answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from ...answers import Answer
from ...errors import PollError
from ...paging import first_page, is_beyond, next_page, together
from ...refinery import Decoder
from ...routes import Route
from ...values import Json, UpstreamRequest

Ask = Callable[[UpstreamRequest], Awaitable[Answer]]


async def ask_all_pages(route: Route, request: UpstreamRequest, ask: Ask, decoder: Decoder) -> Answer:
    """
    Return all pages as one answer, or the first one's if that is none that has pages; raises PollError.

    Every page is checked by itself, and what is wrong with one is wrong with all.
    """
    pages = route.config.pages
    assert pages is not None, "only routes that have pages are asked like this"
    answers: list[Answer] = []
    values: list[Json] = []
    ttl: float | None = None
    asked: set[str] = set()
    here: UpstreamRequest | None = first_page(pages, request)
    while here is not None:
        if len(answers) == pages.max:
            raise PollError("too_large", f"the answer has more than {pages.max} pages (pages.max)")
        if here.url in asked:
            raise PollError("protocol", f"page {len(answers)} names one that was read before as the next")
        asked.add(here.url)
        answer = await ask(here)
        if answers and is_beyond(pages, answer):
            break
        if not answers and route.meaning(answer.status) != "document":
            return answer
        value, page_ttl = _read(route, answer, decoder, page=len(answers) + 1)
        ttl = page_ttl if not answers else ttl
        answers.append(answer)
        values.append(value)
        here = next_page(pages, here, answer, value, count=len(answers))
    return together(pages, answers, values, ttl=ttl)


def _read(route: Route, answer: Answer, decoder: Decoder, *, page: int) -> tuple[Json, float | None]:
    try:
        if route.verdict(answer.status) != "document":
            raise PollError("protocol", f"the upstream answered {answer.status}")
        route.recipe.check_type(answer.content_type)
        value = decoder.decode(answer.body, answer.content_type)
        return value, route.recipe.check(value)
    except PollError as error:
        retry_after = error.retry_after if answer.retry_after is None else answer.retry_after
        raise PollError(error.reason, f"page {page}: {error.detail}", retry_after=retry_after) from error
