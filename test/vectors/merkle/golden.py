# Writes golden.json beside it: trees by the recursive definitions of RFC 6962 section 2.1, signatures by the `cryptography` package.
import hashlib, json, struct
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
H=lambda b: hashlib.sha256(b).digest()
leaf=lambda d: H(b"\0"+d)
def k(n):
    p=1
    while p*2<n: p*=2
    return p
def mth(D):
    if len(D)==1: return leaf(D[0])
    s=k(len(D)); return H(b"\1"+mth(D[:s])+mth(D[s:]))
def path(m,D):
    if len(D)==1: return []
    s=k(len(D))
    return path(m,D[:s])+[mth(D[s:])] if m<s else path(m-s,D[s:])+[mth(D[:s])]
ct=[b"",b"\0",b"\x10",bytes.fromhex("2021"),bytes.fromhex("3031"),bytes.fromhex("40414243"),bytes.fromhex("5051525354555657"),bytes.fromhex("606162636465666768696a6b6c6d6e6f")]
known=["6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d","fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125","aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77","d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7","4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4","76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef","ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c","5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"]
for n in range(1,9): assert mth(ct[:n]).hex()==known[n-1], n
seed=bytes(range(32)); key=Ed25519PrivateKey.from_private_bytes(seed)
pub=key.public_key().public_bytes_raw()
domain="intercloud/test/v1"
def sig(D, dom="intercloud/lot/v1 "+domain, size=None):
    return key.sign(dom.encode()+b"\0"+struct.pack(">I",size or len(D))+mth(D))
def whole(s,i,n,p): return (s+struct.pack(">II",i,n)+b"".join(p)).hex()
good=[]; wrong=[]
def w(why,st,sg): wrong.append({"why":why,"statement":st.hex(),"signature":sg})
for n in (1,2,3,7,8):
    D=ct[:n]; s=sig(D)
    for i in sorted({0,n//2,n-1}): good.append({"size":n,"index":i,"statement":D[i].hex(),"signature":whole(s,i,n,path(i,D))})
D=ct[:7]; s=sig(D); p=path(3,D)
good.append({"size":0,"index":0,"statement":D[3].hex(),"signature":key.sign(domain.encode()+b"\0"+D[3]).hex()})
w("another statement of the same lot",D[4],whole(s,3,7,p))
w("another place",D[3],whole(s,2,7,p))
w("another size with the same path length",D[3],whole(s,3,8,p))
w("a place behind the end",D[3],whole(s,7,7,p))
w("a node too few",D[3],whole(s,3,7,p[:-1]))
w("a node too many",D[3],whole(s,3,7,p+[p[0]]))
w("the nodes in another order",D[3],whole(s,3,7,p[::-1]))
w("the two subtrees of a node as a statement",mth(D[2:3])+mth(D[3:4]),whole(s,1,4,p[1:]))
w("signed under the domain of a single statement",D[3],whole(sig(D,domain),3,7,p))
w("the root signed as a single statement",D[3],whole(key.sign(domain.encode()+b"\0"+mth(D)),3,7,p))
w("signed for another size",D[3],whole(sig(D,size=8),3,7,p))
w("of another domain",D[3],whole(sig(D,"intercloud/lot/v1 intercloud/other/v1"),3,7,p))
w("the signature of a lot of one, cut to that of a single statement",ct[0],sig(ct[:1]).hex())
w("a single signature as that of a lot of one",ct[0],whole(key.sign(domain.encode()+b"\0"+ct[0]),0,1,[]))
w("cut in its place",D[3],whole(s,3,7,p)[:2*66])
w("a size of zero",ct[0],whole(sig(ct[:1]),0,0,[]))
D2=[bytes([i//256,i%256]) for i in range(4097)]; 
w("a lot that is too large",D2[0],whole(sig(D2),0,4097,path(0,D2)))
out={"source":"python 3, hashlib and cryptography (Ed25519): the recursive definitions of RFC 6962 section 2.1; the roots of the first eight leaves are those of the test of certificate-transparency","domain":domain,"publicKey":pub.hex(),"leaves":[x.hex() for x in ct],"roots":known,"right":good,"wrong":wrong}


open(__file__.replace(".py",".json"),"w").write(json.dumps(out,indent=2)+"\n")
