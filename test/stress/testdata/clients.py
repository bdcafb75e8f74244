# SPDX-License-Identifier: Apache-2.0
"""Two SMB clients at once.

usage: clients.py shared     one file used by both: share modes, data, delete on close
       clients.py [-r] ids   prints the file ID of each file, visited in (reverse) order
"""

import os
import sys

from samba import NTSTATUSError, ntstatus
from samba.credentials import DONT_USE_KERBEROS, Credentials
from samba.param import LoadParm
from samba.samba3 import libsmb_samba_internal as libsmb
from samba.samba3 import param

CONFIG = "/tmp/smb.conf"
ALL_ACCESS = 0x1F01FF
SHARE_ALL = 7  # read, write and delete
OPEN, OPEN_IF = 1, 3
INTERNAL = 6  # FileInternalInformation: the file ID


def connect():
    lp = LoadParm(CONFIG)
    context = param.get_context()
    context.load(CONFIG)
    creds = Credentials()
    creds.guess(lp)
    creds.set_kerberos_state(DONT_USE_KERBEROS)
    creds.set_username("root")
    creds.set_password("pw")
    return libsmb.Conn("127.0.0.1", "nine", context, creds)


def refused(status, f, *args, **kwargs):
    try:
        f(*args, **kwargs)
    except NTSTATUSError as e:
        assert e.args[0] == status, e
        return
    raise AssertionError("not refused")


def shared():
    a, b = connect(), connect()

    # Nobody else may open what one has for itself.
    f = a.create("alone", DesiredAccess=ALL_ACCESS, ShareAccess=0, CreateDisposition=OPEN_IF)
    refused(ntstatus.NT_STATUS_SHARING_VIOLATION, b.create, "alone",
            DesiredAccess=ALL_ACCESS, ShareAccess=SHARE_ALL, CreateDisposition=OPEN)
    a.close(f)
    b.close(b.create("alone", DesiredAccess=ALL_ACCESS, ShareAccess=SHARE_ALL, CreateDisposition=OPEN))

    # What one writes the other reads at once.
    f, g = (c.create("both", DesiredAccess=ALL_ACCESS, ShareAccess=SHARE_ALL, CreateDisposition=OPEN_IF) for c in (a, b))
    for n in range(50):
        writer, reader = ((a, f), (b, g)) if n % 2 else ((b, g), (a, f))
        data = os.urandom(1 + n * 997)
        writer[0].write(writer[1], data, n * 100)
        got = reader[0].read(reader[1], n * 100, len(data))
        assert got == data, f"round {n}: {len(got)} bytes, want {len(data)}"
    a.rename("both", "renamed")
    assert b.read(g, 49 * 100, len(data)) == data

    # A file that is to be deleted goes with its last user.
    a.delete_on_close(f, True)
    a.close(f)
    assert os.path.exists("/mnt/nine/renamed")
    refused(ntstatus.NT_STATUS_DELETE_PENDING, a.create, "renamed",
            DesiredAccess=ALL_ACCESS, ShareAccess=SHARE_ALL, CreateDisposition=OPEN)
    assert b.read(g, 49 * 100, len(data)) == data
    b.close(g)
    assert not os.path.exists("/mnt/nine/renamed")


def ids(reverse):
    c = connect()

    def visit(folder):
        names = sorted((e["name"] for e in c.list(folder, "*")), reverse=reverse)
        for name in names:
            path = folder + "\\" + name if folder else name
            f = c.create(path, DesiredAccess=0x80, ShareAccess=SHARE_ALL, CreateDisposition=OPEN)
            lines.append(f"{path} {int.from_bytes(c.qfileinfo(f, INTERNAL), 'little')}")
            c.close(f)
            if os.path.isdir("/mnt/nine/" + path.replace("\\", "/")):
                visit(path)

    lines = []
    visit("")
    print("\n".join(sorted(lines)))


if sys.argv[-1] == "shared":
    shared()
else:
    ids("-r" in sys.argv)
