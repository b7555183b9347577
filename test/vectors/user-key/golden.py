"""Makes golden.json: the X25519 key that follows from an Ed25519 identity key. Needs the Python package `cryptography`; shares no code with
what is tested. Run: python3 golden.py > golden.json"""
import hashlib
import json

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

DOMAIN = b"intercloud/user-key/v1"


def raw(key):
    return key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)


def user_key(seed):
    identity = Ed25519PrivateKey.from_private_bytes(seed)
    signature = identity.sign(DOMAIN + b"\x00")
    secret = HKDF(algorithm=hashes.SHA256(), length=32, salt=raw(identity.public_key()), info=DOMAIN).derive(signature)
    return raw(X25519PrivateKey.from_private_bytes(secret).public_key())


seeds = [bytes(range(32)), bytes(32), hashlib.sha256(b"intercloud").digest()]
vectors = [{"seed": seed.hex(), "userKey": user_key(seed).hex()} for seed in seeds]
print(json.dumps({"source": "made by test/vectors/user-key/golden.py, which shares no code with the implementation", "vectors": vectors}, indent=2))
