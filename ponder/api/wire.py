"""One exchange with an OpenAI-compatible server: what is sent, how much is read, what is shown.

Built on openai.AsyncOpenAI with its own retries off: they count no attempts for us, wait unseeded
times, cut the server's waits at two minutes, and read an error of any size. Of the headers it sends
only SENT go out: it adds the organisation, project and custom headers of OPENAI_* variables,
whatever the server, and facts about this machine.
"""

from __future__ import annotations

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
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

from ponder.errors import UserError

if TYPE_CHECKING:
    import httpx2
    import openai

    from ponder.api.client import Client

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
# Bytes of a reply: far above any window of tokens.
LARGEST = 64 << 20
# Bytes that are read of an error.
EXCERPT = 4096
# Statuses by which a server finds this request at fault: too long, or against its rules. Another
# request may do.
UNFIT = (400, 413, 422)


class Refused(Exception):
    """A status other than 200, with what the server said beside it.

    `wait` is how many seconds it asks us to wait (0: none), `body` the start of its body.
    """

    def __init__(self, status: int, wait: float, body: bytes) -> None:
        super().__init__(f"status {status}")
        self.status, self.wait, self.body = status, wait, body


class Failed(Exception):
    """No whole reply, and why.

    `connected`: whether the server was reached, so that it may have answered, and billed, all the
    same. `retry`: whether another attempt may help.
    """

    def __init__(self, reason: str, connected: bool = True, retry: bool = True) -> None:
        super().__init__(reason)
        self.connected, self.retry = connected, retry


def origin_of(url: str) -> str:
    """Return scheme://host:port of a URL.

    Raises UserError, without repeating it, for a URL that is none or may hold a secret.
    """
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
        "the url of the server must be http(s)://host/..., with no user, password or query in it; "
        "a key comes from the environment variable that client.key_env names"
    )


def session(url: str, client: Client) -> openai.AsyncOpenAI:
    """Return an AsyncOpenAI for one server: no retries, no redirects, no time limit of its own.

    Proxies of the environment are used except for a server on this machine. Raises UserError when
    the key is missing.
    """
    origin_of(url)
    import httpx2
    import openai

    # Below this level they write a line per request, headers among them.
    for name in ("httpx2", "httpcore2", "openai"):
        logging.getLogger(name).setLevel(logging.WARNING)
    key = key_of(client)

    async def strip_headers(request: httpx2.Request) -> None:
        for name in set(request.headers) - set(SENT):
            del request.headers[name]
        request.headers["authorization"] = f"Bearer {key}"

    connections = httpx2.Limits(
        max_connections=client.concurrency, max_keepalive_connections=client.concurrency
    )
    http = httpx2.AsyncClient(
        timeout=None,
        follow_redirects=False,
        trust_env=not _on_this_machine(url),
        limits=connections,
        event_hooks={"request": [strip_headers], "response": [_raise_refused]},
    )
    return openai.AsyncOpenAI(
        api_key=key, base_url=url, max_retries=0, timeout=None, http_client=http
    )


async def _raise_refused(response: httpx2.Response) -> None:
    """Raise Refused for a status other than 200, with at most EXCERPT bytes of its body."""
    import httpx2

    if response.status_code == 200:
        return
    body = bytearray()
    with contextlib.suppress(httpx2.HTTPError):
        async for chunk in response.aiter_bytes():
            body += chunk
            if len(body) > EXCERPT:
                break
    wait = wait_of(response.headers.get("retry-after"), time.time())
    raise Refused(response.status_code, wait, bytes(body[:EXCERPT]))


async def send(
    method: Callable[..., Awaitable[Any]], path: str, seconds: float, **options: Any
) -> str:
    """Return the body of a reply as text, undecodable bytes as U+FFFD.

    `method` is the get or post of a session. Raises Refused, and Failed for anything that is no
    whole reply within `seconds` and LARGEST bytes.
    """
    import httpx2
    import openai

    try:
        async with asyncio.timeout(seconds):
            response = await method(
                path, cast_to=httpx2.Response, stream=True, stream_cls=openai.AsyncStream, **options
            )
            try:
                return await _text_of(response)
            finally:
                await response.aclose()
    except TimeoutError:
        raise Failed(f"no whole reply in {seconds:g} seconds") from None
    except (openai.APIConnectionError, httpx2.HTTPError) as error:
        if isinstance(error.__cause__, httpx2.ConnectError):
            raise Failed("no connection", connected=False) from None
        raise Failed("the connection broke") from None


async def _text_of(response: httpx2.Response) -> str:
    """Return the body of a response; raises Failed for one of more than LARGEST bytes."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > LARGEST:
            raise Failed(f"a reply of more than {LARGEST} bytes", retry=False)
    return body.decode("utf-8", "replace")


def wait_of(header: Any, now: float) -> float:
    """Return the seconds that a Retry-After header asks for; 0 for none or nonsense.

    The header is a number of seconds or an HTTP date; `now` is in seconds since 1970.
    """
    try:
        wait = float(header)
    except (TypeError, ValueError):
        try:
            wait = email.utils.parsedate_to_datetime(header).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return 0.0
    return max(0.0, wait) if math.isfinite(wait) else 0.0


def describe_refusal(refused: Refused, origin: str, model: Any, client: Client) -> str:
    """Return the sentence for a request that the server refuses for good, without the key."""
    status = refused.status
    answer = f"{origin} answered {status} for model {model!r}"
    if status in (401, 403):
        # Such a reply may repeat the key: nothing of it is shown.
        return f"{answer}; {key_words(client)}"
    if 300 <= status < 400:
        return (
            f"{answer}, a redirect, and none is followed with a key; give the address it leads to"
        )
    answer += _excerpt(refused.body, client)
    if status == 404:
        return f"{answer}; check the address, up to and with /v1, and the name of the model"
    return f"{answer}; change the fields of the request (of a teacher: teacher.body)"


def describe_status(refused: Refused, client: Client) -> str:
    """Return what a status says, with no piece of a key in it.

    Where the request itself was at fault, the words of the server are in it.
    """
    words = _excerpt(refused.body, client) if refused.status in UNFIT else ""
    return f"status {refused.status}{words}"


def error_words(error: Any, client: Client) -> str:
    """Return what an error in a reply of status 200 says, in brackets, with no piece of a key."""
    return _excerpt(json.dumps({"error": error}).encode(), client)


def key_words(client: Client) -> str:
    """Return what to check about the key, by the name of its environment variable."""
    if client.key_env is None:
        return "name the environment variable that holds the key in client.key_env"
    return f"check the key in the environment variable {client.key_env} (client.key_env)"


def key_of(client: Client) -> str:
    """Return the key of a client, "none" for one without; raises UserError where it is not set."""
    if client.key_env is None:
        return "none"  # servers on one's own machine accept any key
    key = os.environ.get(client.key_env, "")
    if not re.fullmatch("[!-~]+", key):
        state = "holds white space or other characters that no key has" if key else "is not set"
        raise UserError(
            f"the environment variable {client.key_env} (client.key_env) {state}; set it to the "
            "key of the server"
        )
    return key


def _excerpt(body: bytes, client: Client) -> str:
    """Return what an error says, in brackets: 200 printable characters, nothing like a key."""
    key = key_of(client) if client.key_env else ""
    pieces = {key[start : start + 4] for start in range(max(1, len(key) - 3))} - {""}

    def shown(word: str) -> str:
        secret = re.search(r"[\w-]{32}", word) or any(piece in word for piece in pieces)
        return "[...]" if secret else word

    words = re.sub(r"[^ -~]+", " ", _message(body)).split()
    return f" ({' '.join(map(shown, words))[:200]})" if words else ""


def _message(body: bytes) -> str:
    """Return the message in the body of an error, or all of a body that is no JSON object."""
    text = body.decode("ascii", "replace")
    with contextlib.suppress(ValueError, RecursionError):
        data = json.loads(text)
        error = data.get("error", data) if isinstance(data, dict) else None
        return str(error.get("message", "") if isinstance(error, dict) else error or "")
    return text


def _on_this_machine(url: str) -> bool:
    host = urllib.parse.urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        address = ipaddress.ip_address(host)
        return address.is_loopback or address.is_unspecified
    return host == "localhost"
