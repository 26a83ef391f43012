"""Sends a request for each METHOD URL of the command line; ends with 1 at the first that has no success."""

import ssl
import sys
import urllib.request

# A Service's name is in no certificate.
context = ssl._create_unverified_context()

for method, url in zip(sys.argv[1::2], sys.argv[2::2], strict=True):
    request = urllib.request.Request(url, method=method)
    with urllib.request.urlopen(request, timeout=30, context=context) as answer:
        sys.stdout.write(f"{method} {url} {answer.status} {answer.headers.get('Pushgate-State', '')}\n")
