"""The contract of src/identity/wire.md in Python, with PyJWT for the signature: says of each test vector what it finds.

    check.py VECTORS        a folder; one line of JSON a case
"""

import base64
import hashlib
import hmac
import json
import pathlib
import re
import struct
import sys
from urllib.parse import unquote

import jwt

UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")
HEADER = re.compile(r'\{"alg":"([^"]*)","kid":"([A-Za-z0-9._~-]{1,32})","tid":"([0-9a-f]{16})","typ":"hopseal"\}')
SECONDS = re.compile(r"0|[1-9][0-9]*")
MEMBERS = {
    "hopseal.sub": 64, "hopseal.kind": 7, "hopseal.iss": 32, "hopseal.tenant": 64, "hopseal.act": 95, "hopseal.txn": 64,
    "hopseal.resealed": 64, "hopseal.iat": 20, "hopseal.exp": 20, "hopseal.seal": 259, "hopseal.hop": 28,
}  # fmt: skip
TOKEN = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
PROPERTIES = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e \t;]*")


def encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text):
    """Canonical base64url without padding; None for anything else."""
    if not re.fullmatch(r"[A-Za-z0-9_-]*", text) or len(text) % 4 == 1:
        return None
    data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    return data if encode(data) == text else None


def seconds(text):
    number = int(text) if SECONDS.fullmatch(text) else None
    return number if number is not None and number < 2**64 else None


def seal(case, keys, leeway):
    protected, dots, signature = case["seal"].partition("..")
    header = decode(protected)
    if not dots or len(signature) not in (86, 43) or decode(signature) is None or header is None:
        return "malformed"
    parts = HEADER.fullmatch(header.decode("utf-8", "replace"))
    if not parts:
        return "malformed"
    algorithm, kid, tid = parts.groups()
    if len(signature) != {"EdDSA": 86, "HS256": 43}.get(algorithm, len(signature)):
        return "malformed"
    if algorithm not in ("EdDSA", "HS256"):
        return "algorithm"
    if tid != case["trace_id"][:16]:
        return "trace"
    if kid not in keys:
        return "unknown_key"
    shared = keys[kid] is None
    if shared != (algorithm == "HS256"):
        return "algorithm"
    members = case["members"]
    if any(f"hopseal.{name}" not in members for name in ("sub", "kind", "iss", "iat", "exp")):
        return "incomplete"
    lines = ["hopseal-seal-1", case["trust_domain"], case["trace_id"]]
    lines += [f"{name}={members[name]}" for name in sorted(members)]
    payload = encode("".join(f"{line}\n" for line in lines).encode())
    try:
        if not shared:
            jwt.PyJWS().decode(f"{protected}.{payload}.{signature}", keys[kid], algorithms=["EdDSA"])
    except jwt.InvalidSignatureError:
        return "signature"
    iat, exp = seconds(members["hopseal.iat"]), seconds(members["hopseal.exp"])
    if iat is None or exp is None or exp <= iat:
        return "malformed"
    if iat > case["at"] + leeway:
        return "premature"
    if case["at"] > min(exp, iat + 300) + leeway:
        return "expired"
    return "symmetric" if shared else "valid"


def chacha_rounds(state):
    """The twenty rounds of ChaCha20 (RFC 8439 section 2.3), without the addition at their end."""

    def quarter(a, b, c, d):
        for to, other, into, by in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
            state[to] = (state[to] + state[other]) & 0xFFFFFFFF
            word = state[into] ^ state[to]
            state[into] = ((word << by) | (word >> (32 - by))) & 0xFFFFFFFF

    for _ in range(10):
        for column in range(4):
            quarter(column, column + 4, column + 8, column + 12)
        for diagonal in range(4):
            quarter(diagonal, 4 + (diagonal + 1) % 4, 8 + (diagonal + 2) % 4, 12 + (diagonal + 3) % 4)
    return state


CONSTANTS = list(struct.unpack("<4I", b"expand 32-byte k"))


def xchacha(key, nonce, text):
    """XChaCha20 (draft-irtf-cfrg-xchacha section 2.3), from block 0."""
    half = chacha_rounds(CONSTANTS + list(struct.unpack("<8I", key)) + list(struct.unpack("<4I", nonce[:16])))
    inner = half[:4] + half[12:]
    stream = b""
    for block in range(len(text) // 64 + 1):
        start = CONSTANTS + inner + [block, 0] + list(struct.unpack("<2I", nonce[16:]))
        words = [(one + other) & 0xFFFFFFFF for one, other in zip(chacha_rounds(start[:]), start)]
        stream += struct.pack("<16I", *words)
    return bytes(one ^ other for one, other in zip(text, stream))


def unreadable(case, keys):
    """PASETO v4.local (paseto-spec, Version4), by its text alone."""
    kid, _, body = dict(part.split("=", 1) for part in case["header"].split(","))["hopseal.enc"].partition(".")
    if kid not in keys:
        return "unknown_key"
    key, token = decode(keys[kid].removeprefix("k4.local.")), decode(body)
    nonce, text, found = token[:32], token[32:-32], token[-32:]
    derived = hashlib.blake2b(b"paseto-encryption-key" + nonce, key=key, digest_size=56).digest()
    sealing = hashlib.blake2b(b"paseto-auth-key-for-aead" + nonce, key=key, digest_size=32).digest()
    parts = [b"v4.local.", nonce, text, kid.encode(), case["trace_id"].encode()]
    joined = b"".join(len(part).to_bytes(8, "little") + part for part in parts)
    authenticated = len(parts).to_bytes(8, "little") + joined
    if not hmac.compare_digest(hashlib.blake2b(authenticated, key=sealing, digest_size=32).digest(), found):
        return "signature"
    return xchacha(derived[:32], derived[32:], text).decode()


def is_counter(value):
    count, dot, digest = value.partition(".")
    return bool(dot) and seconds(count) is not None and int(count) < 65536 and len(decode(digest) or b"") == 16


def is_legal(name, value):
    if name == "hopseal.enc":
        return len(value) <= 1536 and bool(re.fullmatch(r"[A-Za-z0-9_-]{1,16}\.[A-Za-z0-9_-]+", value))
    if len(value) > MEMBERS[name] or not UNRESERVED.fullmatch(value):
        return False
    if name == "hopseal.kind":
        return value in ("user", "service", "agent")
    if name in ("hopseal.iat", "hopseal.exp"):
        return seconds(value) is not None
    if name == "hopseal.act":
        return all(len(decode(digest) or b"") == 8 for digest in value.split("."))
    if name == "hopseal.resealed":
        count, _, rest = value.partition(".")
        first, _, digest = rest.partition(".")
        return 0 < (seconds(count) or 0) < 256 and seconds(first) is not None and len(decode(digest) or b"") == 16
    return name != "hopseal.hop" or is_counter(value)


def is_ours(name):
    while unquote(name) != name:
        name = unquote(name)
    return name.lower().startswith("hopseal.")


def baggage(case):
    members, malformed = {}, False
    for text in ",".join(case["headers"]).split(","):
        text = text.strip(" \t")
        pair, semicolon, properties = text.partition(";")
        name, equal, value = pair.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not is_ours(name):
            continue
        known = name in MEMBERS or name == "hopseal.enc"
        if not equal or semicolon or not known or name in members or not is_legal(name, value):
            malformed = True
        members[name] = value
    if malformed:
        return "malformed"
    if "hopseal.enc" in members:
        return None if members.keys() <= {"hopseal.enc", "hopseal.hop"} else "malformed"
    if members and any(f"hopseal.{name}" not in members for name in ("sub", "kind", "iss")):
        return "incomplete"
    members.pop("hopseal.hop", None)
    return members or None


def crossing(step):
    count, _, digest = step["before"].partition(".")
    workload = step["workload"].encode()
    text = b"hopseal-hop-1" + decode(digest) + len(workload).to_bytes(2, "big") + workload + bytes.fromhex(step["span_id"])
    return f"{min(int(count) + 1, 65535)}.{encode(hashlib.sha256(text).digest()[:16])}"


def tag(key, *parts):
    return hmac.digest(key, b"\0".join(part if isinstance(part, bytes) else part.encode() for part in parts), "sha256")


def main(folder):
    def read(name):
        return json.loads((folder / name).read_text())

    def say(*found):
        print(json.dumps(found))

    seals = read("seal.json")
    keys = {
        key["kid"]: None if key["kty"] == "oct" else jwt.PyJWK(key, algorithm="EdDSA").key
        for key in seals["keys"]["keys"]
    }
    for case in seals["cases"]:
        say("seal", case["name"], seal(case, keys, seals["leeway"]), case["verdict"])
    for case in read("baggage.json")["cases"]:
        say("baggage", case["name"], baggage(case), case["fault"] if "fault" in case else case["members"])
    confidential = read("confidential.json")
    for case in confidential["cases"]:
        expected = case["fault"] if "fault" in case else case["message"]
        say("unreadable", case["name"], unreadable(case, confidential["keys"]), expected)
    for step in read("crossing.json")["steps"]:
        say("crossing", step["workload"], crossing(step), step["after"])
    pseudonyms = read("pseudonym.json")
    key = decode(pseudonyms["key"])
    for case in pseudonyms["subjects"]:
        found = f"{pseudonyms['kid']}.{encode(tag(key, case['issuer'], case['subject'])[:16])}"
        say("subject", case["subject"], found, case["sub"])
    for chain in pseudonyms["chains"]:
        digests = [
            encode(tag(key, "", actor["kind"] or "", actor["issuer"] or "", actor["id"])[:8])
            for actor in chain["actors"][:8]
        ]
        say("actors", str(len(chain["actors"])), ".".join(digests), chain["act"])
    for case in pseudonyms["fingerprints"]:
        digest = tag(key, "", "credential", hashlib.sha256(case["credential"].encode()).digest())
        found = f"{pseudonyms['kid']}.{encode(digest[:8])}"
        say("fingerprint", case["credential"], found, case["token_fingerprint"])


main(pathlib.Path(sys.argv[1]))
