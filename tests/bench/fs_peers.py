# SPDX-License-Identifier: Apache-2.0
"""The filesystems that tests/bench/fs compares: each is mounted over a folder of one backing filesystem."""
import json
import os
import shutil
import subprocess
import sys
import time

URING = "/sys/module/fuse/parameters/enable_uring"
PEERS_DIR = os.environ.get("VARVE_BENCH_PEERS", "/usr/local/libexec/varve-bench")
TICK_US = 1_000_000 // os.sysconf("SC_CLK_TCK")
MOUNT_SECONDS = 20
STOP_SECONDS = 60


class Missing(Exception):
    """This peer cannot be had here; its text says why."""


def run(*command, **options):
    return subprocess.run(command, check=True, capture_output=True, text=True, **options)


def is_mounted(path):
    with open("/proc/self/mountinfo", encoding="utf-8") as lines:
        return any(line.split()[4] == path for line in lines)


def read_word(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


class Backing:
    """One fresh ext4 in a file that holds everything of everybody, or a plain folder where that cannot be."""

    def __init__(self, work, mib, plain):
        self.path = os.path.join(work, "backing")
        self.image = os.path.join(work, "backing.img")
        self.mounted = False
        self.device = None
        os.mkdir(self.path)
        self.words = f"plain folder on {self.type_of(work)}"
        if not plain:
            self.try_image(mib)

    @staticmethod
    def type_of(path):
        return run("stat", "-f", "-c", "%T", path).stdout.strip()

    def try_image(self, mib):
        try:
            run("truncate", "-s", f"{mib}M", self.image)
            run("mkfs.ext4", "-q", "-E", "lazy_itable_init=0,lazy_journal_init=0", self.image)
            # Direct: else every byte is cached twice, and a cold read is none.
            self.device = run("losetup", "--find", "--show", "--direct-io=on", self.image).stdout.strip()
            run("mount", self.device, self.path)
            self.mounted = True
            self.words = f"fresh ext4 of {mib} MiB in a loop device with direct I/O"
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"fs: no loop device, a plain folder instead ({getattr(error, 'stderr', error)})", file=sys.stderr)
            self.close()

    def flush(self):
        subprocess.run(["sync", "-f", self.path], check=False)

    def give_back(self):
        """Deleted blocks leave the image, so that it stays small."""
        if self.mounted:
            subprocess.run(["fstrim", self.path], check=False, capture_output=True)

    def close(self):
        end = time.monotonic() + STOP_SECONDS
        # Busy for a moment: what a FUSE connection held open is closed after its daemon is gone.
        while self.mounted and subprocess.run(["umount", self.path], check=False, capture_output=True).returncode:
            if time.monotonic() > end:
                print(f"fs: {self.path} stays mounted: somebody uses it", file=sys.stderr)
                return
            time.sleep(0.1)
        if self.device:
            subprocess.run(["losetup", "-d", self.device], check=False)
        self.mounted, self.device = False, None
        if os.path.exists(self.image):
            os.unlink(self.image)


class Peer:
    """`dir` is where to work. Subclasses say how a daemon comes to serve it; without one it is the backing itself."""
    uring = False
    works = ("",)  # beginnings of the names of what it can do

    def __init__(self, name, what):
        self.name, self.what = name, what
        self.daemon, self.mount_point, self.dir = None, None, None

    def start(self, backing, mounts):
        self.dir = os.path.join(backing.path, self.name)
        os.mkdir(self.dir)

    def prepare(self, backing):
        """Makes the folder behind the mount; gives the command that serves it in the foreground."""
        raise NotImplementedError

    def does(self, work):
        return work.startswith(self.works)

    def stop(self):
        if not self.daemon:
            return
        if is_mounted(self.mount_point):
            subprocess.run(["umount", self.mount_point], check=False)
        try:
            self.daemon.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        if is_mounted(self.mount_point):
            subprocess.run(["umount", "-l", self.mount_point], check=False)
        self.daemon = None

    def cpu_us(self):
        """User and system time of the daemon so far."""
        if not self.daemon:
            return 0
        with open(f"/proc/{self.daemon.pid}/stat", encoding="utf-8") as file:
            fields = file.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * TICK_US


class Mounted(Peer):
    def start(self, backing, mounts):
        self.mount_point = os.path.join(mounts, self.name)
        os.mkdir(self.mount_point)
        command = self.prepare(backing)
        with open(os.path.join(mounts, self.name + ".log"), "w", encoding="utf-8") as log:
            self.daemon = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + MOUNT_SECONDS
        while not is_mounted(self.mount_point):
            if self.daemon.poll() is not None or time.monotonic() > end:
                self.stop()
                with open(os.path.join(mounts, self.name + ".log"), encoding="utf-8") as log:
                    raise Missing(f"it does not mount: {log.read().strip()[-300:]}")
            time.sleep(0.02)
        self.dir = os.path.join(self.mount_point, "bench")
        os.mkdir(self.dir)  # also waits until it answers


class PassthroughHp(Mounted):
    """libfuse's example; `killpriv`: with FUSE_CAP_HANDLE_KILLPRIV_V2, for which it has no option (install-deps)."""

    def __init__(self, name, what, uring=False, killpriv=False, splice=True):
        super().__init__(name, what)
        self.uring, self.splice = uring, splice
        self.program = os.path.join(PEERS_DIR, "passthrough_hp" + ("_killpriv_v2" if killpriv else ""))

    def prepare(self, backing):
        if not os.access(self.program, os.X_OK):
            raise Missing("not built: tools/install-deps --peers")
        source = os.path.join(backing.path, self.name)
        os.mkdir(source)
        options = "allow_other" + (",io_uring" if self.uring else "")
        more = [] if self.splice else ["--nosplice"]
        return [self.program, "--foreground", *more, "-o", options, source, self.mount_point]


class MergerFs(Mounted):
    def prepare(self, backing):
        if not shutil.which("mergerfs"):
            raise Missing("not installed: tools/install-deps --peers")
        source = os.path.join(backing.path, self.name)
        os.mkdir(source)
        # Pages stay cached from one open to the next; by default it wants 4 GiB free for every create.
        options = "allow_other,use_ino,cache.files=auto-full,category.create=ff,minfreespace=0"
        return ["mergerfs", "-f", "-o", options, source, self.mount_point]


class Floor(Mounted):
    """floorfs: answers what varve answers, from memory, with nothing behind: below it no filesystem in FUSE can go."""
    works = ("create", "stat", "unlink")

    def __init__(self, name, what, program, files, uring=False):
        super().__init__(name, what)
        self.program, self.files, self.uring = program, files, uring

    def prepare(self, backing):
        source = os.path.join(backing.path, self.name)
        os.mkdir(source)
        options = "allow_other,default_permissions" + (",io_uring" if self.uring else "")
        return [self.program, source, str(self.files + 64), "-f", "-o", options, self.mount_point]


class Varve(Mounted):
    """A new archive with the configuration that `varve init` writes; only the discs of its library are small."""

    def __init__(self, name, what, program, uring=False):
        super().__init__(name, what)
        self.program, self.uring = program, uring
        self.archive = None

    def prepare(self, backing):
        self.archive = os.path.join(backing.path, self.name)
        run(self.program, "init", self.archive, "--media", "64MiB", "--slots", "6", "--drives", "1", "--set", "1+1")
        return [self.program, "mount", self.archive, self.mount_point, "--foreground",
                *([] if self.uring else ["--option", "nouring"])]

    def start(self, backing, mounts):
        super().start(backing, mounts)
        features = json.loads(run(self.program, "status", self.archive, "--json").stdout).get("kernel", {})
        if self.uring and not features.get("io_uring"):
            self.stop()
            raise Missing(f"no io_uring: {features.get('io_uring_why', 'varve does not say why')}")
        if not features.get("passthrough"):
            print(f"fs: {self.name} has no passthrough: {features.get('passthrough_why')}", file=sys.stderr)


def all_peers(build, old=None, files=1):
    """`old`: another varve program, to see what a change does. `files`: how many there will be at most."""
    varve = os.path.join(build, "tools", "varve")
    floor = os.path.join(build, "tests", "bench", "floorfs")
    more = [Varve("old", "the program of --old without io_uring", old),
            Varve("old-uring", "the program of --old with io_uring", old, uring=True)] if old else []
    return more + [
        Peer("ext4", "the backing filesystem itself"),
        Floor("floor", "a table in memory behind the same FUSE options: the limit", floor, files),
        Floor("floor-uring", "floor with -o io_uring", floor, files, uring=True),
        PassthroughHp("hp", "libfuse's passthrough_hp, passthrough on"),
        PassthroughHp("hp-v2", "hp with HANDLE_KILLPRIV_V2, --nosplice: as varve asks the kernel",
                      killpriv=True, splice=False),
        PassthroughHp("hp-uring", "hp with -o io_uring", uring=True),
        PassthroughHp("hp-v2-uring", "hp-v2 with -o io_uring", uring=True, killpriv=True, splice=False),
        MergerFs("mergerfs", "the distribution's mergerfs, one branch"),
        Varve("varve", "varve without io_uring", varve),
        Varve("varve-uring", "varve with io_uring", varve, uring=True),
    ]


def allow_uring(peer):
    """Sets the module's switch for one mount (it counts at INIT); gives what to put back."""
    before = read_word(URING)
    wanted = "Y" if peer.uring else "N"
    if before == "" and peer.uring:
        raise Missing("this kernel has no FUSE over io_uring")
    if before not in ("", wanted):
        with open(URING, "w", encoding="utf-8") as file:
            file.write(wanted)
    return before


def restore_uring(before):
    if before and read_word(URING) != before:
        with open(URING, "w", encoding="utf-8") as file:
            file.write(before)


def start(peer, backing, mounts):
    before = allow_uring(peer)
    try:
        peer.start(backing, mounts)
    finally:
        restore_uring(before)
