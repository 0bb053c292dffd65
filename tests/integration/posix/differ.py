#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The same operations on two filesystems give the same results, errors and states.

differ.py MOUNT PLAIN table FILE...         runs the cases of the tables: docs/testing.md
differ.py MOUNT PLAIN random SEED COUNT     COUNT sequences of random operations
differ.py MOUNT PLAIN staged HOOK SEED COUNT FILE...
                                            the same, with `HOOK MOUNT` (which archives files) in the middle of all:
                                            at the line '---' of each case, after half of each random sequence

Every operation is done by three users, each a process of its own per filesystem; after each one both trees are
described (types, modes, owners, links, sizes, xattrs, ACLs, and which times have moved), and the first difference is
told with what led to it. Prints TAP.
"""
import os
import subprocess
import sys
import time

sys.dont_write_bytecode = True
import chance  # noqa: E402
import operations  # noqa: E402


class Difference(Exception):
    pass


def diff_trees(a, b):
    lines = []
    for path in sorted(set(a) | set(b)):
        if a.get(path) != b.get(path):
            lines.append("  %s\n      mount: %s\n      plain: %s" % (path, a.get(path, "-"), b.get(path, "-")))
    return "\n".join(lines)


def split_user(line):
    user, colon, rest = line.partition(":")
    return (user, rest.strip()) if colon and user in operations.USERS else ("root", line)


class Duel:
    """Both sides, and the log of the sequence under way."""

    def __init__(self, mount, plain):
        self.mount, self.plain = operations.Side(mount), operations.Side(plain)
        self.pause = 0.0 if times_are_fine(plain) else 0.006
        self.log, self.steps = [], 0

    def step(self, line, wanted=None):
        """`wanted`: what the mount answers where answers or states must differ. False: go no further."""
        user, op = split_user(line)
        time.sleep(self.pause)
        a, b = self.mount.users[user].ask(op), self.plain.users[user].ask(op)
        self.steps += 1
        self.log.append("%s  => %s" % (line, b if a == b else "mount %s, plain %s" % (a, b)))
        if wanted is not None:
            if a != wanted:
                raise Difference("the mount should answer %s" % wanted)
            return False
        if a != b:
            raise Difference("results differ")
        self.compare("!look")
        return True

    def compare(self, how):
        a, b = self.mount.describer.ask(how), self.plain.describer.ask(how)
        if a != b:
            raise Difference("states differ\n" + diff_trees(a, b))

    def make(self, name):
        self.mount.make(name)
        self.plain.make(name)

    def part(self, name, steps):
        """steps yields (line, wanted); returns what went wrong."""
        self.log = []
        self.mount.enter(name)
        self.plain.enter(name)
        try:
            for line, wanted in steps:
                if not self.step(line, wanted):
                    return None
            self.compare("!contents")
            return None
        except Difference as difference:
            return str(difference)
        finally:
            self.mount.leave()
            self.plain.leave()

    def remove(self, name):
        self.mount.remove(name)
        self.plain.remove(name)

    def run(self, name, steps):
        self.make(name)
        problem = self.part(name, steps)
        self.remove(name)
        return problem


def times_are_fine(directory):
    """Does the plain filesystem show two changes in quick succession as two times?"""
    path = os.path.join(directory, "times")
    open(path, "w").close()
    seen = set()
    for _ in range(20):
        os.utime(path)
        os.chmod(path, 0o600)
        seen.add(os.stat(path).st_ctime_ns)
    os.unlink(path)
    return len(seen) == 20


def cases_of(path):
    """A case is a title at column 0 and its lines, indented; '#' comments; a line may end in '=> ANSWER' of the mount."""
    title, lines = None, []
    with open(path, encoding="utf-8") as stream:
        for line in stream:
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if not line[0].isspace():
                if title is not None:
                    yield title, lines
                title, lines = line.strip(), []
                continue
            op, arrow, wanted = line.strip().partition(" => ")
            lines.append((op.strip(), wanted.strip() if arrow else None))
    if title is not None:
        yield title, lines


class Tap:
    def __init__(self):
        self.count = self.failed = 0

    def result(self, title, log, problem):
        self.count += 1
        if problem is None:
            print("ok %d - %s" % (self.count, title))
        else:
            self.failed += 1
            print("not ok %d - %s" % (self.count, title))
            for line in log[-60:] + problem.split("\n"):
                print("#   " + line[:600])
        sys.stdout.flush()

    def end(self):
        print("1..%d" % self.count)
        return 0 if self.failed == 0 else 1


def run_tables(duel, paths, tap):
    for path in paths:
        for index, (title, lines) in enumerate(cases_of(path)):
            name = "%s-%d" % (os.path.basename(path).split(".")[0], index)
            problem = duel.run(name, lines)
            tap.result("%s: %s" % (os.path.basename(path).split(".")[0], title), duel.log, problem)


# --- random sequences ---


def run_random(duel, seed, count, tap):
    for i in range(count):
        sequence = chance.Random("%d/%d" % (seed, i)).sequence(60)
        problem = duel.run("random-%d" % i, sequence)
        if problem is not None or i == count - 1:
            tap.result("seed %d: sequence %d of 60 random operations" % (seed, i), duel.log, problem)
        if tap.failed >= 5:
            return


# --- with a hook in the middle ---

def everything(base):
    """All that stat says of all below `base`."""
    facts = {}
    for directory, directories, files in os.walk(base):
        for name in directories + files:
            path = os.path.join(directory, name)
            st = os.lstat(path)
            facts[path] = (st.st_ino, "%o" % st.st_mode, st.st_nlink, st.st_uid, st.st_gid, st.st_rdev, st.st_size,
                           st.st_mtime_ns, st.st_ctime_ns)
    return facts


def staged_cases(paths, seed, count):
    for path in paths:
        for title, lines in cases_of(path):
            cut = [op for op, _ in lines].index("---")
            yield title, lines[:cut], lines[cut + 1:]
    for i in range(count):
        lines = list(chance.Random("staged %d/%d" % (seed, i)).sequence(60))
        yield "seed %d: sequence %d" % (seed, i), lines[:30], lines[30:]


def run_staged(duel, hook, cases, tap):
    waiting = []
    for index, (title, before, after) in enumerate(cases):
        name = "staged-%d" % index
        duel.make(name)
        problem = duel.part(name, before)
        if problem is not None:
            tap.result(title, duel.log, problem)
        waiting.append((name, title, after, duel.log))
    facts = everything(duel.mount.base)
    subprocess.run([hook, duel.mount.base], check=True, stdout=sys.stderr)
    moved = ["%s: %s, then %s" % (path, facts.get(path), fact)
             for path, fact in everything(duel.mount.base).items() if facts.get(path) != fact]
    tap.result("stat says the same after as before", moved, "of these files not" if moved else None)
    for name, title, after, log in waiting:
        problem = duel.part(name, after)
        tap.result(title, log + ["---"] + duel.log, problem)
        duel.remove(name)


def main(arguments):
    mount, plain, what = os.path.abspath(arguments[0]), os.path.abspath(arguments[1]), arguments[2]
    tables = [os.path.abspath(path) for path in arguments[3:]]
    duel, tap = Duel(mount, plain), Tap()
    if what == "table":
        run_tables(duel, tables, tap)
    elif what == "staged":
        run_staged(duel, tables[0], staged_cases(tables[3:], int(arguments[4]), int(arguments[5])), tap)
    else:
        run_random(duel, int(arguments[3]), int(arguments[4]), tap)
    duel.plain.stop()
    duel.mount.stop()
    print("# %d operations compared" % duel.steps)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
