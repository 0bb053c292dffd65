#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""After a kill or a power cut at any moment every synced file and name is there, nothing is torn, and check finds nothing.

power.py VARVE LOSSYFS SHIM [OPTIONS]   (TAP)

Several processes work in a mount whose archive lies on lossyfs, while files are archived, released, recalled and
moved. Crash points are taken before random operations of the daemon on its disk (kill: nothing is lost; all: every
byte and name that was not synced; some, mixed, bytes: any part of them); each is mounted and compared with what the
workers' logs say, then `varve check`. At the end of a life the power really goes, and the next one begins from what
is left. With --plain the archive lies on an ordinary disk and the daemon is killed with SIGKILL each time.
"""
import argparse
import ctypes
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import traceback

LIB = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib")
sys.path.insert(0, LIB)
import power_model  # noqa: E402

WORKERS = 3
SQLITE = 9
POINTS_A_LIFE = 60
POINTS_AT_ONCE = 12  # fewer than lossyfs keeps
CLONE_NEWNS = 0x20000
BOOT_ID = "/proc/sys/kernel/random/boot_id"
RULES = """
[rule down]
from = ssd
to = hdd
where = size > 2000

[rule up]
from = hdd
to = ssd
where = size <= 2000
"""


def arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("varve")
    parser.add_argument("lossyfs")
    parser.add_argument("shim")
    parser.add_argument("--points", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=1e9, help="no new life begins after this time")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--every", type=int, default=150, help="at most so many operations between two points")
    parser.add_argument("--late", type=float, default=4, help="seconds after which also the unsynced must be there")
    parser.add_argument("--journal", action="store_true", help="any sync makes all names durable, as on ext4")
    parser.add_argument("--lie", action="store_true", help="the disk loses what was synced")
    parser.add_argument("--skip", choices=("bytes", "names", "every", "all"), help="the daemon leaves out syncs")
    parser.add_argument("--plain", action="store_true", help="an ordinary disk and SIGKILL")
    parser.add_argument("--must-fail", action="store_true", help="the test of the test: ends at the first loss")
    parser.add_argument("--keep", help="a directory for what is left of points that failed")
    options = parser.parse_args()
    options.varve = os.path.abspath(options.varve)
    return options


class Failure(Exception):
    pass


def until(what, seconds, words):
    end = time.monotonic() + seconds
    while not what():
        if time.monotonic() > end:
            raise Failure(f"never happened: {words}")
        time.sleep(0.005)


class Campaign:
    def __init__(self, options):
        self.options = options
        self.seed = options.seed if options.seed is not None else random.randrange(1 << 31)
        self.random = random.Random(self.seed)
        self.work = tempfile.mkdtemp(prefix="varve-power.")
        for name in ("disk", "logs", "mnt", "point", "here"):
            os.mkdir(self.path(name))
        self.archive = self.path("here", "archive")  # of every tree: its tiers are known by their paths
        self.environment = dict(os.environ, LD_PRELOAD=os.path.abspath(options.shim))
        self.environment.pop("VARVE_SKIP_SYNC", None)
        self.disk = None
        self.tree = "live0"
        self.life = 0
        self.workers = []
        self.points = 0
        self.counts = {}
        self.states = {}
        self.operations = self.files = 0
        self.failed = []
        self.shown = 0
        self.old = {}  # directory of an earlier life -> what walk() and the bytes must be
        self.engine = None

    def path(self, *names):
        return os.path.join(self.work, *names)

    def bring_here(self, tree):
        if is_mounted(self.path("here")):
            subprocess.run(["umount", "-l", self.path("here")], check=True)
        subprocess.run(["mount", "--bind", self.path("disk", tree), self.path("here")], check=True)

    def command(self, line):
        with open(self.path("disk", "control"), "w", encoding="ascii") as control:
            control.write(line)

    def varve(self, *words, check=True, skip=False):
        environment = self.environment
        if skip and self.options.skip:
            environment = dict(environment, VARVE_SKIP_SYNC=self.options.skip)
        done = subprocess.run([self.options.varve, *words], env=environment, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=120)
        if check and done.returncode != 0:
            raise Failure(f"varve {' '.join(words)}: {done.stdout}{done.stderr}")
        return done.stdout

    # --- the disk ---

    def start(self):
        if self.options.plain:
            os.mkdir(self.path("disk", "live0"))
        else:
            words = [self.options.lossyfs, self.path("disk"), "--logs", self.path("logs")]
            words += ["--journal"] if self.options.journal else []
            words += ["--lie"] if self.options.lie else []
            self.disk = subprocess.Popen(words, stdout=subprocess.PIPE)
            self.disk.stdout.readline()
            os.mkdir(self.path("disk", "live0"))
        self.bring_here("live0")
        self.varve("init", self.archive, "--library", "virtual", "--media", "24MiB", "--slots", "90",
                   "--drives", "2", "--set", "2+1")
        with open(os.path.join(self.archive, "varve.conf"), "a", encoding="ascii") as conf:
            conf.write(RULES)
        # Made before the first cut: an archive that was not made to its end is no archive.
        fd = os.open(os.path.join(self.archive, "varve.conf"), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)

    def stop(self):
        self.stop_workers()
        for name in ("mnt", "point", "here"):
            if is_mounted(self.path(name)):
                if name != "here":
                    self.varve("umount", self.path(name), check=False)
                while is_mounted(self.path(name)):
                    subprocess.run(["umount", "-l", self.path(name)], check=True)
        if self.disk is not None:
            subprocess.run(["umount", "-l", self.path("disk")], check=True)
            try:
                self.disk.wait(20)
            except subprocess.TimeoutExpired:
                self.disk.kill()  # somebody still has a file of it open: it holds nothing worth keeping
                self.disk.wait()
        shutil.rmtree(self.work)

    # --- a life ---

    def log(self, number, life=None):
        return self.path("logs", f"{self.life if life is None else life}-{number}")

    def folder(self, root, number):
        return os.path.join(root, f"life{self.life}", f"w{number}")

    def begin_life(self):
        self.varve("mount", self.archive, self.path("mnt"), skip=True)
        for number in [*range(WORKERS), SQLITE]:
            os.makedirs(self.folder(self.path("mnt"), number))
        fd = os.open(self.path("mnt"), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        for number in [*range(WORKERS), SQLITE]:
            with open(self.log(number), "wb"):
                pass
            words = [os.path.join(LIB, "power-worker"), self.folder(self.path("mnt"), number), self.log(number),
                     str(self.random.randrange(1 << 31)), str(number)]
            self.workers.append(subprocess.Popen(words + (["--sqlite"] if number == SQLITE else [])))
        words = [sys.executable, os.path.abspath(__file__), "--engine", self.options.varve, self.path("mnt"),
                 str(self.random.randrange(1 << 31))]
        self.engine = subprocess.Popen(words, env=self.environment, stdout=subprocess.DEVNULL,
                                       stderr=subprocess.DEVNULL)

    def stop_workers(self):
        for worker in self.workers + ([self.engine] if self.engine else []):
            worker.kill()
            worker.wait()
        self.workers = []
        self.engine = None

    def daemon_pid(self):
        return json.loads(self.varve("status", self.archive, "--json"))["pid"]

    # --- a point ---

    def note_states(self, archive):
        status = json.loads(self.varve("status", archive, "--json"))
        seen = [f"set {name}" for name, count in status["sets"].items() if count]
        seen += [f"file {name}" for name, part in status["states"].items() if part["files"]]
        for name in seen:
            self.states[name] = self.states.get(name, 0) + 1

    def sizes(self, name):
        """When the point was taken and how much each log said by then."""
        with open(self.path("disk", f"{name}.logs"), encoding="ascii") as file:
            lines = file.read().splitlines()
        sizes = {}
        for line in lines[1:]:
            size, log = line.split(" ", 1)
            sizes[log] = int(size)
        return float(lines[0].split()[0]), sizes

    def compare(self, root, now, sizes):
        complaints = []
        for number in range(WORKERS):
            log = self.log(number)
            said, seen = power_model.check(self.folder(root, number), log, sizes.get(os.path.basename(log), 0), now,
                                           self.options.late, number, not self.options.plain)
            complaints += [f"worker {number}: {word}" for word in said]
            self.operations += seen[0]
            self.files += seen[1]
        complaints += self.compare_sqlite(root, sizes)
        for folder, wanted in self.old.items():
            if describe(os.path.join(root, folder)) != wanted:
                complaints.append(f"{folder}: {first_difference(wanted, describe(os.path.join(root, folder)))}")
        return complaints

    def compare_sqlite(self, root, sizes):
        log = self.log(SQLITE)
        acked = power_model.Log(log, sizes.get(os.path.basename(log), 0)).acked
        if not acked:
            return []
        copy = self.path("sqlite")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.folder(root, SQLITE), copy)
        try:
            database = sqlite3.connect(os.path.join(copy, "base.sqlite"))
            state = database.execute("PRAGMA integrity_check").fetchone()[0]
            last = database.execute("SELECT max(n) FROM t").fetchone()[0] or 0
            database.close()
        except sqlite3.Error as error:
            return [f"SQLite in the mount: {error}; {max(acked)} was committed"]
        if state != "ok" or last < max(acked):
            return [f"SQLite in the mount: {state}, has {last}, {max(acked)} was committed"]
        return []

    def check_point(self, name, loss):
        """Beside the living one: in a mount namespace in which the point is the archive."""
        ours, theirs = os.pipe()
        sys.stdout.flush()
        child = os.fork()
        if child == 0:
            result = ["the check died"], {}, 0, 0
            try:
                os.close(ours)
                self.states, self.operations, self.files = {}, 0, 0
                if ctypes.CDLL(None).unshare(CLONE_NEWNS) != 0:
                    raise Failure("no mount namespace")
                subprocess.run(["mount", "--make-rprivate", "/"], check=True)
                self.bring_here(name)
                if loss != "kill":
                    self.start_machine()
                result = self.check_here(name), self.states, self.operations, self.files
            except (Failure, OSError, subprocess.SubprocessError, ValueError) as error:
                result = [f"{type(error).__name__}: {error}"], {}, 0, 0
            finally:
                os.write(theirs, json.dumps(result).encode())
                os._exit(0)
        os.close(theirs)
        with os.fdopen(ours, "rb") as pipe:
            complaints, states, operations, files = json.loads(pipe.read())
        os.waitpid(child, 0)
        for state, count in states.items():
            self.states[state] = self.states.get(state, 0) + count
        self.operations += operations
        self.files += files
        return complaints

    def start_machine(self):
        """After a power cut the machine has another boot id."""
        path = self.path("boot_id")
        with open(path, "w", encoding="ascii") as file:
            file.write(f"{self.random.randrange(1 << 62):032x}\n")
        subprocess.run(["mount", "--bind", path, BOOT_ID], check=True)

    def check_here(self, name):
        """Mounts what is left, compares, unmounts, checks."""
        now, sizes = self.sizes(name)
        archive = self.archive
        complaints = []
        try:
            self.varve("mount", archive, self.path("point"))
            self.note_states(archive)
            complaints = self.compare(self.path("point"), now, sizes)
            until(self.is_swept, 60, "the sweep after a crash ends")
            self.varve("umount", self.path("point"))
            complaints += self.check_archive(archive)
        except (Failure, OSError, subprocess.SubprocessError, KeyError, ValueError) as error:
            complaints.append(f"{type(error).__name__}: {error}: {traceback.format_exc()[-400:]}")
        if is_mounted(self.path("point")):
            self.varve("umount", self.path("point"), check=False)
        if complaints:
            complaints = complaints[:5] + tail(os.path.join(archive, "varve.log"))
        return complaints

    def is_swept(self):
        """Else check finds the files that the dead run had made and not named."""
        jobs = json.loads(self.varve("jobs", self.archive, "--json"))["jobs"]
        return not any(job["kind"] == "sweep" and job["state"] in ("queued", "running") for job in jobs)

    def check_archive(self, archive):
        report = json.loads(self.varve("check", archive, "--json", check=False))["report"]
        return [f"varve check: {report}"] if report["findings"] else []

    def point_done(self, name, loss, complaints):
        self.points += 1
        self.counts[loss] = self.counts.get(loss, 0) + 1
        if not complaints:
            return
        self.failed.append(name)
        for complaint in complaints:
            words = " | ".join(complaint.split("\n"))
            print(f"# {name} ({loss}, seed {self.seed}): {words}"[:1500])
        if self.options.keep and not self.options.plain and len(self.failed) < 4:
            shutil.copytree(self.path("disk", "kept"), os.path.join(self.options.keep, f"{self.seed}-{name}"),
                            symlinks=True, dirs_exist_ok=True,
                            ignore=shutil.ignore_patterns("varve.sock"))
            shutil.copytree(self.path("logs"), os.path.join(self.options.keep, f"{self.seed}-logs"),
                            dirs_exist_ok=True)
            shutil.copy(self.path("disk", f"{name}.logs"), self.options.keep)
        sys.stdout.flush()

    def loss_of(self, name):
        with open(self.path("disk", f"{name}.logs"), encoding="ascii") as file:
            return file.readline().split()[2]

    def take_points(self, count):
        prefix = f"point{self.life}-"
        self.command(f"points {self.tree} {prefix} {self.options.every} {self.random.randrange(1 << 31)}")
        taken = 0
        last = f"{prefix}{min(count, POINTS_AT_ONCE)}"
        until(lambda: os.path.exists(self.path("disk", last)), 60, f"point {last}")
        while taken < count and self.points < self.options.points and not self.is_enough():
            name = f"{prefix}{taken + 1}"
            # The work stands still while its points are compared: else it only adds to the logs.
            if not os.path.exists(self.path("disk", name)):
                self.signal_workers(signal.SIGCONT)
                last = f"{prefix}{min(count, taken + POINTS_AT_ONCE)}"
                until(lambda last=last: os.path.exists(self.path("disk", last)), 60, f"point {last}")
            self.signal_workers(signal.SIGSTOP)
            loss = self.loss_of(name)
            self.command(f"crash {name} kept kill 1")
            self.point_done(name, loss, self.check_point(name, loss))
            self.command(f"drop {name}")
            self.command("drop kept")
            taken += 1
            self.complain_about_workers()
        self.signal_workers(signal.SIGCONT)

    def signal_workers(self, number):
        for worker in self.workers + [self.engine]:
            worker.send_signal(number)

    def is_enough(self):
        return self.options.must_fail and self.failed

    def complain_about_workers(self):
        """Nothing fails while the power is there."""
        for number in [*range(WORKERS), SQLITE]:
            for error in power_model.Log(self.log(number)).errors:
                raise Failure(f"worker {number} failed: {error}")

    def end_life(self):
        """The power goes; what is left is the disk of the next life."""
        loss = self.random.choice(("kill", "all", "some", "mixed", "bytes"))
        after = f"live{self.life + 1}"
        pid = self.daemon_pid()
        self.command(f"points {self.tree} none 0 0")
        self.complain_about_workers()
        self.command(f"cutat {self.tree} {after} {loss} {self.random.randrange(1 << 31)} {self.random.randrange(1, 300)}")
        until(lambda: os.path.exists(self.path("disk", after)), 60, "the power goes")
        os.kill(pid, signal.SIGKILL)
        self.stop_workers()
        subprocess.run(["umount", "-l", self.path("mnt")], check=True)
        self.command(f"crash {after} kept kill 1")
        self.point_done(after, loss, self.check_point(after, loss))
        self.command(f"drop {self.tree}")
        self.command("drop kept")
        self.tree = after
        self.bring_here(after)
        self.settle()

    def settle(self):
        """What this life leaves must be there in all later ones; but the last few lives only, to bound the time."""
        self.varve("mount", self.archive, self.path("mnt"))
        folder = f"life{self.life}"
        for old in list(self.old)[:-1]:
            shutil.rmtree(self.path("mnt", old))
            del self.old[old]
        self.old[folder] = describe(self.path("mnt", folder))
        fd = os.open(self.path("mnt"), os.O_RDONLY)
        os.fsync(fd)
        os.close(fd)
        self.varve("umount", self.path("mnt"))
        self.life += 1

    # --- SIGKILL on an ordinary disk ---

    def kill_once(self):
        self.begin_life()
        pid = self.daemon_pid()
        time.sleep(self.random.random() * 1.2)
        self.complain_about_workers()
        now = time.time()
        sizes = {name: os.path.getsize(self.path("logs", name)) for name in os.listdir(self.path("logs"))}
        os.kill(pid, signal.SIGKILL)
        self.stop_workers()
        subprocess.run(["umount", "-l", self.path("mnt")], check=True)
        with open(self.path("disk", "killed.logs"), "w", encoding="ascii") as file:
            file.write(f"{now} time kill\n" + "".join(f"{size} {name}\n" for name, size in sizes.items()))
        self.point_done(f"kill {self.life}", "kill", self.check_here("killed"))
        self.settle()

    def run(self):
        self.start()
        began = time.monotonic()
        while self.points < self.options.points and not self.is_enough() and time.monotonic() - began < self.options.seconds:
            if self.options.plain:
                self.kill_once()
            else:
                self.begin_life()
                self.take_points(POINTS_A_LIFE)
                self.end_life()
        return time.monotonic() - began


def tail(path):
    with open(path, "rb") as file:
        lines = file.read().replace(b"\0", b"").decode(errors="replace").splitlines()
    return [f"log: {line}" for line in lines[-6:]]


def is_mounted(path):
    """os.path.ismount() does not see a bind mount on the same filesystem."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return any(line.split()[4] == path for line in file)


def describe(root):
    """Names, attributes and bytes below root."""
    found, inodes = power_model.walk(root)
    bytes_of = {}
    for path, what in found.items():
        if what[0] == "f":
            with open(os.path.join(root, path), "rb") as file:
                bytes_of[path] = file.read()
    return found, inodes, bytes_of


def first_difference(wanted, got):
    for before, after in zip(wanted, got):
        for path in sorted(set(before) | set(after)):
            if before.get(path) != after.get(path):
                return f"{path} was {str(before.get(path))[:200]}, is {str(after.get(path))[:200]}"
    return "?"


def be_the_engine(varve, mnt, seed):
    """Asks for what moves files, for ever."""
    chance = random.Random(seed)
    while True:
        lives = [os.path.join(mnt, name) for name in os.listdir(mnt)]
        target = chance.choice(lives + [os.path.join(life, "w1") for life in lives])
        words = chance.choice((["archive", target], ["archive", target, "--wait"], ["flush", mnt], ["release", target],
                               ["release", mnt], ["recall", target], ["policy", "run", mnt]))
        subprocess.run([varve, *words], check=False, stdin=subprocess.DEVNULL)
        time.sleep(chance.random() * 0.2)


def main():
    if sys.argv[1] == "--engine":
        be_the_engine(sys.argv[2], sys.argv[3], int(sys.argv[4]))
    if os.geteuid() != 0 or not os.access("/dev/fuse", os.W_OK):
        print("1..0 # SKIP needs root and /dev/fuse")
        return 0
    options = arguments()
    for number in (signal.SIGTERM, signal.SIGINT):  # what was mounted is unmounted
        signal.signal(number, lambda *_: sys.exit(130))
    campaign = Campaign(options)
    print(f"# seed {campaign.seed}", flush=True)
    error = None
    seconds = 0
    try:
        seconds = campaign.run()
    except (Failure, OSError, subprocess.SubprocessError, KeyError, ValueError) as failure:
        error = failure
        print(f"# life {campaign.life}: {type(failure).__name__}: {failure}"[:2000])
    finally:
        campaign.stop()
    print(f"# {campaign.points} crash points in {seconds:.0f} s: {campaign.counts}; lives {campaign.life}")
    print(f"# seen at them: {campaign.states}")
    print(f"# compared {campaign.files} files, {campaign.operations} operations were not bound to be there")
    if options.must_fail:
        good, words = bool(campaign.failed), "a loss is seen"
    else:
        good = not campaign.failed and error is None and campaign.points > 0
        words = f"nothing is lost at {campaign.points} crash points"
    print(f"{'ok' if good else 'not ok'} 1 - {words}\n1..1")
    return 0 if good else 1


sys.exit(main())
