"""One exchange with an OpenAI-compatible server: what is sent to it, how much is read, and what its errors may tell.

Built on openai.AsyncOpenAI with its own retries off: they count no attempts for us, wait unseeded times, cut the server's
waits at two minutes, and read an error of any size. Of the headers it sends only SENT go out: it adds the organisation,
project and custom headers of OPENAI_* variables, whatever the server, and facts about this machine. Issue 3.
"""

import asyncio
import contextlib
import email.utils
import ipaddress
import json
import logging
import math
import os
import re
import time
import urllib.parse

from ponder.errors import UserError

SENT = (
    "accept",
    "accept-encoding",
    "connection",
    "content-length",
    "content-type",
    "host",
    "transfer-encoding",
    "user-agent",
)
LARGEST = 64 << 20  # bytes of a reply: far above any window of tokens
EXCERPT = 4096  # bytes that are read of an error
UNREACHED = "no connection"
AT_FAULT = "status 4"  # how `told` begins for a request that the server finds at fault


class Refused(Exception):
    """A status other than 200: its number, the seconds to wait that the server asks for (0: none), and the start of its body."""

    def __init__(self, status, wait, body):
        super().__init__(f"status {status}")
        self.status, self.wait, self.body = status, wait, body


class Failed(Exception):
    """No whole reply, and why; `lost` where the server may have answered all the same, `again` where another attempt may help."""

    def __init__(self, reason, lost=True, again=True):
        super().__init__(reason)
        self.lost, self.again = lost, again


def origin_of(url):
    """Return scheme://host:port; raises UserError, without repeating it, for a URL that is none or may hold a secret."""
    with contextlib.suppress(ValueError):
        parts = urllib.parse.urlsplit(url)
        if (
            parts.scheme in ("http", "https")
            and parts.hostname
            and "@" not in parts.netloc
            and parts.port != 0
            and not re.search(r"[\s?#]", url)
        ):
            return f"{parts.scheme}://{parts.netloc}"
    raise UserError(
        "the url of the server must be http(s)://host/..., with no user, password or query in it; a key comes from "
        "the environment variable that client.key_env names"
    )


def session(url, client):
    """Return an AsyncOpenAI for one server: no retries, no redirects, no limit on time of its own.

    Proxies of the environment are used except for a server on this machine. Raises UserError when the key is missing.
    """
    origin_of(url)
    import httpx2
    import openai

    for name in ("httpx2", "httpcore2", "openai"):
        logging.getLogger(name).setLevel(
            logging.WARNING
        )  # below it they write a line per request, headers among them
    key = _key(client)

    async def strip(request):
        for name in set(request.headers) - set(SENT):
            del request.headers[name]
        request.headers["authorization"] = f"Bearer {key}"

    async def refuse(response):
        if response.status_code != 200:
            body = bytearray()
            with contextlib.suppress(httpx2.HTTPError):
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > EXCERPT:
                        break
            raise Refused(
                response.status_code,
                wait_of(response.headers.get("retry-after"), time.time()),
                bytes(body[:EXCERPT]),
            )

    limits = httpx2.Limits(
        max_connections=client.concurrency, max_keepalive_connections=client.concurrency
    )
    http = httpx2.AsyncClient(
        timeout=None,
        follow_redirects=False,
        trust_env=not _on_this_machine(url),
        limits=limits,
        event_hooks={"request": [strip], "response": [refuse]},
    )
    return openai.AsyncOpenAI(
        api_key=key, base_url=url, max_retries=0, timeout=None, http_client=http
    )


async def send(method, path, seconds, **options):
    """Return the body of a reply as text, undecodable bytes as U+FFFD; `method` is the get or post of a session.

    Raises Refused, and Failed for anything that is no whole reply within `seconds` and LARGEST bytes.
    """
    import httpx2
    import openai

    try:
        async with asyncio.timeout(seconds):
            response = await method(
                path, cast_to=httpx2.Response, stream=True, stream_cls=openai.AsyncStream, **options
            )
            try:
                body = bytearray()
                async for chunk in response.aiter_bytes():
                    body += chunk
                    if len(body) > LARGEST:
                        raise Failed(f"a reply of more than {LARGEST} bytes", again=False)
                return body.decode("utf-8", "replace")
            finally:
                await response.aclose()
    except TimeoutError:
        raise Failed(f"no whole reply in {seconds:g} seconds") from None
    except (openai.APIConnectionError, httpx2.HTTPError) as error:
        if isinstance(error.__cause__, httpx2.ConnectError):
            raise Failed(UNREACHED, lost=False) from None
        raise Failed("the connection broke") from None


def wait_of(header, now):
    """Return the seconds that a Retry-After header asks for, given as a number or an HTTP date; 0 for none or nonsense."""
    try:
        wait = float(header)
    except (TypeError, ValueError):
        try:
            wait = email.utils.parsedate_to_datetime(header).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return max(0.0, wait) if math.isfinite(wait) else 0.0


def mistake(refused, origin, model, client):
    """Return the sentence for a request that the server refuses for good; nothing in it may hold the key."""
    told = f"{origin} answered {refused.status} for model {model!r}"
    if refused.status in (401, 403):  # such a reply may repeat the key: nothing of it is shown
        return f"{told}; {key_words(client)}"
    if 300 <= refused.status < 400:
        return f"{told}, a redirect, and none is followed with a key; give the address it leads to"
    if refused.status == 404:
        return f"{told}{_words(refused.body, client)}; check the address, up to and with /v1, and the name of the model"
    return f"{told}{_words(refused.body, client)}; change the fields of the request (of a teacher: teacher.body)"


def told(refused, client):
    """Return what a status says, with the words of the server where the request itself was at fault; no piece of a key in them."""
    return f"status {refused.status}{_words(refused.body, client) if refused.status in (400, 413, 422) else ''}"


def key_words(client):
    """Return what to check about the key, by the name of its environment variable."""
    if client.key_env is None:
        return "name the environment variable that holds the key in client.key_env"
    return f"check the key in the environment variable {client.key_env} (client.key_env)"


def _key(client):
    key = (
        "none" if client.key_env is None else os.environ.get(client.key_env, "")
    )  # local servers want any key
    if not re.fullmatch("[!-~]+", key):
        state = "holds white space or other characters that no key has" if key else "is not set"
        raise UserError(
            f"the environment variable {client.key_env} (client.key_env) {state}; set it to the key of the server"
        )
    return key


def _words(body, client):
    """Return what an error says, in brackets: 200 printable characters of its message, nothing like a key."""
    text = body.decode("ascii", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(text)
        error = data.get("error", data) if isinstance(data, dict) else None
        text = str(error.get("message", "") if isinstance(error, dict) else error or "")
    key = _key(client) if client.key_env else ""
    pieces = {key[i : i + 4] for i in range(max(1, len(key) - 3))} - {""}
    words = re.sub(r"[^ -~]+", " ", text).split()
    shown = [
        "[...]" if re.search(r"[\w-]{32}", word) or any(piece in word for piece in pieces) else word
        for word in words
    ]
    return f" ({' '.join(shown)[:200]})" if shown else ""


def _on_this_machine(url):
    host = urllib.parse.urlsplit(url).hostname
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return address.is_loopback or address.is_unspecified
    return host == "localhost"
