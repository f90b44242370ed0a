"""What must not be written down for others: keys, and what names a machine or a person.

Keys are known in two ways: as the value of a variable of the environment that is named like one,
and by their form. Forms are the rules that Kingfisher keeps, and a few of our own for keys that are
shorter or made up, which its rules take for none.
"""

import base64
import functools
import getpass
import gzip
import json
import os
import re
import socket
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from ponder.errors import RecordError

# Not TOKENIZERS_PARALLELISM, and not what a keyboard is set to.
KEY_NAME = re.compile(r"SECRET|PASSW|CREDENTIAL|TOKEN(?!IZ)|KEY(?!BOARD|MAP|RING)", re.IGNORECASE)
# Characters of a value that is taken for a key: shorter ones, such as "true", stand in many texts.
SHORTEST = 8
KEY_FORM = re.compile(
    r"(?<![A-Za-z0-9])(?:"
    r"sk-(?:proj|ant|or|svcacct|admin|None)-[\w-]{8,}|sk-[A-Za-z0-9]{20,}"  # OpenAI, Anthropic, ...
    r"|gh[oprsu]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}"
    r"|(?:AKIA|ASIA|ABIA|ACCA)[A-Z0-9]{16}|AIza[\w-]{30,}|ya29\.[\w-]{16,}"  # Amazon, Google
    r"|xox[a-z]-[A-Za-z0-9-]{10,}|xapp-[A-Za-z0-9-]{10,}|hf_[A-Za-z0-9]{16,}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]{8,}"  # a JSON Web Token
    r"|(?i:Bearer)[ +:=]+(?:[\w.~+/-]{20,}|(?=[\w.~+/-]*\d)[\w.~+/-]{12,})"
    r"|(?i:Authorization)\W{1,6}(?i:Basic|Token|Bearer)\s+[\w.~+/=-]{8,}"
    r"|[a-z][a-z0-9+.-]{1,20}://[^/\s:@\"']{1,80}:[^/\s:@\"']{3,200}@"  # a URL with a password
    r")|BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY"
)
PLACE = re.compile(r"/(?:home|root|Users|tmp|work)/|[A-Za-z]:\\{1,2}Users\\")
ESCAPED = re.compile(r"\\u00([2-7][0-9a-fA-F])")  # an ASCII character as JSON may write it
COMMON_NAMES = {"root", "user", "localhost"}
SHORTEST_NAME = 4  # characters: a machine called vm or a user called me would be in every text


def found_in(text: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return what in a text must not be passed on, in words that do not repeat a key, or None."""
    if ESCAPED.search(text):
        unescaped = ESCAPED.sub(lambda code: chr(int(code[1], 16)), text)
        return found_in(unescaped, environment)
    if variable := key_variable(text, environment):
        return f"the value of the environment variable {variable}, a key by its name"
    if match := KEY_FORM.search(text):
        return f"what looks like a key ({match.group()[:7]}...)"
    for finding in _scanner().scan(text.encode("utf-8", "replace")):
        if finding.visible:
            return f"what looks like a key ({finding.rule_name}, {finding.secret[:4]}...)"
    if match := PLACE.search(text):
        return f"{match.group()!r}, which names a machine or a person"
    for name in {socket.gethostname(), getpass.getuser()} - COMMON_NAMES:
        if len(name) >= SHORTEST_NAME and re.search(rf"\b{re.escape(name)}\b", text):
            return f"{name!r}, which names a machine or a person"
    return None


def key_variable(text: str, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the name of a variable whose value, a key by that name, a text holds, or None.

    The value counts in base64, percent, hexadecimal and JSON form too.
    """
    for name, value in sorted(environment.items()):
        value = value.strip()
        if KEY_NAME.search(name) and len(value) >= SHORTEST:
            if any(form in text for form in _forms(value)):
                return name
    return None


@functools.lru_cache(64)
def _forms(value: str) -> tuple[str, ...]:
    data = value.encode("utf-8", "surrogateescape")
    forms = {value, json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]}
    for escaped in (quote(data, safe=""), quote(data), quote_plus(data)):
        forms |= {escaped, re.sub("%..", lambda code: code.group().lower(), escaped)}
    forms |= {data.hex(), data.hex().upper(), *_base64(data)}
    return tuple(sorted(forms))


def _base64(data: bytes) -> Iterator[str]:
    """Yield the base64 of data that may have other bytes before and after it."""
    for before, changed in ((0, 0), (1, 2), (2, 3)):
        text = base64.b64encode(bytes(before) + data).decode()
        if (before + len(data)) % 3:
            text = text.rstrip("=")[:-1]
        yield text[changed:]
        yield text[changed:].replace("+", "-").replace("/", "_")


@functools.cache
def _scanner() -> Any:
    """Return Kingfisher's scanner with its own rules; it asks no network and keeps no cache."""
    from kingfisher_sdk import Rules, Scanner

    return Scanner(Rules(cache=False))


def text_of(path: Path) -> str:
    """Return the text of a file that is to be passed on: unpacked where it is packed, of weights
    the header.

    Raises RecordError for a packing or a header that cannot be read.
    """
    data = path.read_bytes()
    try:
        if path.suffix == ".safetensors":
            data = data[8 : 8 + int.from_bytes(data[:8], "little")]
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise RecordError(
            f"{path} cannot be unpacked ({error}); delete the folder of its run and run it again"
        ) from error
    return data.decode("utf-8", "replace")
