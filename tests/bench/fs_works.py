# SPDX-License-Identifier: Apache-2.0
"""What tests/bench/fs measures. Works of one group share files: a step runs if it, or a later one, is chosen."""
import contextlib
import json
import os
import random
import shutil
import sqlite3
import subprocess

SEED = 20261120
SPREAD = 100
HEADS = 8
HEAD_FILE_BYTES = 3 << 20
HP = ("hp", "hp-v2", "hp-uring", "hp-v2-uring")


class Sizes:
    def __init__(self, quick):
        self.files = 1500 if quick else 10000
        self.tree_files = 1000 if quick else 10000
        self.seq_mib = 64 if quick else 256
        self.rand_mib = 64
        self.rand_ms = 300 if quick else 3000
        self.rounds = 2 if quick else 5


class Run:
    """What one measured piece of work gives: operations, seconds, and CPU time of the client."""

    def __init__(self, ops, seconds, cpu_us, extra=None):
        self.ops, self.seconds, self.cpu_us, self.extra = ops, seconds, cpu_us, extra or {}


class Bench:
    """Tools that the works share."""

    def __init__(self, fsload, backing, work, sizes):
        self.fsload, self.backing, self.work, self.sizes = fsload, backing, work, sizes
        self.tar = os.path.join(work, "tree.tar")
        self.repository = os.path.join(work, "tree")
        self.tree_entries = 0

    def load(self, *args):
        out = subprocess.run([self.fsload, *map(str, args)], check=True, capture_output=True, text=True).stdout
        result = json.loads(out)
        return Run(result["ops"], result["seconds"], result["cpu_us"], result)

    def command(self, ops, *command, cwd=None):
        """Any program: its time from start to end, and what it and its children used."""
        # Its own session's rusage: a helper process would count everything that ever ran.
        timer = ("import os,sys,time,subprocess,resource\n"
                 "t=time.monotonic()\n"
                 "r=subprocess.run(sys.argv[1:],stdin=subprocess.DEVNULL,stdout=subprocess.DEVNULL).returncode\n"
                 "s=time.monotonic()-t\n"
                 "u=resource.getrusage(resource.RUSAGE_CHILDREN)\n"
                 "print(r,s,u.ru_utime+u.ru_stime)\n")
        environment = dict(os.environ, LC_ALL="C", GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL="/dev/null")
        out = subprocess.run(["python3", "-c", timer, *command], check=True, stdout=subprocess.PIPE, text=True,
                             cwd=cwd, env=environment).stdout
        code, seconds, cpu = out.split()
        if code != "0":
            raise RuntimeError(f"{command[0]} ended with {code}")
        return Run(ops, float(seconds), float(cpu) * 1e6)

    def drop(self, what):
        """2: dentries and inodes, 3: pages too. What the host took back while we idled is touched first."""
        self.backing.flush()
        with open("/proc/sys/vm/drop_caches", "w", encoding="utf-8") as file:
            file.write(str(what))
        self.load("touch", 2 * self.sizes.seq_mib)

    def make_tree(self):
        """A repository like a source tree, the same in every run: sizes log-normal, median 3 KiB."""
        if os.path.exists(self.repository):
            return
        chance = random.Random(SEED)
        words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz_", k=chance.randint(2, 11))) for _ in range(2000)]
        folders = [self.repository]
        os.mkdir(self.repository)
        for i in range(self.sizes.tree_files // 14):
            parent = chance.choice(folders[-40:])
            folder = os.path.join(parent if parent.count("/") < self.repository.count("/") + 6 else folders[0], f"d{i}")
            os.mkdir(folder)
            folders.append(folder)
        for i in range(self.sizes.tree_files):
            size = min(int(chance.lognormvariate(8.0, 1.2)), 1 << 20)
            text = " ".join(chance.choices(words, k=size // 7 + 1)).encode()
            with open(os.path.join(chance.choice(folders), f"source{i}.c"), "wb") as file:
                file.write(text[:size])
        self.tree_entries = len(folders) + self.sizes.tree_files
        self.command(1, "tar", "-C", self.repository, "-cf", self.tar, ".")
        git = ["git", "-C", self.repository, "-c", "user.name=bench", "-c", "user.email=bench@localhost", "-c", "gc.auto=0"]
        self.command(1, "git", "init", "-q", self.repository)
        self.command(1, *git, "add", "-A")
        self.command(1, *git, "commit", "-qm", "all")
        self.command(1, *git, "repack", "-adq")


class Step:
    """One work. `cold`: caches of that level (drop_caches) are dropped before; `deferred`: the daemon goes on with it
    afterwards, and that CPU time belongs to it. `targets`: {peer: ratio}; `limit_us`: a bound on each operation."""

    def __init__(self, name, unit, run, prepare=None, cold=0, deferred=False, targets=None, limit_us=None, only=None):
        self.name, self.unit, self.run, self.prepare = name, unit, run, prepare
        self.cold, self.deferred = cold, deferred
        self.targets, self.limit_us, self.only = targets or {}, limit_us, only


class Group:
    def __init__(self, steps, begin, end):
        self.steps, self.begin, self.end = steps, begin, end


def folder(peer, name):
    return os.path.join(peer.dir, name)


def make_folder(name):
    return lambda bench, peer: os.mkdir(folder(peer, name))


def remove(name):
    def end(bench, peer):
        shutil.rmtree(folder(peer, name), ignore_errors=True)
    return end


def against(peers, ratio):
    return {peer: ratio for peer in peers}


def sequential():
    def path(peer):
        return os.path.join(folder(peer, "seq"), "big")

    def write(bench, peer):
        return bench.load("write", path(peer), bench.sizes.seq_mib)

    def read(bench, peer):
        return bench.load("read", path(peer))
    goal = {"ext4": 0.95}
    return Group([
        Step("write-new", "MiB/s", write, cold=3, deferred=True, targets=goal),
        Step("read-cold", "MiB/s", read, cold=3, targets=goal),
        Step("read-warm", "MiB/s", read, prepare=read, targets=goal),
        Step("write-over", "MiB/s", write, prepare=read, deferred=True, targets=goal),
    ], make_folder("seq"), remove("seq"))


def at_random():
    def path(peer):
        return os.path.join(folder(peer, "rand"), "some")

    def begin(bench, peer):
        make_folder("rand")(bench, peer)
        bench.load("write", path(peer), bench.sizes.rand_mib)

    def warm(bench, peer):
        bench.backing.flush()  # else writing back what the last one wrote is measured with this one
        bench.load("read", path(peer))

    def access(kind):
        return lambda bench, peer: bench.load(kind, path(peer), bench.sizes.rand_ms, SEED)
    return Group([
        Step("randread", "op/s", access("randread"), prepare=warm, targets={"ext4": 0.9}),
        Step("randwrite", "op/s", access("randwrite"), prepare=warm, targets={"ext4": 0.85}),
    ], begin, remove("rand"))


def small_files(suffix, spread, threads, with_stat):
    def begin(bench, peer):
        make_folder("small")(bench, peer)
        if spread:
            bench.load("dirs", folder(peer, "small"), spread)

    def act(verb):
        def run(bench, peer):
            return bench.load(verb, folder(peer, "small"), bench.sizes.files, spread, threads)
        return run

    def stat(bench, peer):
        return bench.load("stat", folder(peer, "small"), bench.sizes.files, spread, SEED)

    def walk(bench, peer):
        return bench.load("walk", folder(peer, "small"))

    def list_all(bench, peer):
        return bench.command(bench.sizes.files + spread, "ls", "-lR", folder(peer, "small"))
    steps = [Step("create-" + suffix, "files/s", act("create"), deferred=True, targets=against(HP, 2.0))]
    if with_stat:
        steps += [
            Step("stat-" + suffix, "files/s", stat, cold=2, targets=against(HP, 1.5)),
            Step("walk-" + suffix, "files/s", walk, cold=3, targets=against(HP, 1.3)),
            Step("ls-lR-" + suffix, "files/s", list_all, cold=3, targets=against(HP, 1.3)),
        ]
    steps.append(Step("unlink-" + suffix, "files/s", act("unlink"), deferred=True, targets=against(HP, 1.5)))
    return Group(steps, begin, remove("small"))


def source_trees():
    goal = dict(against(HP, 1.5), mergerfs=2.0)

    def begin(bench, peer):
        bench.make_tree()
        make_folder("tar")(bench, peer)

    def untar(bench, peer):
        return bench.command(bench.tree_entries, "tar", "-C", folder(peer, "tar"), "-xf", bench.tar)

    def read_tar(bench, peer):
        bench.load("read", bench.tar)

    def clone(bench, peer):
        return bench.command(bench.tree_entries, "git", "clone", "-q", "--no-local", bench.repository,
                             folder(peer, "clone"))

    def status(bench, peer):
        return bench.command(bench.tree_entries, "git", "-C", folder(peer, "clone"), "status", "--porcelain")

    def end(bench, peer):
        remove("tar")(bench, peer)
        remove("clone")(bench, peer)
    return Group([
        Step("tar-x", "files/s", untar, prepare=read_tar, deferred=True, targets=goal),
        Step("git-clone", "files/s", clone, deferred=True, targets=goal),
        Step("git-status-warm", "files/s", status, prepare=status, targets=goal),
        Step("git-status-cold", "files/s", status, cold=3, targets=goal),
    ], begin, end)


def count_moves(peer):
    """Moves of the changer that the archive's journal knows."""
    with contextlib.closing(sqlite3.connect(f"file:{peer.archive}/catalog.sqlite?mode=ro", uri=True)) as catalog:
        return catalog.execute("SELECT coalesce(max(id), 0) FROM move").fetchone()[0]


def count_recalled(peer):
    """Files whose bytes came back from the discs."""
    names = os.listdir(folder(peer, "heads"))
    return sum(os.getxattr(os.path.join(folder(peer, "heads"), name), "user.varve.state") != b"migrated"
               for name in names)


def heads():
    """Opens and reads the first 64 KiB of migrated files; each at most 2 ms, and no disc moves."""
    def begin(bench, peer):
        top = folder(peer, "heads")
        if os.path.exists(top):  # its files are on discs: made once, only brought back to their discs again
            return
        os.mkdir(top)
        chance = random.Random(SEED)
        for i in range(HEADS):
            with open(os.path.join(top, f"file-{i:06}.dat"), "wb") as file:
                file.write(chance.randbytes(HEAD_FILE_BYTES))
        bench.command(1, peer.program, "archive", top, "--wait")

    def away(bench, peer):
        bench.command(1, peer.program, "release", folder(peer, "heads"))
        # The disc goes home too: a read that needs it then shows as a move.
        subprocess.run([peer.program, "library", "unload", "0", "--archive", peer.archive], check=False, capture_output=True)

    def read(bench, peer):
        before = count_moves(peer)
        result = bench.load("head", folder(peer, "heads"), HEADS)
        result.extra["moves"] = count_moves(peer) - before
        result.extra["recalled"] = count_recalled(peer)
        return result
    return Group([Step("migrated-head", "files/s", read, prepare=away, cold=3, limit_us=2000, only="varve")],
                 begin, lambda bench, peer: None)


def groups():
    return [
        sequential(),
        at_random(),
        small_files("1", 0, 1, True),
        small_files("1-spread", SPREAD, 1, True),
        small_files("4", 0, 4, False),
        small_files("4-spread", SPREAD, 4, False),
        source_trees(),
        heads(),
    ]
