/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

void
die(struct sim *sim, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)fprintf(stderr, "sim engine --seed %" PRIu64 ": step %u (%s): ", sim->seed, sim->step,
                  sim->act);
    (void)vfprintf(stderr, format, args);
    (void)fprintf(stderr, "\nfolder: %s\n", sim->bench.dir);
    va_end(args);
    _exit(1); /* threads of the engine are running */
}

uint64_t
roll(struct sim *sim, uint64_t sides)
{
    return dice_roll(&sim->dice, sides);
}

static struct varve_vfs *
vfs_of(struct sim *sim)
{
    return varve_engine_vfs(sim->bench.engine);
}

/* With a fault about, an act may fail; then nothing of it may have happened. */
static bool
done_or_fault(struct sim *sim, bool ok)
{
    if (!ok && !sim->faults)
        die(sim, "%s", sim->bench.err.text);
    return ok;
}

/* --- picking --- */

static int
pick(struct sim *sim, bool files, bool dirs)
{
    unsigned start = (unsigned)roll(sim, NAMES_MAX);
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        unsigned at = (start + i) % NAMES_MAX;
        if (sim->names[at].used && (sim->names[at].is_dir ? dirs : files))
            return (int)at;
    }
    return -1;
}

int
pick_name(struct sim *sim)
{
    return pick(sim, true, true);
}

int
pick_file(struct sim *sim)
{
    return pick(sim, true, false);
}

unsigned
pick_dir(struct sim *sim)
{
    unsigned start = (unsigned)roll(sim, DIRS_MAX);
    for (unsigned i = 0; i < DIRS_MAX; i++) {
        if (sim->dirs[(start + i) % DIRS_MAX].ino != 0)
            return (start + i) % DIRS_MAX;
    }
    return 0;
}

static struct model_name *
free_name(struct sim *sim, unsigned dir)
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        struct model_name *name = &sim->names[i];
        if (name->used)
            continue;
        *name = (struct model_name){.dir = dir};
        (void)snprintf(name->name, sizeof name->name, "n%u", ++sim->name_last);
        return name;
    }
    return NULL;
}

static const struct model_name *
name_of_dir(const struct sim *sim, unsigned dir)
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        if (sim->names[i].used && sim->names[i].is_dir && sim->names[i].target == dir)
            return &sim->names[i];
    }
    return NULL;
}

void
path_of(const struct sim *sim, int name, char *ret, size_t size)
{
    char path[1024] = "";
    const struct model_name *at = name < 0 ? NULL : &sim->names[name];
    while (at != NULL) {
        char longer[1024];
        (void)snprintf(longer, sizeof longer, "/%s%.900s", at->name, path);
        memcpy(path, longer, sizeof path);
        at = name_of_dir(sim, at->dir);
    }
    (void)snprintf(ret, size, "%s", path[0] == 0 ? "/" : path);
}

/* --- acts --- */

static uint64_t
new_size(struct sim *sim)
{
    switch (roll(sim, 16)) {
    case 0:
        return 0;
    case 1: /* more than one disc holds, sometimes */
        return sim->disc_bytes / 2 + roll(sim, sim->disc_bytes);
    case 2:
    case 3:
        return roll(sim, sim->disc_bytes / 4);
    case 4:
        return 2048 * roll(sim, 100);
    default:
        return roll(sim, 150000);
    }
}

static void
resize(struct model_file *file, uint64_t size)
{
    if (size > file->size) {
        file->bytes = realloc(file->bytes, size);
        if (file->bytes == NULL)
            abort();
        memset(&file->bytes[file->size], 0, size - file->size);
    }
    file->size = size;
}

static void
write_random(struct sim *sim, struct model_file *file, uint64_t offset, uint64_t size)
{
    uint8_t *bytes = malloc(size + 1);
    if (bytes == NULL)
        abort();
    dice_fill(&sim->dice, bytes, size);
    if (size > 0 && done_or_fault(sim, bench_write(&sim->bench, file->ino, offset, bytes, size))) {
        if (offset + size > file->size)
            resize(file, offset + size);
        memcpy(&file->bytes[offset], bytes, size);
    }
    free(bytes);
}

void
act_create(struct sim *sim)
{
    unsigned at = 0;
    unsigned dir = pick_dir(sim);
    while (at < FILES_MAX && sim->files[at].ino != 0)
        at++;
    struct model_name *name = at < FILES_MAX ? free_name(sim, dir) : NULL;
    if (name == NULL)
        return;
    struct model_file *file = &sim->files[at];
    if (!bench_create(&sim->bench, sim->dirs[dir].ino, name->name, S_IFREG | 0644, &file->ino))
        die(sim, "%s", sim->bench.err.text);
    name->used = true;
    name->target = at;
    file->links = 1;
    write_random(sim, file, 0, new_size(sim));
    if (roll(sim, 3) == 0 && !varve_vfs_fsync(vfs_of(sim), file->ino, &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
}

void
act_overwrite(struct sim *sim)
{
    int name = pick_file(sim);
    if (name < 0)
        return;
    struct model_file *file = &sim->files[sim->names[name].target];
    uint64_t offset = roll(sim, file->size + 5000);
    write_random(sim, file, offset, 1 + roll(sim, 60000));
}

void
act_truncate(struct sim *sim)
{
    int name = pick_file(sim);
    if (name < 0)
        return;
    struct model_file *file = &sim->files[sim->names[name].target];
    uint64_t size = roll(sim, 3) == 0 ? 0 : roll(sim, file->size + 10000);
    if (done_or_fault(sim, bench_truncate(&sim->bench, file->ino, size)))
        resize(file, size);
}

static bool
is_below(const struct sim *sim, unsigned dir, unsigned above)
{
    for (unsigned depth = 0; depth <= DIRS_MAX; depth++) {
        if (dir == above)
            return true;
        if (dir == 0)
            return false;
        dir = sim->dirs[dir].parent;
    }
    return true;
}

void
act_rename(struct sim *sim)
{
    int at = pick_name(sim);
    unsigned dir = pick_dir(sim);
    if (at < 0 || (sim->names[at].is_dir && is_below(sim, dir, sim->names[at].target)))
        return;
    struct model_name *name = &sim->names[at];
    char fresh[24];
    (void)snprintf(fresh, sizeof fresh, "r%u", ++sim->name_last);
    if (!varve_vfs_rename(vfs_of(sim), sim->dirs[name->dir].ino, name->name, sim->dirs[dir].ino,
                          fresh, 0, &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    memcpy(name->name, fresh, sizeof fresh);
    name->dir = dir;
    if (name->is_dir)
        sim->dirs[name->target].parent = dir;
}

static bool
is_empty(const struct sim *sim, unsigned dir)
{
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        if (sim->names[i].used && sim->names[i].dir == dir)
            return false;
    }
    return true;
}

void
act_delete(struct sim *sim)
{
    int at = pick_name(sim);
    if (at < 0)
        return;
    struct model_name *name = &sim->names[at];
    uint64_t parent = sim->dirs[name->dir].ino;
    if (name->is_dir) {
        bool ok = varve_vfs_rmdir(vfs_of(sim), parent, name->name, &sim->bench.err);
        if (ok != is_empty(sim, name->target))
            die(sim, "rmdir: %s", ok ? "of a directory that is not empty" : sim->bench.err.text);
        if (!ok)
            return;
        sim->dirs[name->target].ino = 0;
    } else {
        struct model_file *file = &sim->files[name->target];
        if (!varve_vfs_unlink(vfs_of(sim), parent, name->name, &sim->bench.err))
            die(sim, "%s", sim->bench.err.text);
        if (--file->links == 0) {
            free(file->bytes);
            *file = (struct model_file){0};
        }
    }
    name->used = false;
}

void
act_link(struct sim *sim)
{
    int at = pick_file(sim);
    unsigned dir = pick_dir(sim);
    struct model_name *fresh = at < 0 ? NULL : free_name(sim, dir);
    struct varve_inode inode;
    if (fresh == NULL)
        return;
    unsigned target = sim->names[at].target;
    if (!varve_vfs_link(vfs_of(sim), sim->files[target].ino, sim->dirs[dir].ino, fresh->name,
                        &inode, &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    fresh->used = true;
    fresh->target = target;
    sim->files[target].links++;
}

void
act_make_dir(struct sim *sim)
{
    unsigned parent = pick_dir(sim);
    unsigned at = 1;
    while (at < DIRS_MAX && sim->dirs[at].ino != 0)
        at++;
    struct model_name *name = at < DIRS_MAX ? free_name(sim, parent) : NULL;
    if (name == NULL)
        return;
    if (!bench_create(&sim->bench, sim->dirs[parent].ino, name->name, S_IFDIR | 0755,
                      &sim->dirs[at].ino))
        die(sim, "%s", sim->bench.err.text);
    sim->dirs[at].parent = parent;
    name->used = true;
    name->is_dir = true;
    name->target = at;
}

/* --- comparing --- */

static void
check_dir(struct sim *sim, unsigned dir)
{
    static struct varve_dentry page[NAMES_MAX + 1];
    size_t count, expected = 0;
    if (!varve_vfs_readdir(vfs_of(sim), sim->dirs[dir].ino, 0, page, NAMES_MAX + 1, &count,
                           &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    for (unsigned i = 0; i < NAMES_MAX; i++) {
        const struct model_name *name = &sim->names[i];
        if (!name->used || name->dir != dir)
            continue;
        expected++;
        uint64_t ino = name->is_dir ? sim->dirs[name->target].ino : sim->files[name->target].ino;
        size_t at = 0;
        while (at < count && strcmp(page[at].name, name->name) != 0)
            at++;
        if (at == count || page[at].inode.ino != ino)
            die(sim, "'%s' is missing in directory %u", name->name, dir);
    }
    if (expected != count)
        die(sim, "directory %u has %zu names, not %zu", dir, count, expected);
}

static void
check_attributes(struct sim *sim, const struct model_file *file)
{
    struct varve_inode inode;
    if (!varve_vfs_getattr(vfs_of(sim), file->ino, &inode, &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    if (inode.size != file->size || inode.nlink != file->links)
        die(sim, "inode %" PRIu64 ": %" PRIu64 " bytes, %u links, not %" PRIu64 ", %u", file->ino,
            inode.size, inode.nlink, file->size, file->links);
}

/* Faults are used up, and the next opening of the library forgets them: then it has to work. */
static void
check_bytes(struct sim *sim, const struct model_file *file)
{
    uint8_t *bytes = malloc(file->size + 1);
    bool ok = false;
    if (bytes == NULL)
        abort();
    for (unsigned tries = 0; !ok && tries < 4; tries++) {
        ok = bench_read(&sim->bench, file->ino, 0, bytes, file->size);
        if (!ok && !sim->faults)
            die(sim, "read inode %" PRIu64 ": %s", file->ino, sim->bench.err.text);
        if (!ok && tries == 2)
            reopen(sim);
    }
    for (uint64_t i = 0; i < file->size; i++) {
        if (bytes[i] != file->bytes[i])
            die(sim, "inode %" PRIu64 " has a wrong byte at %" PRIu64 " of %" PRIu64, file->ino, i,
                file->size);
    }
    free(bytes);
}

/* A few bytes somewhere: from a head, from the middle of a recall, from wherever they are. */
void
act_peek(struct sim *sim)
{
    uint8_t got[5000];
    int name = pick_file(sim);
    if (name < 0)
        return;
    struct model_file *file = &sim->files[sim->names[name].target];
    uint64_t offset = roll(sim, 3) == 0 ? 0 : roll(sim, file->size + 1);
    uint64_t size = 1 + roll(sim, sizeof got);
    if (offset >= file->size)
        return;
    if (size > file->size - offset)
        size = file->size - offset;
    if (done_or_fault(sim, bench_read(&sim->bench, file->ino, offset, got, size)) &&
        memcmp(got, &file->bytes[offset], (size_t)size) != 0)
        die(sim, "inode %" PRIu64 ": wrong bytes at %" PRIu64, file->ino, offset);
}

static bool
is_resident(struct sim *sim, const struct model_file *file)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer state = {0};
    if (!varve_vfs_xattr_get(vfs_of(sim), file->ino, "user.varve.state", &state, &sim->bench.err))
        die(sim, "%s", sim->bench.err.text);
    return strcmp(varve_buffer_string(&state), "migrated") != 0;
}

void
model_check(struct sim *sim)
{
    for (unsigned dir = 0; dir < DIRS_MAX; dir++) {
        if (sim->dirs[dir].ino != 0)
            check_dir(sim, dir);
    }
    for (unsigned i = 0; i < FILES_MAX; i++) {
        const struct model_file *file = &sim->files[i];
        if (file->ino == 0)
            continue;
        check_attributes(sim, file);
        bool resident = is_resident(sim, file);
        sim->waited += !resident;
        if (roll(sim, resident ? 8 : 30) == 0)
            check_bytes(sim, file);
    }
}

void
model_check_all(struct sim *sim)
{
    for (unsigned i = 0; i < FILES_MAX; i++) {
        if (sim->files[i].ino != 0)
            check_bytes(sim, &sim->files[i]);
    }
}

void
model_done(struct sim *sim)
{
    for (unsigned i = 0; i < FILES_MAX; i++)
        free(sim->files[i].bytes);
}
