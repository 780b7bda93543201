"""Checks signatures as AWS does, from the bytes that arrived and the standard library alone (Signature Version 4)."""

import hashlib
import hmac
import re
from collections.abc import Mapping
from urllib.parse import quote

_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, SignedHeaders=([^,]+), "
    r"Signature=([0-9a-f]{64})"
)


def fault(raw: bytes, secrets: Mapping[str, str]) -> str:
    """What is wrong with the signature of a request, `""` when it is good. `secrets`: access key -> secret key."""
    head, _, body = raw.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    method, target, _ = first.split(" ")
    headers: dict[str, str] = {}
    for line in lines:
        name, _, value = line.partition(":")
        if name.lower() in headers:
            return f"{name} is there twice"
        headers[name.lower()] = " ".join(value.split())
    match = _AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    if match is None:
        return "no Authorization of Signature Version 4"
    access_key, day, region, service, names, signature = match.groups()
    signed = names.split(";")
    if signed != sorted(signed):
        return "signed headers out of order"
    needed = {"host", "x-amz-date"} | ({"x-amz-security-token"} & set(headers)) | ({"content-type"} & set(headers))
    if not needed <= set(signed):
        return f"not signed: {needed - set(signed)}"
    if headers["x-amz-date"][:8] != day:
        return "two dates"
    target = re.sub("^https?://[^/]+", "", target)
    path, _, query = target.partition("?")
    pairs = sorted(tuple((pair + "=").split("=")[:2]) for pair in query.split("&") if pair)
    canonical = "\n".join(
        [
            method,
            quote(path, safe="/~"),
            "&".join(f"{name}={value}" for name, value in pairs),
            *(f"{name}:{headers[name]}" for name in signed),
            "",
            names,
            hashlib.sha256(body).hexdigest(),
        ]
    )
    scope = f"{day}/{region}/{service}/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", headers["x-amz-date"], scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{secrets.get(access_key, '')}".encode()
    for part in (day, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    wanted = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    return "" if hmac.compare_digest(wanted, signature) else f"signature {signature}, wanted {wanted}"
