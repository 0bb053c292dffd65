/* Users and the engine at the same files at the same time break nothing; run it with TSan too. */
/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <varve/file.h>

#define ROOT VARVE_ROOT_INO
#define FILES 6
#define USERS 3
#define STEPS 400
/* Every write fills a whole file with one letter, so whoever reads can tell a torn version. */
#define BYTES 5000

struct arena {
    struct fixture *f;
    uint64_t inos[FILES];
    atomic_uint reads, writes, recalls, versions;
    atomic_bool stop;
    pthread_mutex_t file_locks[FILES]; /* one writer or many readers would do; one is enough */
};

struct user {
    struct arena *arena;
    uint64_t seed;
    pthread_t thread;
};

/* cmocka's checks belong to the main thread. */
static void
need(bool ok, const struct varve_error *err)
{
    if (ok)
        return;
    (void)fprintf(stderr, "thread: %s\n", err->text);
    abort();
}

static void
wake(void *context, const struct varve_error *err)
{
    (void)err;
    atomic_store((atomic_bool *)context, true);
}

static void
wait_for(struct arena *a, uint64_t ino)
{
    atomic_bool ready = false;
    uint64_t ticket = 0;
    struct varve_error err = {0};
    need(varve_vfs_await(a->f->vfs, ino, 0, UINT64_MAX, wake, &ready, &ticket, &err), &err);
    while (!atomic_load(&ready))
        (void)sched_yield();
}

static void
read_file(struct arena *a, uint64_t ino)
{
    struct varve_open *open = NULL;
    struct varve_error err = {0};
    uint8_t got[BYTES];
    uint64_t size = BYTES;
    int fd = -1;
    need(varve_vfs_open(a->f->vfs, ino, O_RDONLY, &open, &err), &err);
    while (!varve_open_read(open, 0, &size, &fd, &err)) {
        need(err.kind == VARVE_ERROR_WAIT, &err);
        wait_for(a, ino);
    }
    if (size > 0) {
        need(size == BYTES && varve_file_pread(fd, got, BYTES, 0, &err), &err);
        varve_open_done(open);
        for (size_t i = 1; i < BYTES; i++)
            need(got[i] == got[0], &err);
    }
    varve_open_close(open);
    atomic_fetch_add(&a->reads, 1);
}

static void
write_file(struct arena *a, uint64_t ino, uint8_t letter)
{
    struct varve_open *open = NULL;
    struct varve_error err = {0};
    uint8_t bytes[BYTES];
    int fd = -1;
    memset(bytes, letter, sizeof bytes);
    need(varve_vfs_open(a->f->vfs, ino, O_RDWR, &open, &err), &err);
    while (!varve_open_write(open, &fd, &err)) {
        need(err.kind == VARVE_ERROR_WAIT, &err);
        wait_for(a, ino);
    }
    need(varve_file_pwrite(fd, bytes, BYTES, 0, &err), &err);
    varve_open_done(open);
    if (letter % 4 == 0)
        need(varve_vfs_fsync(a->f->vfs, ino, &err), &err);
    varve_open_close(open);
    atomic_fetch_add(&a->writes, 1);
}

static void
shuffle_names(struct arena *a, uint64_t seed, unsigned step)
{
    char name[32], other[48];
    struct varve_inode inode;
    struct varve_error err = {0};
    (void)snprintf(name, sizeof name, "own%u-%u", (unsigned)seed, step);
    (void)snprintf(other, sizeof other, "%s.new", name);
    need(varve_vfs_make(a->f->vfs, &(struct varve_caller){1, 1}, ROOT, name, S_IFREG | 0600, 0,
                        &inode, &err),
         &err);
    write_file(a, inode.ino, 'x');
    need(varve_vfs_rename(a->f->vfs, ROOT, name, ROOT, other, 0, &err), &err);
    struct varve_open *open = NULL;
    need(varve_vfs_open(a->f->vfs, inode.ino, O_RDONLY, &open, &err), &err);
    need(varve_vfs_unlink(a->f->vfs, ROOT, other, &err), &err);
    varve_open_close(open);
    while (
        varve_vfs_getattr(a->f->vfs, inode.ino, &inode, &err)) /* who flushes may hold it still */
        (void)sched_yield();
    need(err.kind == VARVE_ERROR_NOT_FOUND, &err);
}

static void *
run_user(void *context)
{
    struct user *user = context;
    struct arena *a = user->arena;
    struct varve_random_seeded random;
    varve_random_seeded_init(&random, user->seed);
    for (unsigned step = 0; step < STEPS; step++) {
        size_t file = (size_t)varve_random_below(&random.random, FILES);
        struct varve_inode inode;
        struct varve_error err = {0};
        switch (varve_random_below(&random.random, 4)) {
        case 0: {
            VARVE_LOCKED(&a->file_locks[file]);
            write_file(a, a->inos[file], (uint8_t)('a' + step % 26));
            break;
        }
        case 1: {
            VARVE_LOCKED(&a->file_locks[file]);
            read_file(a, a->inos[file]);
            break;
        }
        case 2:
            need(varve_vfs_getattr(a->f->vfs, a->inos[file], &inode, &err), &err);
            need(inode.size == 0 || inode.size == BYTES, &err);
            break;
        default:
            shuffle_names(a, user->seed, step);
        }
    }
    return NULL;
}

/* The discs: what was sealed, by content. Only the engine's thread looks at it. */
struct disc {
    struct varve_content_id id;
    uint8_t letter;
};

struct engine {
    struct arena *arena;
    struct disc *discs;
    size_t count;
    pthread_t thread;
    pthread_mutex_t lock;
    struct varve_content_id asked[64];
    size_t asked_count;
};

static bool
ask(void *context, const struct varve_recall_wish *wish, struct varve_error *err)
{
    struct engine *engine = context;
    VARVE_LOCKED(&engine->lock);
    if (engine->asked_count == 64)
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "too many");
    engine->asked[engine->asked_count++] = wish->content;
    return true;
}

static void
recall_one(struct engine *engine, struct varve_content_id id)
{
    struct varve_recall *recall = NULL;
    struct varve_error err = {0};
    uint8_t bytes[BYTES];
    size_t i = 0;
    while (i < engine->count && engine->discs[i].id.value != id.value)
        i++;
    need(i < engine->count, &err);
    memset(bytes, engine->discs[i].letter, sizeof bytes);
    if (!varve_vfs_recall_begin(engine->arena->f->vfs, id, &recall, &err))
        return; /* not needed any more, and whoever waited was told */
    for (size_t at = 0; at < BYTES; at += 1000) {
        if (!varve_recall_write(recall, at, bytes + at, 1000, &err))
            break;
    }
    if (varve_recall_end(recall, NULL, &err))
        atomic_fetch_add(&engine->arena->recalls, 1);
}

static void
serve(struct engine *engine)
{
    struct varve_content_id id = {0};
    for (;;) {
        {
            VARVE_LOCKED(&engine->lock);
            if (engine->asked_count == 0)
                return;
            id = engine->asked[--engine->asked_count];
        }
        recall_one(engine, id);
    }
}

static void
burn(struct engine *engine, const struct varve_content *content)
{
    struct fixture *f = engine->arena->f;
    struct varve_error err = {0};
    struct varve_place old;
    VARVE_CLEANUP_FD int fd = -1;
    uint8_t bytes[BYTES];
    need(varve_store_open_file(f->store, &content->place, O_RDONLY, &fd, &err), &err);
    need(content->size == BYTES && varve_file_pread(fd, bytes, BYTES, 0, &err), &err);
    (void)close(fd); /* whoever else has the file open is a reason not to release it */
    fd = -1;
    for (size_t i = 1; i < BYTES; i++)
        need(bytes[i] == bytes[0], &err);
    engine->discs = realloc(engine->discs, (engine->count + 1) * sizeof *engine->discs);
    engine->discs[engine->count++] = (struct disc){content->id, bytes[0]};
    struct varve_content row;
    varve_catalog_begin(f->catalog);
    need(varve_catalog_content_get(f->catalog, content->id, &row, &err), &err);
    row.phase = VARVE_PHASE_SEALED;
    need(varve_catalog_end(f->catalog, varve_catalog_content_update(f->catalog, &row, &err), &err),
         &err);
    if (varve_vfs_release(f->vfs, content->id, &old, &err))
        varve_vfs_remove_later(f->vfs, old);
}

static void *
run_engine(void *context)
{
    struct engine *engine = context;
    struct arena *a = engine->arena;
    for (unsigned step = 0; !atomic_load(&a->stop); step++) {
        uint64_t ino = a->inos[step % FILES];
        struct varve_content content;
        struct varve_place old;
        struct varve_inode inode;
        struct varve_error err = {0};
        serve(engine);
        if (varve_vfs_getattr(a->f->vfs, ino, &inode, &err) && step % 5 == 0 &&
            move_one(a->f->vfs, inode.content, step % 2 ? VARVE_TIER_SSD : VARVE_TIER_HDD, &old,
                     &err))
            varve_vfs_remove_later(a->f->vfs, old);
        if (!varve_vfs_freeze(a->f->vfs, ino, INT64_MAX, &content, &err))
            continue;
        if (step % 3 == 0 && varve_vfs_thaw(a->f->vfs, content.id, &err))
            continue;
        burn(engine, &content);
        atomic_fetch_add(&a->versions, 1);
    }
    serve(engine);
    return NULL;
}

static void
test_users_and_engine(void **state)
{
    struct fixture *f = *state;
    struct arena a = {.f = f};
    struct engine engine = {.arena = &a};
    struct user users[USERS];
    (void)pthread_mutex_init(&engine.lock, NULL);
    for (size_t i = 0; i < FILES; i++) {
        char name[8];
        (void)snprintf(name, sizeof name, "f%zu", i);
        a.inos[i] = make_file(f, ROOT, name);
        write_file(&a, a.inos[i], 'A');
        (void)pthread_mutex_init(&a.file_locks[i], NULL);
    }
    varve_vfs_set_recall_port(f->vfs,
                              &(struct varve_recall_port){.context = &engine, .request = ask});
    assert_int_equal(pthread_create(&engine.thread, NULL, run_engine, &engine), 0);
    for (size_t i = 0; i < USERS; i++) {
        users[i] = (struct user){.arena = &a, .seed = i + 1};
        assert_int_equal(pthread_create(&users[i].thread, NULL, run_user, &users[i]), 0);
    }
    for (size_t i = 0; i < USERS; i++)
        assert_int_equal(pthread_join(users[i].thread, NULL), 0);
    atomic_store(&a.stop, true);
    assert_int_equal(pthread_join(engine.thread, NULL), 0);
    free(engine.discs);
    assert_true(a.versions > 0 && a.recalls > 0 && a.reads > 0 && a.writes > FILES);
    print_message("%u reads, %u writes, %u versions, %u recalls\n", a.reads, a.writes, a.versions,
                  a.recalls);
    OK(varve_vfs_reap(f->vfs, &f->err));
    assert_int_equal(attributes(f, ROOT).nlink, 2);
}

#define BIG (512 * 1024)
#define ROUNDS 150

struct mover {
    struct fixture *f;
    struct varve_content_id content;
    atomic_bool stop;
    atomic_uint moved, busy;
};

static void *
run_mover(void *context)
{
    struct mover *mover = context;
    while (!atomic_load(&mover->stop)) {
        struct varve_error err = {0};
        struct varve_place old;
        enum varve_tier to = mover->moved % 2 == 0 ? VARVE_TIER_HDD : VARVE_TIER_SSD;
        if (move_one(mover->f->vfs, mover->content, to, &old, &err)) {
            varve_vfs_remove_later(mover->f->vfs, old);
            mover->moved++;
            continue;
        }
        need(err.kind == VARVE_ERROR_BUSY, &err);
        mover->busy++;
    }
    return NULL;
}

/* Opened, written and closed while the copy runs: the move must give up, not bring back old bytes.
 */
static void
test_move_beside_a_writer(void **state)
{
    struct fixture *f = *state;
    uint64_t ino = make_file(f, ROOT, "big");
    uint32_t got = 0;
    truncate_to(f, ino, BIG);
    struct mover mover = {.f = f, .content = content_of(f, ino).id};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, run_mover, &mover), 0);
    for (uint32_t round = 1; round <= ROUNDS || mover.moved < 3; round++) {
        struct varve_open *open = open_file(f, ino, O_RDWR);
        uint64_t size = sizeof got;
        int fd = -1;
        write_open(f, open, 4096, &round, sizeof round);
        varve_open_close(open);
        varve_clock_sleep(varve_clock_system(), (round % 16) * VARVE_NS_PER_MS / 8);
        open = open_file(f, ino, O_RDONLY);
        OK(varve_open_read(open, 4096, &size, &fd, &f->err));
        OK(varve_file_pread(fd, &got, sizeof got, 4096, &f->err));
        varve_open_done(open);
        varve_open_close(open);
        assert_int_equal(got, round);
        assert_true(round < 100 * ROUNDS);
    }
    atomic_store(&mover.stop, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    print_message("%u moves, %u found it busy\n", mover.moved, mover.busy);
    assert_true(mover.busy > 0);
    expect_consistent(f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_move_beside_a_writer, fixture_setup, fixture_teardown),
        cmocka_unit_test_setup_teardown(test_users_and_engine, fixture_setup, fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
