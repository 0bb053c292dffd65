/* SPDX-License-Identifier: Apache-2.0 */
/* SIGKILL at any moment loses nothing that was fsynced, nothing that was sealed and no disc, and
 * what was begun is finished by itself after the next start.
 *
 * engine_kill [ROUNDS [SEED]]: a child works and tells over a pipe what it was promised; the parent
 * kills it, and the next child looks whether the promises hold. Files change as careful programs
 * change them: written beside, fsynced, renamed into place; so each has one whole version. */
#include "engine_bench.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

enum { FILES = 24, ROUNDS = 40, CHILD_SECONDS = 120, BYTES_MAX = 200000 };

/* What the parent knows of a file: 0 is no version. */
struct promise {
    uint32_t intended; /* may be there */
    uint32_t durable;  /* this one, or a later one that was intended */
    uint32_t sealed;   /* was on sealed discs */
};
struct message {
    enum { INTENDED, DURABLE, SEALED } what;
    uint32_t file, version;
};
struct test {
    struct bench bench;
    struct dice dice;
    struct promise promises[FILES];
    int report; /* child's end of the pipe */
    uint64_t sets;
};

static void
die(struct test *t, const char *format, ...) VARVE_PRINTF(2, 3) __attribute__((noreturn));

static void
die(struct test *t, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "engine_kill: ");
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nfolder: %s\n", t->bench.dir);
    va_end(args);
    _exit(3);
}

static void
must(struct test *t, bool ok, const char *what)
{
    if (!ok)
        die(t, "%s: %s", what, t->bench.err.text);
}

/* --- contents: a function of file and version --- */

static uint64_t
content_of(uint32_t file, uint32_t version, uint8_t *ret)
{
    struct dice dice = {((uint64_t)file << 32) + version};
    uint64_t size = 1 + dice_roll(&dice, dice_roll(&dice, 4) == 0 ? BYTES_MAX - 1 : 9000);
    dice_fill(&dice, ret, size);
    return size;
}

static void
name_of(uint32_t file, char ret[16])
{
    (void)snprintf(ret, 16, "f%" PRIu32, file);
}

/* --- the child works --- */

static void
tell(struct test *t, int what, uint32_t file, uint32_t version)
{
    struct message message = {.what = what, .file = file, .version = version};
    struct promise *p = &t->promises[file];
    if (what == INTENDED)
        p->intended = version;
    if (what == DURABLE)
        p->durable = version;
    if (what == SEALED)
        p->sealed = version;
    if (write(t->report, &message, sizeof message) != (ssize_t)sizeof message)
        _exit(0); /* the parent is gone */
}

static void
write_file(struct test *t)
{
    static uint8_t bytes[BYTES_MAX];
    struct varve_vfs *vfs = varve_engine_vfs(t->bench.engine);
    uint32_t file = (uint32_t)dice_roll(&t->dice, FILES);
    uint32_t version = t->promises[file].intended + 1;
    uint64_t size = content_of(file, version, bytes);
    uint64_t ino;
    char name[16];
    struct varve_error ignored = {0}; /* it is there only if a child was killed in between */
    VARVE_IGNORE(varve_vfs_unlink(vfs, VARVE_ROOT_INO, "new", &ignored));
    name_of(file, name);
    must(t, bench_create(&t->bench, VARVE_ROOT_INO, "new", S_IFREG | 0644, &ino), "create");
    must(t, bench_write(&t->bench, ino, 0, bytes, size), "write");
    must(t, varve_vfs_fsync(vfs, ino, &t->bench.err), "fsync");
    tell(t, INTENDED, file, version);
    must(t, varve_vfs_rename(vfs, VARVE_ROOT_INO, "new", VARVE_ROOT_INO, name, 0, &t->bench.err),
         "rename");
    must(t, varve_vfs_fsync(vfs, 0, &t->bench.err), "fsync of the directory");
    tell(t, DURABLE, file, version);
}

static bool
wait_job(struct test *t, uint64_t id, struct varve_job *ret)
{
    must(t, varve_engine_job_wait(t->bench.engine, id, ret, &t->bench.err), "wait");
    return ret->state == VARVE_JOB_DONE;
}

static void
archive(struct test *t)
{
    static const char *const root[] = {"/"};
    struct varve_job job;
    uint64_t id;
    must(t,
         varve_engine_archive(t->bench.engine, &(struct varve_path_list){root, 1}, true, &id,
                              &t->bench.err),
         "archive");
    if (!wait_job(t, id, &job))
        die(t, "archive: %s", job.error.text);
    for (uint32_t i = 0; i < FILES; i++) {
        if (t->promises[i].durable != 0)
            tell(t, SEALED, i, t->promises[i].durable);
    }
}

static void
release_or_recall(struct test *t, bool release)
{
    char name[16], path[32];
    const char *paths[] = {"/"};
    struct varve_job job;
    uint64_t id;
    uint32_t file = (uint32_t)dice_roll(&t->dice, FILES);
    if (!release && t->promises[file].durable != 0) {
        name_of(file, name);
        (void)snprintf(path, sizeof path, "/%s", name);
        paths[0] = path;
    }
    struct varve_path_list list = {paths, 1};
    must(t,
         release ? varve_engine_release(t->bench.engine, &list, &id, &t->bench.err)
                 : varve_engine_recall(t->bench.engine, &list, &id, &t->bench.err),
         "release or recall");
    if (!wait_job(t, id, &job) && !release)
        die(t, "recall: %s", job.error.text);
}

static bool
blanks_are_left(struct test *t)
{
    struct varve_catalog_totals totals;
    must(t, varve_catalog_totals(varve_engine_catalog(t->bench.engine), &totals, &t->bench.err),
         "totals");
    return totals.discs_by_state[VARVE_DISC_BLANK] >= 6;
}

static void
work(struct test *t)
{
    for (;;) {
        uint64_t what = dice_roll(&t->dice, 24);
        if (what < 18)
            write_file(t);
        else if (what < 20 && blanks_are_left(t))
            archive(t);
        else
            release_or_recall(t, what < 22);
    }
}

/* --- the child looks --- */

static bool
is_version(struct test *t, uint64_t ino, uint64_t size, uint32_t file, uint32_t version)
{
    static uint8_t want[BYTES_MAX], got[BYTES_MAX];
    if (version == 0 || content_of(file, version, want) != size)
        return false;
    must(t, bench_read(&t->bench, ino, 0, got, size), "read");
    return memcmp(want, got, size) == 0;
}

static void
check_sealed(struct test *t, uint64_t ino, uint32_t file)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer state = {0};
    must(t,
         varve_vfs_xattr_get(varve_engine_vfs(t->bench.engine), ino, "user.varve.state", &state,
                             &t->bench.err),
         "state");
    const char *text = varve_buffer_string(&state);
    if (strcmp(text, "premigrated") != 0 && strcmp(text, "migrated") != 0)
        die(t, "file %" PRIu32 " was sealed and is %s", file, text);
}

static void
check_file(struct test *t, uint32_t file)
{
    struct varve_inode inode;
    struct promise *p = &t->promises[file];
    char name[16];
    name_of(file, name);
    if (!varve_vfs_lookup(varve_engine_vfs(t->bench.engine), VARVE_ROOT_INO, name, &inode,
                          &t->bench.err)) {
        if (t->bench.err.kind != VARVE_ERROR_NOT_FOUND || p->durable != 0)
            die(t, "file %" PRIu32 ": %s", file, t->bench.err.text);
        return;
    }
    uint32_t version = p->intended;
    while (version > 0 && version >= p->durable &&
           !is_version(t, inode.ino, inode.size, file, version))
        version--;
    if (version == 0 || version < p->durable)
        die(t, "file %" PRIu32 " is none of the versions %" PRIu32 " to %" PRIu32, file, p->durable,
            p->intended);
    if (p->sealed == version)
        check_sealed(t, inode.ino, file);
    /* What was seen stands: a sync makes it durable for the next child. */
    must(t, varve_vfs_fsync(varve_engine_vfs(t->bench.engine), 0, &t->bench.err), "fsync");
    tell(t, INTENDED, file, p->intended);
    tell(t, DURABLE, file, version);
}

static void
finding(void *context, const char *text)
{
    die(context, "check: %s", text);
}

static void
wait_for_all_jobs(struct test *t)
{
    static struct varve_job jobs[132];
    size_t count = varve_engine_jobs(t->bench.engine, jobs, 132);
    for (size_t i = 0; i < count; i++) {
        struct varve_job job;
        if (!wait_job(t, jobs[i].id, &job))
            die(t, "job %s: %s", job.kind, job.error.text);
    }
}

static void
check_discs(struct test *t)
{
    static struct varve_disc_row rows[1024];
    static struct varve_set sets[1024];
    size_t count, set_count;
    struct varve_catalog *catalog = varve_engine_catalog(t->bench.engine);
    must(t,
         varve_catalog_sets(catalog, (struct varve_set_id){0}, sets, 1024, &set_count,
                            &t->bench.err),
         "sets");
    for (size_t i = 0; i < set_count; i++) {
        if (sets[i].state != VARVE_SET_SEALED && sets[i].state != VARVE_SET_ABANDONED)
            die(t, "set %" PRIu64 " is %s at the end", sets[i].id.value,
                varve_set_state_name(sets[i].state));
    }
    must(t,
         varve_catalog_discs(catalog, &(struct varve_barcode){{0}}, rows, 1024, &count,
                             &t->bench.err),
         "discs");
    for (size_t i = 0; i < count; i++) {
        /* No kill spoils a disc: each is finished where it stopped. */
        if (rows[i].state != VARVE_DISC_BLANK && rows[i].state != VARVE_DISC_SEALED)
            die(t, "disc '%s' is %s at the end", rows[i].barcode.text,
                varve_disc_state_name(rows[i].state));
    }
    (void)printf("%zu sets, %zu discs\n", set_count, count);
}

/* Nothing is asked for: what was begun ends by itself. */
static void
check_end(struct test *t)
{
    struct varve_check_report report;
    wait_for_all_jobs(t);
    for (uint32_t i = 0; i < FILES; i++)
        check_file(t, i);
    must(t, varve_engine_check(t->bench.engine, false, finding, t, &report, &t->bench.err),
         "check");
    check_discs(t);
    if (bench_staged(&t->bench) > 0)
        die(t, "%u staged files are left", bench_staged(&t->bench));
    bench_close(&t->bench);
}

static void
child(struct test *t, bool last)
{
    (void)alarm(CHILD_SECONDS); /* a hang ends the test */
    must(t, bench_open(&t->bench), "open");
    if (last) {
        check_end(t);
        (void)fflush(stdout);
        _exit(0);
    }
    for (uint32_t i = 0; i < FILES; i++) {
        if (dice_roll(&t->dice, 3) == 0)
            check_file(t, i);
    }
    work(t);
}

/* --- the parent --- */

static void
take_message(struct test *t, const struct message *message)
{
    struct promise *p = &t->promises[message->file];
    if (message->what == INTENDED)
        p->intended = message->version;
    if (message->what == DURABLE)
        p->durable = message->version;
    if (message->what == SEALED)
        p->sealed = message->version;
}

static int64_t
now_ms(void)
{
    return varve_clock_monotonic(varve_clock_system()) / VARVE_NS_PER_MS;
}

/* Until the time is over or the pipe closed. */
static void
listen_until(struct test *t, int pipe, int64_t until_ms)
{
    struct message message;
    for (;;) {
        int64_t left = until_ms - now_ms();
        struct pollfd fd = {.fd = pipe, .events = POLLIN};
        if (left <= 0 || poll(&fd, 1, (int)left) <= 0)
            return;
        if (read(pipe, &message, sizeof message) != (ssize_t)sizeof message)
            return;
        take_message(t, &message);
    }
}

static void
run_child(struct test *t, int64_t delay_ms)
{
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0)
        die(t, "pipe");
    pid_t pid = fork();
    if (pid < 0)
        die(t, "fork");
    if (pid == 0) {
        (void)close(ends[0]);
        t->report = ends[1];
        child(t, delay_ms < 0);
    }
    (void)close(ends[1]);
    if (delay_ms >= 0) {
        listen_until(t, ends[0], now_ms() + delay_ms);
        (void)kill(pid, SIGKILL);
    }
    listen_until(t, ends[0], now_ms() + 2000 * CHILD_SECONDS); /* what it said before it died */
    (void)close(ends[0]);
    int status;
    if (waitpid(pid, &status, 0) != pid)
        die(t, "waitpid");
    bool good = delay_ms < 0 ? WIFEXITED(status) && WEXITSTATUS(status) == 0
                             : WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
    if (!good)
        die(t, "the child ended by itself (status %x)", (unsigned)status);
}

int
main(int argc, char **argv)
{
    static struct test t;
    uint64_t rounds = argc > 1 ? strtoull(argv[1], NULL, 0) : ROUNDS;
    uint64_t seed = argc > 2 ? strtoull(argv[2], NULL, 0) : (uint64_t)now_ms();
    const struct bench_options options = {.slots = 200 + 8 * (unsigned)rounds,
                                          .drives = 1 + (unsigned)(seed % 3),
                                          .data_discs = 2,
                                          .parity_discs = 1,
                                          .disc_bytes = UINT64_C(8) << 20};
    (void)printf("engine_kill %" PRIu64 " %" PRIu64 "\n", rounds, seed);
    (void)fflush(stdout);
    must(&t, bench_make(&t.bench, &options, seed), "make");
    t.dice.state = seed;
    t.bench.ports.random = varve_random_system(); /* each child would make the same UUIDs */
    for (uint64_t round = 0; round < rounds; round++) {
        /* Mostly in the middle of work, sometimes while it starts. */
        uint64_t most = dice_roll(&t.dice, 4) == 0 ? 60 : 900;
        run_child(&t, (int64_t)dice_roll(&t.dice, most));
        t.dice.state += round + 1;
    }
    run_child(&t, -1);
    bench_remove(&t.bench);
    return 0;
}
