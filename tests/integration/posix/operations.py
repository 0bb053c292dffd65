# SPDX-License-Identifier: Apache-2.0
"""What users do on one filesystem, each in a process of his own, and how its tree then looks."""
import ctypes
import errno
import fcntl
import hashlib
import mmap
import os
import pickle
import resource
import shlex
import signal
import stat
import struct
import subprocess
import time

libc = ctypes.CDLL(None, use_errno=True)
AT_FDCWD, AT_REMOVEDIR, AT_SYMLINK_FOLLOW, AT_EMPTY_PATH = -100, 0x200, 0x400, 0x1000
USERS = {  # name: uid, gid, supplementary groups
    "root": (0, 0, []),
    "alice": (61001, 61001, [61050, 61051]),
    "bob": (61002, 61002, [61051]),
}
FLAGS = {name[2:].lower(): getattr(os, name) for name in dir(os) if name.startswith("O_")}
FLAGS["tmpfile"] = 0o20200000
FALLOCATE = {"keep": 1, "punch": 2, "norange": 4, "collapse": 8, "zero": 16, "insert": 32, "unshare": 64}
RENAME = {"noreplace": 1, "exchange": 2, "whiteout": 4}
WHENCE = {"set": 0, "cur": 1, "end": 2, "data": 3, "hole": 4, "none": 5}
ERRNO = {**errno.errorcode, errno.EOPNOTSUPP: "EOPNOTSUPP"}
ACL_TAGS = {"u": 2, "g": 8, "m": 16, "o": 32}


def number(text):
    scale = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}.get(text[-1:], 1)
    return int(text[:-1] if scale > 1 else text, 0) * scale


def flags_of(text, names):
    return sum(names[part] if part in names else int(part, 0) for part in text.split(",") if part != "0")


def called(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def path_bytes(text):
    """A name, or 'c*N': the character N times, 'a/(b*3)' likewise for parts."""
    parts = []
    for part in text.split("/"):
        if len(part) > 2 and part[1] == "*" and part[2:].isdigit():
            part = part[0] * int(part[2:])
        parts.append(part)
    return os.fsencode("/".join(parts))


def acl_value(text):
    """'u::7,u:61001:6,g::5,m::7,o::0' in the form of system.posix_acl_*; 'raw:HEX' for what is none."""
    if text.startswith("raw:"):
        return bytes.fromhex(text[4:])
    value = struct.pack("<I", 2)
    for entry in filter(None, text.split(",")):
        kind, who, perm = entry.split(":")
        tag = {"u": 1, "g": 4}.get(kind, ACL_TAGS[kind]) if who == "" else ACL_TAGS[kind]
        value += struct.pack("<HHI", tag, int(perm, 8), 0xFFFFFFFF if who == "" else int(who))
    return value


class Worker:
    """What one user does on one side; runs in a process of its own, in the side's directory."""

    def __init__(self):
        self.fds, self.dirs = {}, {}

    def fd(self, slot):
        if slot not in self.fds:
            raise OSError(errno.EBADF, "")
        return self.fds[slot]

    def keep(self, slot, fd):
        if slot in self.fds:
            os.close(self.fds[slot])
        self.fds[slot] = fd
        return "fd"

    # --- names ---
    def op_mkdir(self, path, mode="755"):
        called(libc.mkdirat(AT_FDCWD, path_bytes(path), int(mode, 8)))

    def op_create(self, path, mode="644"):
        os.close(os.open(path_bytes(path), os.O_CREAT | os.O_EXCL | os.O_WRONLY, int(mode, 8)))

    def op_mknod(self, path, kind, mode="644", major="0", minor="0"):
        types = {"fifo": stat.S_IFIFO, "sock": stat.S_IFSOCK, "char": stat.S_IFCHR, "block": stat.S_IFBLK,
                 "reg": stat.S_IFREG, "dir": stat.S_IFDIR, "none": 0, "link": stat.S_IFLNK}
        os.mknod(path_bytes(path), types[kind] | int(mode, 8), os.makedev(int(major), int(minor)))

    def op_symlink(self, target, path):
        os.symlink(path_bytes(target), path_bytes(path))

    def op_link(self, old, new, flags="0"):
        called(libc.linkat(AT_FDCWD, path_bytes(old), AT_FDCWD, path_bytes(new),
                           flags_of(flags, {"follow": AT_SYMLINK_FOLLOW})))

    def op_linkfd(self, slot, new):
        called(libc.linkat(AT_FDCWD, b"/proc/self/fd/%d" % self.fd(slot), AT_FDCWD, path_bytes(new),
                           AT_SYMLINK_FOLLOW))

    def op_unlink(self, path):
        called(libc.unlinkat(AT_FDCWD, path_bytes(path), 0))

    def op_rmdir(self, path):
        called(libc.unlinkat(AT_FDCWD, path_bytes(path), AT_REMOVEDIR))

    def op_rename(self, old, new, flags="0"):
        called(libc.renameat2(AT_FDCWD, path_bytes(old), AT_FDCWD, path_bytes(new), flags_of(flags, RENAME)))

    def op_readlink(self, path):
        return os.fsdecode(os.readlink(path_bytes(path)))

    def op_list(self, path):
        return " ".join(sorted(os.fsdecode(name) for name in os.listdir(path_bytes(path))))

    def op_types(self, path):
        with os.scandir(path_bytes(path)) as entries:
            return " ".join(sorted("%s%d" % (os.fsdecode(e.name), e.is_dir(follow_symlinks=False) + 2 * e.is_symlink())
                                   for e in entries))

    def op_chdir_and_list(self, path):
        here = os.open(".", os.O_PATH)
        try:
            os.chdir(path_bytes(path))
            return self.op_list(".")
        finally:
            os.fchdir(here)
            os.close(here)

    # --- attributes ---
    def op_umask(self, mode):
        os.umask(int(mode, 8))

    def op_chmod(self, path, mode):
        os.chmod(path_bytes(path), int(mode, 8))

    def op_chown(self, path, uid, gid):
        os.chown(path_bytes(path), int(uid), int(gid))

    def op_lchown(self, path, uid, gid):
        os.lchown(path_bytes(path), int(uid), int(gid))

    def op_truncate(self, path, size):
        os.truncate(path_bytes(path), number(size))

    def op_access(self, path, mode):
        called(libc.access(path_bytes(path), int(mode)))

    def op_stat(self, path):
        return self.facts(os.stat(path_bytes(path)))

    def op_lstat(self, path):
        return self.facts(os.lstat(path_bytes(path)))

    @staticmethod
    def facts(st):
        size = st.st_size if not stat.S_ISDIR(st.st_mode) else "-"
        return "%o %d:%d %d %s" % (st.st_mode, st.st_uid, st.st_gid, st.st_nlink, size)

    def op_utimens(self, path, atime, mtime, follow="follow"):
        times = [self.time_of(atime), self.time_of(mtime)]
        array = (ctypes.c_long * 4)(*times[0], *times[1])
        called(libc.utimensat(AT_FDCWD, path_bytes(path), array, 0 if follow == "follow" else 0x100))

    @staticmethod
    def time_of(text):
        special = {"now": (0, (1 << 30) - 1), "omit": (0, (1 << 30) - 2)}
        if text in special:
            return special[text]
        seconds, _, nanoseconds = text.partition(".")
        return int(seconds), int(nanoseconds or 0)

    def op_times(self, path):
        st = os.lstat(path_bytes(path))
        return "%d %d" % (st.st_atime_ns, st.st_mtime_ns)

    def op_born(self, path):
        """Does statx tell when it was made, and is that not after the last change?"""
        buffer = ctypes.create_string_buffer(256)
        called(libc.statx(AT_FDCWD, path_bytes(path), 0x100, 0xFFF, buffer))
        mask = struct.unpack_from("<I", buffer, 0)[0]
        born = struct.unpack_from("<qI", buffer, 80)
        changed = struct.unpack_from("<qI", buffer, 96)
        return "%s %s" % (bool(mask & 0x800), born <= changed)

    # --- extended attributes ---
    def op_setxattr(self, path, name, value, flags="0"):
        data = b"x" * number(value[1:]) if value.startswith("#") else value.encode()
        os.setxattr(path_bytes(path), name, data, flags_of(flags, {"create": 1, "replace": 2}), follow_symlinks=False)

    def op_getxattr(self, path, name):
        value = os.getxattr(path_bytes(path), name, follow_symlinks=False)
        return value.decode() if len(value) < 100 else "%d bytes" % len(value)

    def op_xattr_room(self, path, name, room):
        """getxattr into a buffer of `room` bytes; 0 asks for the size."""
        buffer = ctypes.create_string_buffer(max(1, int(room)))
        return called(libc.lgetxattr(path_bytes(path), name.encode(), buffer, int(room)))

    def op_listxattr(self, path):
        return " ".join(sorted(n for n in os.listxattr(path_bytes(path), follow_symlinks=False)))

    def op_listxattr_room(self, path, room):
        buffer = ctypes.create_string_buffer(max(1, int(room)))
        return called(libc.llistxattr(path_bytes(path), buffer, int(room)))

    def op_removexattr(self, path, name):
        os.removexattr(path_bytes(path), name, follow_symlinks=False)

    def op_setacl(self, path, value, flags="0"):
        os.setxattr(path_bytes(path), "system.posix_acl_access", acl_value(value),
                    flags_of(flags, {"create": 1, "replace": 2}))

    def op_setdefault(self, path, value):
        os.setxattr(path_bytes(path), "system.posix_acl_default", acl_value(value))

    def op_dropacl(self, path):
        os.removexattr(path_bytes(path), "system.posix_acl_access")

    def op_dropdefault(self, path):
        os.removexattr(path_bytes(path), "system.posix_acl_default")

    # --- open files ---
    def op_open(self, slot, path, flags, mode="644"):
        return self.keep(slot, os.open(path_bytes(path), flags_of(flags, FLAGS), int(mode, 8)))

    def op_tmpfile(self, slot, path, mode="600", flags="rdwr"):
        return self.keep(slot, os.open(path_bytes(path), FLAGS["tmpfile"] | flags_of(flags, FLAGS), int(mode, 8)))

    def op_close(self, slot):
        os.close(self.fd(slot))
        del self.fds[slot]

    def op_closeall(self):
        for fd in self.fds.values():
            os.close(fd)
        self.fds = {}

    def op_read(self, slot, size, offset=None):
        fd = self.fd(slot)
        data = os.read(fd, number(size)) if offset is None else os.pread(fd, number(size), number(offset))
        return repr(data) if len(data) <= 40 else "%d bytes, sum %d" % (len(data), sum(data))

    def op_write(self, slot, text, offset=None):
        data = b"w" * number(text[1:]) if text.startswith("#") else text.encode()
        fd = self.fd(slot)
        return os.write(fd, data) if offset is None else os.pwrite(fd, data, number(offset))

    def op_seek(self, slot, offset, whence="set"):
        return os.lseek(self.fd(slot), number(offset), WHENCE[whence])

    def op_fstat(self, slot):
        return self.facts(os.fstat(self.fd(slot)))

    def op_ftruncate(self, slot, size):
        os.ftruncate(self.fd(slot), number(size))

    def op_fchmod(self, slot, mode):
        os.fchmod(self.fd(slot), int(mode, 8))

    def op_fchown(self, slot, uid, gid):
        os.fchown(self.fd(slot), int(uid), int(gid))

    def op_fsync(self, slot):
        os.fsync(self.fd(slot))

    def op_fdatasync(self, slot):
        os.fdatasync(self.fd(slot))

    def op_fallocate(self, slot, mode, offset, size):
        called(libc.fallocate(self.fd(slot), flags_of(mode, FALLOCATE), ctypes.c_long(number(offset)),
                              ctypes.c_long(number(size))))

    def op_copy(self, source, at, target, to, size, flags="0"):
        a, b = ctypes.c_long(number(at)), ctypes.c_long(number(to))
        done = called(libc.copy_file_range(self.fd(source), ctypes.byref(a), self.fd(target), ctypes.byref(b),
                                           ctypes.c_size_t(number(size)), int(flags)))
        return done

    def op_fsetxattr(self, slot, name, value):
        os.setxattr(self.fd(slot), name, value.encode())

    def op_mapwrite(self, slot, offset, text):
        with mmap.mmap(self.fd(slot), 0) as area:
            area[number(offset):number(offset) + len(text)] = text.encode()
            area.flush()

    def op_mapread(self, slot, offset, size):
        with mmap.mmap(self.fd(slot), 0, prot=mmap.PROT_READ) as area:
            return repr(area[number(offset):number(offset) + number(size)])

    def op_getflags(self, slot):
        return "%o" % (fcntl.fcntl(self.fd(slot), fcntl.F_GETFL) & ~0o100000)

    def op_dwrite(self, slot, size, offset):
        """From aligned memory, as O_DIRECT wants it."""
        with mmap.mmap(-1, number(size)) as area:
            area.write(b"d" * number(size))
            return os.pwritev(self.fd(slot), [area], number(offset))

    def op_dread(self, slot, size, offset):
        with mmap.mmap(-1, number(size)) as area:
            done = os.preadv(self.fd(slot), [area], number(offset))
            return "%d %s" % (done, hash_of(area[:done]))

    def op_writev2(self, slot, text, offset, flags):
        """pwritev2 with RWF_*; offset -1 is the file's own."""
        names = {"append": 16, "dsync": 2, "sync": 4, "noappend": 32}
        return os.pwritev(self.fd(slot), [text.encode(), b"+"], int(offset), flags_of(flags, names))

    def op_sendfile(self, target, source, offset, size):
        return os.sendfile(self.fd(target), self.fd(source), number(offset), number(size))

    def op_splice(self, source, target, size):
        pipe = os.pipe()
        try:
            done = os.splice(self.fd(source), pipe[1], number(size))
            return os.splice(pipe[0], self.fd(target), done) if done else 0
        finally:
            os.close(pipe[0])
            os.close(pipe[1])

    def op_advise(self, slot, advice):
        os.posix_fadvise(self.fd(slot), 0, 0, int(advice))

    def op_syncrange(self, slot):
        called(libc.sync_file_range(self.fd(slot), ctypes.c_long(0), ctypes.c_long(0), 7))

    def op_syncfs(self, slot):
        called(libc.syncfs(self.fd(slot)))

    def op_limit(self, size):
        """RLIMIT_FSIZE of this user's process."""
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (number(size), resource.RLIM_INFINITY))

    def op_nolimit(self):
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def op_exec(self, path, *arguments):
        """Its exit code and output."""
        try:
            done = subprocess.run([b"./" + path_bytes(path), *arguments], stdout=subprocess.PIPE,
                                  stderr=subprocess.DEVNULL, timeout=20, check=False)
        except subprocess.TimeoutExpired:
            return "time is over"
        return "%d %r" % (done.returncode, done.stdout[:100])

    def op_install(self, program, path):
        """A copy of a program of the system."""
        with open(program, "rb") as source, open(path_bytes(path), "wb") as target:
            target.write(source.read())
        os.chmod(path_bytes(path), 0o755)

    def op_futimens(self, slot, atime, mtime):
        times = [self.time_of(atime), self.time_of(mtime)]
        array = (ctypes.c_long * 4)(*times[0], *times[1])
        called(libc.futimens(self.fd(slot), array))

    def op_lease(self, slot, kind):
        fcntl.fcntl(self.fd(slot), fcntl.F_SETLEASE, {"rd": 0, "wr": 1, "un": 2}[kind])

    def op_dup(self, old, new):
        return self.keep(new, os.dup(self.fd(old)))

    def op_openat(self, slot, directory, path, flags, mode="644"):
        return self.keep(slot, os.open(path_bytes(path), flags_of(flags, FLAGS), int(mode, 8), dir_fd=self.fd(directory)))

    def op_reopen(self, slot, old, flags):
        return self.keep(slot, os.open("/proc/self/fd/%d" % self.fd(old), flags_of(flags, FLAGS)))

    def op_watch(self):
        """What inotify tells of the directory from now on; events() asks."""
        self.fds["inotify"] = called(libc.inotify_init1(os.O_NONBLOCK))
        called(libc.inotify_add_watch(self.fds["inotify"], b".", 0xFFF))

    def op_events(self):
        data = os.read(self.fd("inotify"), 65536)
        told = []
        while data:
            _, mask, _, length = struct.unpack_from("iIII", data)
            told.append("%x:%s" % (mask, os.fsdecode(data[16:16 + length].rstrip(b"\0"))))
            data = data[16 + length:]
        return " ".join(told)

    # --- locks ---
    def op_flock(self, slot, kind):
        fcntl.flock(self.fd(slot), {"sh": 1, "ex": 2, "un": 8}[kind] | 4)

    def op_lock(self, slot, family, kind, start="0", length="0"):
        command = {"posix": fcntl.F_SETLK, "ofd": 37}[family]
        data = struct.pack("hhqqi4x", {"rd": 0, "wr": 1, "un": 2}[kind], 0, number(start), number(length), 0)
        fcntl.fcntl(self.fd(slot), command, data)

    def op_getlock(self, slot, family, kind, start="0", length="0"):
        command = {"posix": fcntl.F_GETLK, "ofd": 36}[family]
        data = struct.pack("hhqqi4x", {"rd": 0, "wr": 1}[kind], 0, number(start), number(length), 0)
        got = struct.unpack("hhqqi4x", fcntl.fcntl(self.fd(slot), command, data))
        return "%d %d %d" % (got[0], got[2], got[3]) if got[0] != 2 else "free"

    # --- directories ---
    def op_statfs(self, path):
        st = os.statvfs(path_bytes(path))
        return "%d %s" % (st.f_namemax, st.f_bavail <= st.f_bfree <= st.f_blocks)

    def run(self, line):
        words = shlex.split(line)
        try:
            result = getattr(self, "op_" + words[0])(*words[1:])
        except OSError as error:
            return ERRNO.get(error.errno, str(error.errno))
        except ValueError as error:  # Python's own refusals (mmap of nothing)
            return "ValueError %s" % error
        return "ok" if result is None else str(result)


class Tree:
    """Describes the tree in the current directory, with inodes numbered in the order of their first sight."""

    def __init__(self):
        self.seen, self.next_number = {}, 0

    def describe(self, contents):
        tree, alive = {}, {}
        self.walk(b".", tree, alive, contents)
        self.seen = alive
        return tree

    def identity(self, st, alive):
        key = st.st_ino
        if key in alive:
            return alive[key][0], alive[key][1]
        name, before = self.seen.get(key, (None, None))
        if name is None:
            name = self.next_number
            self.next_number += 1
        alive[key] = (name, before)
        return name, before

    def walk(self, path, tree, alive, contents):
        st = os.lstat(path)
        name, before = self.identity(st, alive)
        tree[os.fsdecode(path)] = self.entry(path, st, name, before, contents)
        alive[st.st_ino] = (name, before)
        if stat.S_ISDIR(st.st_mode):
            for child in sorted(os.listdir(path)):
                self.walk(path + b"/" + child, tree, alive, contents)

    def entry(self, path, st, name, before, contents):
        facts = ["#%d" % name, "%o" % st.st_mode, "%d:%d" % (st.st_uid, st.st_gid), "%d" % st.st_nlink]
        if not stat.S_ISDIR(st.st_mode):
            facts.append("size=%d" % st.st_size)
        if stat.S_ISCHR(st.st_mode) or stat.S_ISBLK(st.st_mode):
            facts.append("dev=%d,%d" % (os.major(st.st_rdev), os.minor(st.st_rdev)))
        if stat.S_ISLNK(st.st_mode) and contents:
            facts.append("-> %r" % os.readlink(path)[:80])
        for xattr in sorted(os.listxattr(path, follow_symlinks=False)):
            if xattr != "security.selinux":
                value = os.getxattr(path, xattr, follow_symlinks=False)
                facts.append("%s=%s" % (xattr, value.hex() if len(value) < 100 else len(value)))
        facts.append("times:" + self.moved(st))
        if contents and stat.S_ISREG(st.st_mode) and st.st_size < 1 << 22:
            with open(path, "rb") as stream:
                facts.append("data=%s" % hash_of(stream.read()))
        return " ".join(facts)

    def moved(self, st):
        now = time.time_ns()
        times = {"m": st.st_mtime_ns, "c": st.st_ctime_ns}  # reads from the page cache leave no atime with us
        before = self.times.get(st.st_ino)
        self.new_times[st.st_ino] = times
        old = ["%s=%d" % (k, v) for k, v in times.items() if abs(now - v) > 3600 * 10**9]
        if before is None:
            return ",".join(["new"] + old)
        return ",".join([k for k in times if times[k] != before[k]] + old)

    times, new_times = {}, {}


def hash_of(data):
    return hashlib.sha256(data).hexdigest()[:16]


class Describer(Worker):
    """Root's process that describes the tree."""

    def __init__(self):
        super().__init__()
        self.tree = Tree()

    def run(self, line):
        if line == "!reset":
            self.tree = Tree()
            return "ok"
        if line not in ("!look", "!contents"):
            return super().run(line)
        self.tree.new_times = {}
        found = self.tree.describe(line == "!contents")
        self.tree.times = self.tree.new_times
        return found


def serve(worker, base, user, commands, answers):
    uid, gid, groups = USERS[user]
    os.chdir(base)
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)
    os.umask(0o022)
    while True:
        try:
            line = pickle.load(commands)
        except EOFError:
            os._exit(0)
        if line.startswith("!cd "):
            os.chdir(base)
            os.chdir(line[4:])
            answer = "ok"
        else:
            answer = worker.run(line)
        pickle.dump(answer, answers)
        answers.flush()


class Process:
    def __init__(self, base, user, worker):
        command_read, command_write = os.pipe()
        answer_read, answer_write = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(command_write)
            os.close(answer_read)
            serve(worker, base, user, os.fdopen(command_read, "rb"), os.fdopen(answer_write, "wb"))
        os.close(command_read)
        os.close(answer_write)
        self.commands, self.answers = os.fdopen(command_write, "wb"), os.fdopen(answer_read, "rb")

    def stop(self):
        self.commands.close()
        os.waitpid(self.pid, 0)

    def ask(self, line):
        pickle.dump(line, self.commands)
        self.commands.flush()
        return pickle.load(self.answers)


class Side:
    def __init__(self, base):
        self.base = base
        self.describer = Process(base, "root", Describer())
        self.users = {user: Process(base, user, Worker()) for user in USERS}
        self.dead = set()

    def stop(self):
        """The last one first: each has the pipes of those that were made before it."""
        for process in [*reversed(self.users.values()), self.describer]:
            process.stop()

    def make(self, name):
        path = os.path.join(self.base, name)
        os.mkdir(path)
        os.chmod(path, 0o777)

    def enter(self, name):
        for process in [self.describer, *self.users.values()]:
            process.ask("!cd " + name)
        for user in self.users.values():
            user.ask("umask 022")
            user.ask("nolimit")
        self.describer.ask("!reset")
        self.describer.ask("!look")

    def leave(self):
        for process in self.users.values():
            process.ask("closeall")
            process.ask("!cd .")
        self.describer.ask("!cd .")

    def remove(self, name):
        subprocess.run(["rm", "-rf", "--", os.path.join(self.base, name)], check=True)
