# SPDX-License-Identifier: Apache-2.0
"""Random operations in the words of the tables, the same for each seed."""
import random

NAMES = ["a", "b", "c", "d", "d/a", "d/b", "d/e", "d/e/a", "f", "f/a", "s", "d/s"]
MODES = ["000", "400", "600", "640", "644", "660", "664", "666", "700", "711", "750", "755", "770", "775", "777", "1777",
         "1755"]
# Setgid for directories only: of files that the kernel writes by itself while they get such bits, docs/posix.md says more.
DIRECTORY_MODES = MODES + ["2755", "2775", "2777", "2711"]
IDS = ["-1", "0", "61001", "61002", "61050", "61051"]
ACLS = ["u::7,g::5,o::5", "u::6,u:61002:6,g::4,m::6,o::0", "u::7,u:61001:5,g::7,g:61051:7,m::5,o::1",
        "u::7,g::0,g:61050:6,m::7,o::0", "u::7,u:61001:7,u:61002:0,g::5,m::7,o::5", "u::6,g::6,m::4,o::4",
        "u::0,u:61001:7,g::0,m::7,o::0", "u::7,g::7,o::0"]
XATTRS = ["user.a", "user.b", "trusted.a", "security.x"]
OPENS = ["rdonly", "wronly", "rdwr", "rdwr,creat", "wronly,creat,excl", "wronly,trunc", "wronly,append", "rdwr,creat,trunc",
         "rdonly,directory", "rdonly,nofollow", "wronly,creat,append"]


class Random:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.user = "root"

    def pick(self, choices):
        return self.rng.choice(choices)

    def name(self):
        return self.pick(NAMES)

    def slot(self):
        return self.pick("01")

    def names(self):
        n, p = self.name, self.pick
        table = [
            (10, lambda: "mkdir %s %s" % (n(), p(DIRECTORY_MODES))), (10, lambda: "create %s %s" % (n(), p(MODES))),
            (3, lambda: "mknod %s %s %s 1 3" % (n(), p(["sock", "reg"]), p(MODES))),
            (4, lambda: "symlink %s %s" % (p(NAMES + ["none", "../c", "."]), n())), (6, lambda: "link %s %s" % (n(), n())),
            (6, lambda: "unlink %s" % n()), (3, lambda: "rmdir %s" % n()), (10, lambda: "rename %s %s" % (n(), n())),
            (4, lambda: "rename %s %s %s" % (n(), n(), p(["noreplace", "exchange", "exchange"]))),
            (3, lambda: "list %s" % n()), (2, lambda: "umask %s" % p(["022", "077", "002", "027", "000"])),
        ]
        return table

    def attributes(self):
        n, p = self.name, self.pick
        return [
            (10, lambda: "chmod %s %s" % (n(), p(MODES))), (8, lambda: "chown %s %s %s" % (n(), p(IDS), p(IDS))),
            (2, lambda: "lchown %s %s %s" % (n(), p(IDS), p(IDS))), (4, lambda: "truncate %s %s" % (n(), p(["0", "5", "9000"]))),
            (4, lambda: "access %s %s" % (n(), p("01234567"))),
            (3, lambda: "utimens %s %s %s" % (n(), p(["now", "omit", "5.7"]), p(["now", "omit", "9.000000001"]))),
            (4, lambda: "setxattr %s %s v%d" % (n(), p(XATTRS), self.rng.randrange(3))),
            (2, lambda: "removexattr %s %s" % (n(), p(XATTRS))), (2, lambda: "listxattr %s" % n()),
            (6, lambda: "setacl %s %s" % (n(), p(ACLS))), (6, lambda: "setdefault %s %s" % (n(), p(ACLS))),
            (1, lambda: "dropacl %s" % n()), (1, lambda: "dropdefault %s" % n()), (2, lambda: "getxattr %s user.a" % n()),
        ]

    def files(self):
        n, p, s = self.name, self.pick, self.slot
        size = lambda: p(["0", "1", "100", "4k", "5000", "64k"])
        return [
            (10, lambda: "open %s %s %s,nonblock %s" % (s(), n(), p(OPENS), p(MODES))), (4, lambda: "close %s" % s()),
            (8, lambda: "write %s #%s %s" % (s(), size(), size())), (3, lambda: "write %s abc" % s()),
            (4, lambda: "read %s %s %s" % (s(), size(), size())), (3, lambda: "ftruncate %s %s" % (s(), size())),
            (3, lambda: "fstat %s" % s()), (2, lambda: "fchmod %s %s" % (s(), p(MODES))),
            (2, lambda: "fchown %s %s %s" % (s(), p(IDS), p(IDS))), (2, lambda: "tmpfile %s %s %s" % (s(), p([".", "d"]), p(MODES))),
            (2, lambda: "linkfd %s %s" % (s(), n())), (1, lambda: "fsync %s" % s()),
            (3, lambda: "fallocate %s %s %s %s" % (s(), p(["0", "keep", "punch,keep", "zero", "zero,keep"]), size(), size())),
            (2, lambda: "copy 0 %s 1 %s %s" % (size(), size(), size())),
            (2, lambda: "seek %s %s %s" % (s(), size(), p(["set", "cur"]))),
        ]

    def line(self, table):
        make = self.rng.choices([make for _, make in table], [weight for weight, _ in table])[0]
        if self.rng.random() < 0.3:
            self.user = self.rng.choices(["root", "alice", "bob"], [4, 5, 2])[0]
        return "%s: %s" % (self.user, make())

    def sequence(self, length):
        table = self.names() + self.attributes() + self.files()
        yield "alice: mkdir d 775", None
        if self.rng.random() < 0.8:
            for line in ("alice: mkdir d/e 755", "alice: create a 664", "root: mkdir f 1777", "bob: create f/a 644",
                         "root: create b 666", "alice: open 0 a rdwr", "root: open 0 b rdwr", "bob: tmpfile 0 . 640"):
                yield line, None
        for _ in range(length):
            yield self.line(table), None
