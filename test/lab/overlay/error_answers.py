"""Errors in the format of each service."""

import json
import re
from xml.sax.saxutils import escape

from .faults import ErrorAnswer

_XML = {
    "ec2": "<Response><Errors><Error><Code>{}</Code><Message>{}</Message></Error></Errors></Response>",
    "s3": "<Error><Code>{}</Code><Message>{}</Message></Error>",
}
_QUERY_XML = "<ErrorResponse><Error><Type>Sender</Type><Code>{}</Code><Message>{}</Message></Error></ErrorResponse>"
_CODE = re.compile(rb'<Code>([^<]+)</Code>|"__type":\s*"(?:[^"#]*#)?([^"]+)"')


def error_body(service: str, error: ErrorAnswer) -> tuple[str, bytes]:
    """@returns content type and body"""
    if service == "kms":
        return "application/x-amz-json-1.1", json.dumps({"__type": error.code, "message": error.message}).encode()
    template = _XML.get(service, _QUERY_XML)
    return "text/xml", template.format(escape(error.code), escape(error.message)).encode()


def error_in(status: str, body: bytes) -> ErrorAnswer | None:
    """The error of an answer; None for a success."""
    code = int(status.split()[0])
    if code < 400:
        return None
    match = _CODE.search(body)
    name = (match[1] or match[2]).decode() if match else str(code)
    return ErrorAnswer(name, "", code)
