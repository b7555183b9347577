"""A second implementation of our envelopes, in Python and from docs/wire.md alone. It wrote intercloud-v1.json beside it; what
TypeScript makes must be the same bytes, and what is wrong in it must be refused.

    python3 test/vectors/age/golden.py        needs the package `cryptography`
"""
import base64
import hashlib
import hmac
import json
import pathlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FOLDER = pathlib.Path(__file__).resolve().parent
TOKEN = json.loads((FOLDER.parent / "token/golden.json").read_text())["vectors"][0]["text"]
OTHER_TOKEN = json.loads((FOLDER.parent / "token/golden.json").read_text())["vectors"][1]["text"]
ENVELOPE_KEY = hashlib.sha256(b"envelope key").digest()
FILE_KEY = hashlib.sha256(b"file key").digest()[:16]
NONCE = hashlib.sha256(b"nonce").digest()[:16]


def hkdf(key, salt, info):
    return HKDF(hashes.SHA256(), 32, salt, info).derive(key)


def base64_line(data):
    return base64.b64encode(data).rstrip(b"=")


def wrapped(token=TOKEN):
    key = hkdf(ENVELOPE_KEY, token.encode(), b"intercloud/envelope/v1")
    return ChaCha20Poly1305(key).encrypt(bytes(12), FILE_KEY, None)


def stanza(*arguments, body):
    """Bodies here are shorter than a line."""
    return b"-> " + " ".join(arguments).encode() + b"\n" + base64_line(body) + b"\n"


OURS = stanza("intercloud/v1", TOKEN, body=wrapped())
GREASE = stanza("grease-q", "!", "~", body=b"") + stanza("X25519", "A" * 43, body=bytes(32))


def age_file(message, stanzas=OURS):
    signed = b"age-encryption.org/v1\n" + stanzas + b"---"
    mac = hmac.digest(hkdf(FILE_KEY, b"", b"header"), signed, "sha256")
    header = signed + b" " + base64_line(mac) + b"\n"
    cipher = ChaCha20Poly1305(hkdf(FILE_KEY, NONCE, b"payload"))
    size = 64 * 1024
    count = max(1, -(-len(message) // size))
    chunks = [
        cipher.encrypt(i.to_bytes(11, "big") + bytes([i == count - 1]), message[i * size : (i + 1) * size], None)
        for i in range(count)
    ]
    return header + NONCE + b"".join(chunks)


def message_of(length):
    return (b"0123456789abcdef" * (length // 16 + 1))[:length]


def right(name, length, stanzas=OURS):
    file = age_file(message_of(length), stanzas)
    vector = {"name": name, "lengthBytes": length, "fileDigest": hashlib.sha256(file).hexdigest()}
    return vector | ({"file": base64.b64encode(file).decode()} if length < 100 else {})


def wrong(name, code, stanzas):
    return {"name": name, "code": code, "file": base64.b64encode(age_file(message_of(20), stanzas)).decode()}


content = {
    "source": "made by test/vectors/age/golden.py, which shares no code with the implementation",
    "tokenText": TOKEN,
    "envelopeKey": ENVELOPE_KEY.hex(),
    "fileKey": FILE_KEY.hex(),
    "nonce": NONCE.hex(),
    "message": "0123456789abcdef over and over, so many bytes of it",
    "vectors": [
        right("nothing", 0),
        right("one byte", 1),
        right("a full chunk", 65536),
        right("a full chunk and a byte", 65537),
        right("three full chunks", 3 * 65536),
    ],
    "readable": [
        right("grease before", 20, GREASE + OURS),
        right("grease after", 20, OURS + GREASE),
    ],
    "wrong": [
        wrong("grease only", "NOT_OUR_FILE", GREASE),
        wrong("our type in capitals", "NOT_OUR_FILE", stanza("INTERCLOUD/v1", TOKEN, body=wrapped())),
        wrong("a later version of our type", "NOT_OUR_FILE", stanza("intercloud/v2", TOKEN, body=wrapped())),
        wrong("no token", "HEADER_DAMAGED", stanza("intercloud/v1", body=wrapped())),
        wrong("no token text", "HEADER_DAMAGED", stanza("intercloud/v1", "ict1", body=wrapped())),
        wrong("a mistyped token", "HEADER_DAMAGED", stanza("intercloud/v1", TOKEN[:-1] + "!", body=wrapped())),
        wrong("a third argument", "HEADER_DAMAGED", stanza("intercloud/v1", TOKEN, "more", body=wrapped())),
        wrong("two of our stanzas", "HEADER_DAMAGED", OURS + OURS),
        wrong("a short wrapped key", "HEADER_DAMAGED", stanza("intercloud/v1", TOKEN, body=wrapped()[:31])),
        wrong("a long wrapped key", "HEADER_DAMAGED", stanza("intercloud/v1", TOKEN, body=wrapped() + b"\0")),
        wrong("no wrapped key", "HEADER_DAMAGED", stanza("intercloud/v1", TOKEN, body=b"")),
        wrong("the key of another deposit", "WRONG_ENVELOPE_KEY", stanza("intercloud/v1", OTHER_TOKEN, body=wrapped())),
        wrong("a key wrapped for another deposit", "WRONG_ENVELOPE_KEY",
              stanza("intercloud/v1", TOKEN, body=wrapped(OTHER_TOKEN))),
        wrong("the token in capitals", "WRONG_ENVELOPE_KEY", stanza("intercloud/v1", TOKEN.upper(), body=wrapped())),
    ],
}
(FOLDER / "intercloud-v1.json").write_text(json.dumps(content, indent=2) + "\n")
