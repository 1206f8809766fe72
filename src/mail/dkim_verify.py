"""Verifies the DKIM signature of a mail with an implementation that is not ours (Debian's python3-dkim).

    dkim_verify.py <mail> <name of the key's record> <the record>

Exits with 0 when it is good, 1 when it is not, 77 when the module is missing.
"""

import sys

try:
    import dkim
except ImportError:
    sys.exit(77)

mail, name, record = sys.argv[1:]


def lookup(asked, **_):
    asked = asked.decode() if isinstance(asked, bytes) else asked
    return record.encode() if asked.rstrip(".") == name else None


with open(mail, "rb") as file:
    sys.exit(0 if dkim.verify(file.read(), dnsfunc=lookup) else 1)
