"""
One request on its way to the upstream, and the answer on its way back.

Rule 1: it is sent once. What became of a request whose answer never came, nobody but the upstream knows.
Rule 2: before an answer begins, whatever goes wrong is a problem document; after that, the end of the connection.
"""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import structlog
from aiohttp import web

from ....correlation import REQUEST_ID
from ....errors import BadRequest, PollError, Refusal, UpstreamFailed, UpstreamTimedOut
from ....forwarding import answer_fields
from ....quantities import duration_text
from ....values import UpstreamRequest
from ...upstream.failures import FOREIGN
from ...upstream.fetch import Line
from ..aftermath import is_refusal
from ..trails import id_of, trail_of
from ..writing import failure_of
from .download import Download, Passed, head_of
from .patience import Patience
from .tunnel import tunnel
from .upload import Upload, upload_of
from .ways import Way

log = structlog.get_logger()


class Passing:
    """
    One exchange. ``asked`` is what the upstream is asked, ``upgrade`` the protocol to speak instead.

    ``count`` hears the upstream's name and the status of the answer that is passed on; ``changed``, that the request
    may have changed something.
    """

    def __init__(
        self,
        request: web.BaseRequest,
        asked: UpstreamRequest,
        way: Way,
        upgrade: str | None,
        *,
        count: Callable[[str, int], None],
        changed: Callable[[web.BaseRequest, Way], None],
    ) -> None:
        self._request = request
        self._asked = asked
        self._way = way
        self._upgrade = upgrade
        self._count = count
        self._changed = changed
        self._patience = Patience(way.config.timeout.idle)
        self._download = Download(request, self._patience)
        self._upload = Upload(request, self._patience)

    async def through(self, line: Line) -> web.StreamResponse:
        """Exchange it over this line, and return its answer once that has been written; raises a Refusal."""
        try:
            async with self._patience:
                return await self._exchange(line)
        except TimeoutError:
            return self._give_up(self._too_slow())
        except FOREIGN as exc:  # in the middle of the answer; what came before has its own words
            account = trail_of(self._request).account
            log.info("proxy.cut", upstream=self._asked.upstream, reason=type(exc).__name__, **account)
            return self._give_up(UpstreamFailed("the upstream's answer broke off"))

    async def _exchange(self, line: Line) -> Passed:
        is_signed = self._way.is_signed
        self._upload = await upload_of(self._request, self._patience, may_repeat=is_signed)
        response = await self._send(line)
        try:
            if is_signed and response.status == 401:
                raise UpstreamFailed("the upstream does not accept the credentials that pushgate has for it")
            return await self._return(response, line)
        finally:
            response.close()

    async def _send(self, line: Line) -> aiohttp.ClientResponse:
        may_have_changed = True  # also if nobody waits for the answer any more
        try:
            response = await line.pass_on(self._asked, self._upload, is_signed=self._way.is_signed)
            may_have_changed = not is_refusal(response.status)
            return response
        except PollError as error:
            may_have_changed = error.asked
            told = {"upstream": self._asked.upstream, "reason": error.reason, "detail": error.detail}
            log.info("proxy.failed", **told, **trail_of(self._request).account)
            raise (self._upload.fault or failure_of(error)) from error
        finally:
            if may_have_changed:
                self._changed(self._request, self._way)

    async def _return(self, response: aiohttp.ClientResponse, line: Line) -> Passed:
        """Write the answer."""
        is_switch = response.status == 101
        if response.status < 200 and not is_switch:
            raise UpstreamFailed("the upstream's answer has a status that is none")
        version = "1.1" if response.version is None else f"{response.version.major}.{response.version.minor}"
        upgrade = self._upgrade if is_switch else None
        own = (REQUEST_ID.encode(), id_of(self._request).encode())
        fields = (*answer_fields(response.raw_headers, self._way.backend, version=version, upgrade=upgrade), own)
        if not is_switch:
            self._count(self._asked.upstream, response.status)
            return await self._download.write(response, fields)
        if upgrade is None or response.headers.get("Upgrade", "").lower() != upgrade.lower():
            raise UpstreamFailed("the upstream switches to a protocol that it was not asked for")
        line.gate.check_open()  # or it was paused meanwhile, and nobody would end what begins now
        self._count(self._asked.upstream, 101)
        self._download.has_begun = True
        head = head_of(101, response.reason, fields)
        with line.conversation(response):
            await tunnel(self._request, response, head, patience=self._patience)
        return Passed(101, keep_alive=False)

    def _too_slow(self) -> Refusal:
        idle = duration_text(self._way.config.timeout.idle)
        if self._upload.is_waiting:
            return BadRequest(f"the body did not go on for {idle}")
        return UpstreamTimedOut(f"the upstream said nothing for {idle}; it may have done it all the same")

    def _give_up(self, refusal: Refusal) -> Passed:
        """Say what is wrong, if it can still be said."""
        if not self._download.has_begun:
            raise refusal
        self._download.cut()
        return Passed(refusal.status, keep_alive=False)
