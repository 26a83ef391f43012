"""A SOAP 1.1 service that tells how an order is doing, to whom it belongs and to nobody else."""

from __future__ import annotations

from aiohttp import web
from lxml import etree

from .server import Asked, Double

SOAP = "http://schemas.xmlsoap.org/soap/envelope/"
SHOP = "urn:shop:orders"

ENVELOPE = f'<?xml version="1.0" encoding="utf-8"?><s:Envelope xmlns:s="{SOAP}"><s:Body>{{}}</s:Body></s:Envelope>'
ORDER = (
    f'<o:GetOrderResponse xmlns:o="{SHOP}"><o:order id="{{}}"><o:status>{{}}</o:status></o:order></o:GetOrderResponse>'
)
FAULT = "<s:Fault><faultcode>s:Client</faultcode><faultstring>{}</faultstring></s:Fault>"


class Orders(Double):
    """``tokens`` says whose a bearer token is, ``orders`` what each user's orders are doing."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens: dict[str, str] = {}
        self.orders: dict[str, dict[str, str]] = {}

    async def answer(self, request: web.BaseRequest, asked: Asked) -> web.StreamResponse:
        user = self.tokens.get(asked.headers.get("authorization", "").removeprefix("Bearer "))
        if user is None:
            return web.Response(status=401, text="who are you?", headers={"WWW-Authenticate": "Bearer"})
        if (asked.method, asked.headers.get("soapaction")) != ("POST", f'"{SHOP}#GetOrder"'):
            return self._say(FAULT.format("no such method"), status=500)
        order = etree.fromstring(asked.body).findtext(f".//{{{SHOP}}}orderId") or ""
        if order not in self.orders[user]:
            # SOAP 1.1, section 6.2: a fault comes with status 500.
            return self._say(FAULT.format("no such order"), status=500)
        return self._say(ORDER.format(order, self.orders[user][order]))

    def _say(self, content: str, *, status: int = 200) -> web.Response:
        return web.Response(status=status, text=ENVELOPE.format(content), content_type="text/xml")
