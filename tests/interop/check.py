"""The contract of src/identity/wire.md in Python, with PyJWT for the signature: says of each test vector what it finds.

    check.py VECTORS        a folder; one line of JSON a case
"""

import base64
import hashlib
import hmac
import json
import pathlib
import re
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


def is_counter(value):
    count, dot, digest = value.partition(".")
    return bool(dot) and seconds(count) is not None and int(count) < 65536 and len(decode(digest) or b"") == 16


def is_legal(name, value):
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
        if not equal or semicolon or name not in MEMBERS or name in members or not is_legal(name, value):
            malformed = True
        members[name] = value
    if malformed:
        return "malformed"
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
