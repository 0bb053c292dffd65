# SPDX-License-Identifier: Apache-2.0
"""What a worker of the power campaign did, replayed: which trees may be there after a crash?

A worker (power-worker) writes an intent before each operation and an acknowledgement after it. All
bytes come in units that tell who wrote them, in which operation, for which offset. Promised:

- names and attributes: the state after one of the worker's operations, none earlier than the last
  acknowledged sync of anything and than what was acknowledged LATE seconds before the power went;
- bytes: of each file not older than its last acknowledged sync (or LATE); of later writes any part,
  but only bytes that the file had at that place since, and a size that it had since.
"""
import json
import os
import stat

UNIT = 64
SYNCS_FILE = ("fsync", "fdatasync", "write-sync")
SYNCS = SYNCS_FILE + ("sync-dir",)


def unit(worker, seq, offset):
    return f"{worker:08d} {seq:010d} {offset:016x} ".encode().ljust(UNIT - 1, b".") + b"\n"


def data(worker, seq, offset, size):
    return b"".join(unit(worker, seq, o) for o in range(offset, offset + size, UNIT))


class Log:
    """The operations of one worker: intents, and which were acknowledged when."""

    def __init__(self, path, size=None):
        self.ops = []
        self.acked = {}
        self.errors = []
        with open(path, "rb") as file:
            text = file.read() if size is None else file.read(size)
        for line in text.split(b"\n")[:-1]:
            record = json.loads(line)
            if record[0] == "ok":
                self.acked[record[1]] = (record[2], record[3])
            elif record[0] == "error":
                self.errors.append(record)
            else:
                self.ops.append(record)


class File:
    def __init__(self):
        self.events = []  # (seq, "write" | "truncate" | "sync", offset, size)


class Model:
    """Names and attributes after each operation."""

    def __init__(self, worker):
        self.worker = worker
        self.names = {}  # path -> key of what it names
        self.things = {}  # key -> [type, mode, xattrs, target]
        self.files = {}  # key -> File
        self.sizes = {}

    def new(self, seq, path, kind, mode, target=None):
        self.names[path] = seq
        self.things[seq] = [kind, mode, {}, target]
        if kind == "f":
            self.files[seq] = File()
            self.sizes[seq] = 0

    def apply(self, seq, op, args):
        names = self.names
        if op == "create":
            self.new(seq, args[0], "f", args[1])
        elif op == "mkdir":
            self.new(seq, args[0], "d", 0o755)
        elif op == "symlink":
            self.new(seq, args[1], "l", 0o777, args[0])
        elif op in ("write", "write-sync"):
            key = names[args[0]]
            self.files[key].events.append((seq, "write", args[1], args[2]))
            self.sizes[key] = max(self.sizes[key], args[1] + args[2])
            if op == "write-sync":
                self.files[key].events.append((seq, "sync", 0, 0))
        elif op == "truncate":
            key = names[args[0]]
            self.files[key].events.append((seq, "truncate", 0, args[1]))
            self.sizes[key] = args[1]
        elif op in ("fsync", "fdatasync"):
            self.files[names[args[0]]].events.append((seq, "sync", 0, 0))
        elif op == "rename":
            moved = [p for p in names if p == args[0] or p.startswith(args[0] + "/")]
            for path in moved:
                names[args[1] + path[len(args[0]):]] = names.pop(path)
        elif op == "link":
            names[args[1]] = names[args[0]]
        elif op in ("unlink", "rmdir"):
            del names[args[0]]
        elif op == "chmod":
            self.things[names[args[0]]][1] = args[1]
        elif op == "setxattr":
            self.things[names[args[0]]][2][args[1]] = args[2]
        elif op != "sync-dir":
            raise ValueError(op)

    def seen(self):
        """What a walk would find."""
        links = {}
        for key in self.names.values():
            links[key] = links.get(key, 0) + 1
        return {path: (self.things[key][0], self.things[key][1], tuple(sorted(self.things[key][2].items())),
                       self.things[key][3], links[key] if self.things[key][0] == "f" else 1)
                for path, key in self.names.items()}


def walk(root):
    """Path -> (type, mode, xattrs, target, links), and path -> inode number."""
    found, inodes = {}, {}
    for folder, dirs, files in os.walk(root):
        for name in dirs + files:
            path = os.path.join(folder, name)
            st = os.lstat(path)
            kind = {stat.S_IFREG: "f", stat.S_IFDIR: "d", stat.S_IFLNK: "l"}[stat.S_IFMT(st.st_mode)]
            xattrs = () if kind == "l" else tuple(
                (n, os.getxattr(path, n).decode()) for n in sorted(os.listxattr(path))
                if n.startswith("user.") and not n.startswith("user.varve."))
            short = os.path.relpath(path, root)
            found[short] = (kind, stat.S_IMODE(st.st_mode), xattrs,
                            os.readlink(path) if kind == "l" else None, st.st_nlink if kind == "f" else 1)
            inodes[short] = st.st_ino
    return found, inodes


def same_inodes(model, inodes, log):
    """Paths that name one thing have its inode number."""
    for path, key in model.names.items():
        known = log.acked.get(key, (0, 0))[1]
        if known and inodes[path] != known:
            return False
    return True


class Bounds:
    """From which operation on the state may be, and what is the last one it may show."""

    def __init__(self, log, acked_ops, now, late):
        old = [s for s in acked_ops if log.acked[s][0] < now - late]
        synced = [op[0] for op in log.ops if op[2] in SYNCS and op[0] in acked_ops]
        self.late = max(old, default=0)
        self.names = max([self.late] + synced)


def check_bytes(path, file, worker, content, bounds, acked_ops):
    """A complaint or None."""
    synced = [s for s, kind, _, _ in file.events if kind == "sync" and s in acked_ops]
    least = max(synced + [bounds.late])
    allowed, base = {}, {}  # offset of a unit -> stamps; 0 is a hole
    size = low = high = 0
    for seq, kind, offset, length in file.events:
        settled = seq <= least
        if kind == "write":
            for o in range(offset, offset + length, UNIT):
                base[o] = seq
                allowed[o] = {seq} if settled else allowed.get(o, {0}) | {seq}
            size = max(size, offset + length)
        elif kind == "truncate":
            for o in [o for o in base if o >= length]:
                del base[o]
                allowed[o] = {0} if settled else allowed[o] | {0}
            size = length
        else:
            continue
        low, high = (size, size) if settled else (min(low, size), max(high, size))
    if not low <= len(content) <= high:
        return f"{path}: {len(content)} bytes, should be {low} to {high} (durable up to operation {least})"
    for o in range(0, len(content), UNIT):
        piece = content[o:o + UNIT]
        may = allowed.get(o, {0})
        stamp = 0
        if len(piece) < 20:
            continue  # an append that was cut in the middle of a unit: whose it was cannot be told
        if piece.strip(b"\0"):
            try:
                stamp = int(piece[9:19])
            except ValueError:
                stamp = -1
            if stamp < 0 or piece != unit(worker, stamp, o)[:len(piece)]:
                return f"{path}: garbage at {o}: {piece[:40]!r}"
        if stamp not in may:
            return (f"{path}: at {o} of {len(content)} operation {stamp}, should be one of {sorted(may)[:8]} "
                    f"(durable up to {least})")
    return None


def check(root, log_path, size, now, late, worker, exact):
    """Compares the tree at root with a worker's log of which `size` bytes were written before the crash. Returns
    complaints, and how much was there to lose: (operations after the bound, files compared)."""
    before = Log(log_path, size)
    log = Log(log_path)
    acked = set(before.acked)
    bounds = Bounds(log, acked, now, late)
    # What was begun in that very moment may be there; if the size was not taken at it, all that was ever begun.
    last = max([s[0] for s in (before if exact else log).ops], default=0) + 1
    found, inodes = walk(root)
    model = Model(worker)
    match = bounds.names == 0 and not found
    state = None
    for record in log.ops:
        seq, op, args = record[0], record[2], record[3]
        if seq > last:
            break
        model.apply(seq, op, args)
        if seq >= bounds.names and model.seen() == found and same_inodes(model, inodes, log):
            match = True
            state = {path: model.files[key] for path, key in model.names.items() if key in model.files}
    if not match:
        return [difference(log, bounds, last, found, worker)], (0, 0)
    if state is None:
        return [], (0, 0)
    complaints, seen = [], 0
    for path in sorted(state):
        try:
            with open(os.path.join(root, path), "rb") as file:
                content = file.read()
            complaint = check_bytes(path, state[path], worker, content, bounds, acked)
        except OSError as error:
            complaint = f"{path}: {error}"
        seen += 1
        if complaint:
            complaints.append(complaint)
    return complaints, (last - bounds.names, seen)


def difference(log, bounds, last, found, worker):
    """Words about names that fit to no state: compared with the earliest that was promised."""
    model = Model(worker)
    for record in log.ops:
        if record[0] > max(bounds.names, 1):
            break
        model.apply(record[0], record[2], record[3])
    wanted = model.seen()
    words = [f"{p}: should be {wanted.get(p)}, is {found.get(p)}"
             for p in sorted(set(wanted) | set(found)) if wanted.get(p) != found.get(p)]
    return f"names fit to no state from operation {bounds.names} to {last}; to the first: " + "; ".join(words[:6])
