"""Check the AWS SigV4 signatures in a log of nginx, by the standard library.

sigv4.py LOG KEY SECRET REGION: each line is
METHOD URI STATUS BYTES HOST DATE CONTENT-SHA256 TOKEN|AUTHORIZATION
and the signature must be what the secret gives. Prints how many there were.
"""

import hashlib
import hmac
import re
import sys


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def expected(line, secret, region):
    first, authorization = line.rstrip("\n").split("|")
    method, uri, _, _, host, date, content, token = first.split(" ")
    names = re.search("SignedHeaders=([^,]*)", authorization).group(1)
    values = {
        "host": host,
        "x-amz-date": date,
        "x-amz-content-sha256": content,
        "x-amz-security-token": token,
    }
    path, _, query = uri.partition("?")
    headers = "".join(f"{n}:{values[n]}\n" for n in names.split(";"))
    request = "\n".join([method, path, query, headers, names, content])
    scope = f"{date[:8]}/{region}/s3/aws4_request"
    digest = hashlib.sha256(request.encode()).hexdigest()
    text = f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = sign(key, part)
    return scope, names, sign(key, text).hex()


def main():
    log, key, secret, region = sys.argv[1:5]
    count = 0
    with open(log, encoding="utf-8") as lines:
        for line in lines:
            scope, names, signature = expected(line, secret, region)
            wanted = (
                f"AWS4-HMAC-SHA256 Credential={key}/{scope}, "
                f"SignedHeaders={names}, Signature={signature}"
            )
            if line.rstrip("\n").split("|")[1] != wanted:
                sys.exit(f"{line}wanted: {wanted}")
            if {"host", "x-amz-date", "x-amz-content-sha256"} - set(names.split(";")):
                sys.exit(f"{line}signs too little: {names}")
            count += 1
    print(count)
    sys.exit(0 if count > 0 else "no requests")


main()
