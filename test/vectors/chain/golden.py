"""A second implementation of our signed formats, in Python and from their description alone. It wrote the golden files
of this folder's neighbours; what TypeScript makes must be the same bytes.

    python3 test/vectors/chain/golden.py        needs the package `cryptography`
"""
import hashlib
import json
import pathlib

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

VECTORS = pathlib.Path(__file__).resolve().parent.parent
SOURCE = "made by test/vectors/chain/golden.py, which shares no code with the implementation"


def write(name, content):
    text = json.dumps({"source": SOURCE, **content}, indent=2)
    (VECTORS / name).write_text(text + "\n")


def cbor(value):
    """RFC 8949, section 4.2.1, for the types that we use."""
    def head(major, number):
        if number < 24:
            return bytes([major << 5 | number])
        size = next(size for size in (1, 2, 4, 8) if number < 1 << 8 * size)
        return bytes([major << 5 | 24 + (1, 2, 4, 8).index(size)]) + number.to_bytes(size, "big")

    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        return head(0, value)
    if isinstance(value, bytes):
        return head(2, len(value)) + value
    if isinstance(value, str):
        return head(3, len(value.encode())) + value.encode()
    if isinstance(value, list):
        return head(4, len(value)) + b"".join(map(cbor, value))
    pairs = sorted((cbor(key), cbor(each)) for key, each in value.items())
    return head(5, len(pairs)) + b"".join(key + each for key, each in pairs)


def sha256(*parts):
    return hashlib.sha256(b"".join(parts)).digest()


def digest_of(domain, *parts):
    return sha256(domain.encode(), b"\0", *parts)


def base58(data):
    alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
    number, text = int.from_bytes(data, "big"), ""
    while number:
        number, rest = divmod(number, 58)
        text = alphabet[rest] + text
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + text


def bech32m(prefix, data):
    charset = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
    bits = "".join(f"{byte:08b}" for byte in data)
    bits += "0" * (-len(bits) % 5)
    words = [int(bits[i:i + 5], 2) for i in range(0, len(bits), 5)]

    def polymod(values):
        check = 1
        for value in values:
            top = check >> 25
            check = (check & 0x1FFFFFF) << 5 ^ value
            for i, generator in enumerate((0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)):
                check ^= generator if top >> i & 1 else 0
        return check

    expanded = [ord(c) >> 5 for c in prefix] + [0] + [ord(c) & 31 for c in prefix]
    check = polymod(expanded + words + [0] * 6) ^ 0x2BC830A3
    words += [check >> 5 * (5 - i) & 31 for i in range(6)]
    return prefix + "1" + "".join(charset[word] for word in words)


class Signer:
    def __init__(self, seed):
        self.seed = seed
        self.key = Ed25519PrivateKey.from_private_bytes(seed)
        self.public = self.key.public_key().public_bytes_raw()
        self.peer = base58(bytes.fromhex("002408011220") + self.public)
        self.identity = "key:" + base58(self.public)

    def sign(self, domain, message):
        return self.key.sign(domain.encode() + b"\0" + message)


def seed_of(name):
    return sha256(b"golden " + name.encode())


def signatures():
    vectors = []
    for name, domain, message in [
        ("empty message", "intercloud/link/v1", b""),
        ("short message", "intercloud/link/v1", b"abc"),
        ("other domain", "intercloud/keeping/v1", b"abc"),
        ("domain is UTF-8", "intercloud/żółw", bytes(range(256))),
        ("empty domain", "", b"abc"),
    ]:
        signer = Signer(seed_of(name))
        vectors.append({
            "name": name, "seed": signer.seed.hex(), "publicKey": signer.public.hex(), "peer": signer.peer,
            "identity": signer.identity, "domain": domain, "message": message.hex(),
            "signature": signer.sign(domain, message).hex(),
        })
    write("ed25519/domain-separated.json", {"vectors": vectors})


def hkdf(secret, salt, info, length=32):
    return HKDF(hashes.SHA256(), length, salt, info.encode()).derive(secret)


def boxes_and_masks():
    recipient = X25519PrivateKey.from_private_bytes(seed_of("recipient"))
    ephemeral = X25519PrivateKey.from_private_bytes(seed_of("ephemeral"))
    to, public = recipient.public_key().public_bytes_raw(), ephemeral.public_key().public_bytes_raw()
    secret = ephemeral.exchange(X25519PublicKey.from_public_bytes(to))
    vectors = []
    for context, plaintext in [("share 1", bytes(range(32))), ("", b""), ("manifest", bytes(1000))]:
        key = hkdf(secret, public + to, f"intercloud/sealed-box/v1 {context}")
        box = public + AESGCM(key).encrypt(bytes(12), plaintext, None)
        vectors.append({"context": context, "plaintext": plaintext.hex(), "box": box.hex()})
    seeds = {"recipientSeed": seed_of("recipient").hex(), "ephemeralSeed": seed_of("ephemeral").hex()}
    write("x25519/sealed-box.json", {**seeds, "recipient": to.hex(), "vectors": vectors})

    descriptor_hash, peer = sha256(b"a descriptor"), Signer(seed_of("provider 7")).peer
    key = hkdf(secret, descriptor_hash, f"intercloud/mask/v1 7 {peer}")
    write("hkdf/mask-key.json", {
        "providerSeed": seeds["recipientSeed"], "userSeed": seeds["ephemeralSeed"], "point": 7, "peer": peer,
        "descriptorHash": descriptor_hash.hex(), "maskKey": key.hex(),
    })


def token_of(signers, route):
    return {
        "version": 1, "digest": sha256(b"message digest"), "owner": Signer(seed_of("owner")).identity,
        "home": signers[0].peer, "createdAtMs": 1_700_000_000_123, "dealId": sha256(b"deal")[:16],
        "manifestDigest": sha256(b"manifest"), "providers": len(signers), "threshold": 2, "protocol": 3, "userKey": None, "route": route,
        "lengthBytes": 5_000_000_000, "copies": 2, "policy": {"form": "whole"},
    }


def tokens():
    signers = [Signer(seed_of(f"provider {i}")) for i in (1, 2, 3)]
    vectors = []
    for route in ("chain", "fanout"):
        token = token_of(signers, route)
        encoded = cbor(token)
        text = bech32m("ict", b"\x01" + sha256(encoded) + signers[0].public)
        fields = {key: value.hex() if isinstance(value, bytes) else value for key, value in token.items()}
        vectors.append({"token": fields, "bytes": encoded.hex(), "id": sha256(encoded).hex(), "text": text})
    write("token/golden.json", {"vectors": vectors})


def messages():
    block, salt, vectors = 1 << 20, sha256(b"salt"), []
    for length in (1, block - 1, block, block + 1):
        message = bytes((i * 31 + (i >> 8) * 7 + (i >> 16)) & 255 for i in range(length))
        digests = b"".join(
            digest_of("intercloud/block/v1", salt, i.to_bytes(8, "big"), message[i * block:(i + 1) * block])
            for i in range(-(-length // block)))
        vectors.append({
            "lengthBytes": length, "blockDigests": digests.hex(),
            "messageDigest": digest_of("intercloud/message/v1", salt, length.to_bytes(8, "big"), digests).hex(),
            "sha256OfLayered": sha256(salt, digests, message).hex(),
        })
    write("message/golden.json", {
        "message": "byte i is (31*i + 7*(i >> 8) + (i >> 16)) mod 256", "salt": salt.hex(), "vectors": vectors})


def chains():
    signers = [Signer(seed_of(f"provider {i}")) for i in (1, 2, 3)]
    vectors = []
    for route in ("chain", "fanout"):
        token_id, manifest = sha256(cbor(token_of(signers, route))), sha256(b"manifest")
        passed = [sha256(f"{route} stage {i}".encode()) for i in range(4)]
        links, previous = [], manifest
        for i, signer in enumerate(signers):
            body = cbor({
                "version": 1, "tokenId": token_id, "index": i + 1, "peer": signer.peer, "identity": signer.identity,
                "digestIn": passed[i] if route == "chain" else digest_of("intercloud/blocks/v1"), "digestOut": passed[i + 1],
                "previous": previous, "timeMs": 1_700_000_001_000 + i,
            })
            links.append(cbor({"body": body, "signature": signer.sign("intercloud/link/v1", body)}))
            previous = digest_of("intercloud/statement/v1", body)
        body = cbor({
            "version": 1, "tokenId": token_id, "peer": signers[0].peer, "digestFromOwner": passed[0],
            "digestsReceived": passed[3:] if route == "chain" else passed[1:],
            "digestKept": passed[3] if route == "chain" else sha256(b"the sum"), "previous": previous,
            "timeMs": 1_700_000_001_009,
        })
        keeping = cbor({"body": body, "signature": signers[0].sign("intercloud/keeping/v1", body)})
        vectors.append({
            "route": route, "seeds": [signer.seed.hex() for signer in signers],
            "roster": [signer.peer for signer in signers], "tokenId": token_id.hex(),
            "manifestDigest": manifest.hex(), "digestFromOwner": passed[0].hex(),
            "links": [link.hex() for link in links], "keeping": keeping.hex(),
        })
    write("chain/golden.json", {"vectors": vectors})


def audit_logs():
    """Three entries and the signed head behind each, so that a prefix can be checked as well."""
    node, audit_key, log_id = Signer(seed_of("node")), seed_of("audit key"), sha256(b"log id")[:16]
    token_id, deal_id = sha256(b"token"), sha256(b"deal")[:16]
    events = [
        {"kind": "started", "version": "1.2.3", "peer": node.peer},
        {"kind": "burnt", "dealId": deal_id, "tokenId": None, "why": "expired"},
        {"kind": "served", "tokenId": token_id, "identity": Signer(seed_of("owner")).identity, "purpose": "retrieve",
         "from": Signer(seed_of("user")).peer, "roundDigest": sha256(b"round"), "offsetBytes": 0, "lengthBytes": 5_000_000_000},
    ]
    log_key = hkdf(audit_key, log_id, "intercloud/audit-log/v1")
    before, vectors = digest_of("intercloud/audit-start/v1", log_id, node.peer.encode()), []
    for sequence, event in enumerate(events, 1):
        time, event_id = 1_700_000_000_000 + sequence, sha256(b"event id %d" % sequence)[:16]
        event_key = hkdf(log_key, event_id, "intercloud/audit-event/v1")
        opening = (b"\x01" + sequence.to_bytes(8, "big") + time.to_bytes(8, "big") + event_id
                   + digest_of("intercloud/audit-key/v1", event_key))
        entry = opening + AESGCM(event_key).encrypt(bytes(12), cbor(event), opening)
        before = digest_of("intercloud/audit-entry/v1", before, entry)
        body = cbor({"version": 1, "peer": node.peer, "log": log_id, "count": sequence, "hash": before, "timeMs": time})
        head = cbor({"body": body, "signature": node.sign("intercloud/audit-head/v1", body)})
        vectors.append({
            "timeMs": time, "eventId": event_id.hex(), "event": cbor(event).hex(), "eventKey": event_key.hex(),
            "entry": (entry + before).hex(), "signedHead": head.hex(),
        })
    write("audit/golden.json", {
        "nodeSeed": node.seed.hex(), "auditKey": audit_key.hex(), "logId": log_id.hex(), "vectors": vectors})


NOW_MS = 1_700_000_000_000


def signed(signer, domain, value):
    body = cbor(value)
    return cbor({"body": body, "signature": signer.sign(domain, body)})


def request_of(owner, purpose, content, issued_at=NOW_MS, name="nonce"):
    session = Signer(seed_of(f"session of {owner.peer}"))
    tag = signed(owner, "intercloud/tag/v1", {
        "version": 1, "identity": owner.identity, "sessionKey": session.public, "purposes": [purpose],
        "notBeforeMs": NOW_MS - 1_000, "expiresAtMs": NOW_MS + 3_600_000,
    })
    body = cbor({
        "purpose": purpose, "issuedAtMs": issued_at, "expiresAtMs": issued_at + 120_000, "nonce": seed_of(name)[:16],
        "content": content,
    })
    return cbor({"tag": tag, "body": body, "signature": session.sign("intercloud/request/v1", body)})


def destroyed_deposits():
    """Of 3 providers with t=2: the receipts of two of them, at two requests of the owner; and what must not pass for one."""
    providers = [Signer(seed_of(f"provider {i}")) for i in (1, 2, 3)]
    owner, other, dealer = Signer(seed_of("owner")), Signer(seed_of("somebody else")), Signer(seed_of("dealer"))
    shares = [
        {"point": i + 1, "peer": peer, "digest": sha256(f"share {i + 1}".encode()), "corrected": i + 1 in (2, 3)}
        for i, peer in enumerate([*(each.peer for each in providers), ""])]
    manifest = signed(dealer, "intercloud/manifest/v1", {
        "version": 1, "dealId": sha256(b"deal")[:16], "dealer": dealer.peer, "threshold": 2, "lengthBytes": 100,
        "pads": "derived", "createdAtMs": NOW_MS, "expiresAtMs": NOW_MS + 3_600_000, "shares": shares,
    })
    token = {
        **token_of(providers, "chain"), "lengthBytes": 36, "threshold": 2,
        "manifestDigest": digest_of("intercloud/manifest-digest/v1", manifest),
    }
    token_bytes = cbor(token)
    token_id = sha256(token_bytes)

    def receipt(signer, request, domain="intercloud/receipt/v1", **changes):
        return signed(signer, domain, {
            "version": 1, "tokenId": token_id, "peer": signer.peer, "removed": {"share": True, "ciphertext": True},
            "requestDigest": digest_of("intercloud/destroy-request/v1", request), "timeMs": NOW_MS + 5_000, **changes,
        })

    content = {"tokenId": token_id}
    first, second = (request_of(owner, "destroy", content, name=name) for name in ("first", "second"))
    foreign = request_of(other, "destroy", content)
    other_token = request_of(owner, "destroy", {"tokenId": sha256(b"another token")})
    given_up = request_of(owner, "destroy", {"tokenId": token_id, "dealId": token["dealId"]})
    good = [receipt(providers[0], first), receipt(providers[2], second, removed={"share": True, "ciphertext": False})]
    wrong = [
        ("another key signed it", first, receipt(providers[1], first, peer=providers[0].peer)),
        ("signed as something else", first, receipt(providers[0], first, domain="intercloud/link/v1")),
        ("of another deposit", first, receipt(providers[0], first, tokenId=sha256(b"another token"))),
        ("of a peer that has no part in it", first, receipt(other, first)),
        ("at a request that is not there", first, receipt(providers[0], second)),
        ("at the request of somebody else", foreign, receipt(providers[0], foreign)),
        ("at a request for another deposit", other_token, receipt(providers[0], other_token)),
        ("at a request to give a deposit up", given_up, receipt(providers[0], given_up)),
        ("a receipt of version 2", first, receipt(providers[0], first, version=2)),
        ("a receipt with one field more", first, receipt(providers[0], first, note="really")),
        ("no receipt", first, cbor({})),
    ]
    write("receipt/golden.json", {
        "token": token_bytes.hex(), "manifest": manifest.hex(), "tokenId": token_id.hex(),
        "seeds": [each.seed.hex() for each in providers], "roster": [each.peer for each in providers],
        "requests": [first.hex(), second.hex()], "receipts": [each.hex() for each in good],
        "file": cbor({"token": token_bytes, "manifest": manifest, "change": None, "requests": [first, second],
                      "receipts": good}).hex(),
        "destroyed": cbor({"token": token_bytes, "manifest": manifest, "change": None, "request": first,
                           "receipt": good[0]}).hex(),
        "wrong": [{"why": why, "request": request.hex(), "receipt": each.hex()} for why, request, each in wrong],
    })


def grant_lists():
    """Signed lists, each newer than the one before it; and what must not pass for one."""
    owner = Signer(seed_of("owner"))
    people = sorted(Signer(seed_of(name)).identity for name in ("ann", "bob", "cat"))
    token_id, both = sha256(b"token"), ["retrieve", "show"]

    def entry(identity, purposes=both, expires=None):
        return {"identity": identity, "purposes": purposes, "expiresAtMs": expires}

    def listing(version, made_at, grants, **changes):
        content = {"tokenId": token_id, "version": version, "madeAtMs": made_at, "grants": grants, **changes}
        return request_of(owner, "grant", content, name=f"{version} {made_at} {len(grants)}")

    lists = [
        listing(1, NOW_MS - 9, [entry(people[0])]),
        listing(1, NOW_MS - 8, [entry(people[1], ["show"], NOW_MS + 1)]),
        listing(2, NOW_MS - 99, []),
        listing(24, NOW_MS, [entry(people[0], ["retrieve"]), entry(people[1]), entry(people[2], both, 0)]),
    ]
    wrong = [
        ("version 0", listing(0, NOW_MS, [])),
        ("made after it was signed", listing(1, NOW_MS + 1, [])),
        ("the owner itself", listing(1, NOW_MS, [entry(owner.identity)])),
        ("somebody twice", listing(1, NOW_MS, [entry(people[0]), entry(people[0])])),
        ("not in order", listing(1, NOW_MS, [entry(people[1]), entry(people[0])])),
        ("no purpose", listing(1, NOW_MS, [entry(people[0], [])])),
        ("an unknown purpose", listing(1, NOW_MS, [entry(people[0], ["destroy"])])),
        ("purposes not in order", listing(1, NOW_MS, [entry(people[0], both[::-1])])),
        ("a purpose twice", listing(1, NOW_MS, [entry(people[0], ["show", "show"])])),
        ("no identity", listing(1, NOW_MS, [entry("bob")])),
        ("one field more", listing(1, NOW_MS, [], forever=True)),
        ("signed for another purpose", request_of(owner, "read", {
            "tokenId": token_id, "version": 1, "madeAtMs": NOW_MS, "grants": []})),
    ]
    write("grants/golden.json", {
        "owner": owner.identity, "people": people, "tokenId": token_id.hex(), "signedAtMs": NOW_MS,
        "lists": [each.hex() for each in lists],
        "wrong": [{"why": why, "request": each.hex()} for why, each in wrong],
    })


for make in (signatures, boxes_and_masks, tokens, messages, chains, audit_logs, destroyed_deposits, grant_lists):
    make()
