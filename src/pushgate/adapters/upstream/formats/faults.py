"""Answers that say in XML, perhaps with status 200, that the call failed: SOAP 1.1 and 1.2, and XML-RPC."""

from __future__ import annotations

from typing import Any

from ....errors import PollError

_SOAP = ("{http://schemas.xmlsoap.org/soap/envelope/}", "{http://www.w3.org/2003/05/soap-envelope}")

MAX_DETAIL = 200  # characters


def refuse_fault(root: Any) -> None:
    """Raise PollError(``fail_if``) with code and text of the fault, if the element is an answer that holds one."""
    words = _xmlrpc_fault(root) if root.tag == "methodResponse" else _soap_fault(root)
    if words is not None:
        detail = " ".join(": ".join(word for word in words if word).split())
        raise PollError("fail_if", f"the upstream answered with a fault: {detail}"[:MAX_DETAIL])


def _soap_fault(root: Any) -> list[str] | None:
    namespace = next((namespace for namespace in _SOAP if root.tag == f"{namespace}Envelope"), None)
    fault = None if namespace is None else root.find(f"{namespace}Body/{namespace}Fault")
    if fault is None:
        return None
    code = fault.findtext("faultcode") or fault.findtext(f"{namespace}Code/{namespace}Value")
    text = fault.findtext("faultstring") or fault.findtext(f"{namespace}Reason/{namespace}Text")
    return [code or "", text or ""]


def _xmlrpc_fault(root: Any) -> list[str] | None:
    fault = root.find("fault")
    if fault is None:
        return None
    members = {member.findtext("name"): "".join(member.find("value").itertext())
               for member in fault.iterfind("value/struct/member[value]")}  # fmt: skip
    return [members.get("faultCode", ""), members.get("faultString", "")]
