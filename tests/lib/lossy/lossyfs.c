/* SPDX-License-Identifier: Apache-2.0 */
/* lossyfs MOUNTPOINT [--journal] [--lie] [--logs DIR] - a disk whose power can be cut: see world.h.
 *
 * Every directory in the root is a tree of its own. A line written to the file `control`:
 *   crash TREE NEW LOSS SEED          NEW is what could be left of TREE now; TREE lives on
 *   cut TREE NEW LOSS SEED            the same, and TREE is dead from then on: EIO for everything
 *   points TREE PREFIX EVERY SEED     makes trees PREFIX1, PREFIX2, ... each before one of the next
 *                                     EVERY operations that change something, with any loss, as
 *                                     long as at most POINTS_MAX of them are there; EVERY 0: ends
 *   cutat TREE NEW LOSS SEED COUNT    cuts before the COUNTth operation from now
 *   drop TREE
 * LOSS: kill, all, some, mixed, bytes. With --logs the file NEW.logs lists time and loss, and "SIZE
 * NAME" of the files in DIR at that moment: what they said by then was said before the power went.
 * syncfs(2) does not reach a FUSE filesystem: sync_shim.c turns it into an ioctl. */
#include "lossyfs.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define POINTS_MAX 16u

static const char *const loss_names[] = {"kill", "all", "some", "mixed", "bytes"};

struct lossy_fs lossy_fs;

/* --- points --- */

static void
append(struct lossy_node *node, const char *text)
{
    (void)lossy_write(&lossy_fs.world, node, text, strlen(text), node->now.size);
}

static void
note_logs(const char *name, enum lossy_loss loss)
{
    char path[512], line[512];
    struct dirent *entry;
    struct timespec now;
    struct stat st;
    DIR *dir = lossy_fs.logs != NULL ? opendir(lossy_fs.logs) : NULL;
    if (dir == NULL)
        return;
    struct lossy_node *list = lossy_node_new(&lossy_fs.world, lossy_fs.root->tree, S_IFREG | 0644);
    assert(list != NULL);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(line, sizeof line, "%lld.%09ld time %s\n", (long long)now.tv_sec, now.tv_nsec,
                   loss_names[loss]);
    append(list, line);
    while ((entry = readdir(dir)) != NULL) {
        if (fstatat(dirfd(dir), entry->d_name, &st, 0) != 0 || !S_ISREG(st.st_mode))
            continue;
        (void)snprintf(line, sizeof line, "%lld %s\n", (long long)st.st_size, entry->d_name);
        append(list, line);
    }
    (void)closedir(dir);
    (void)snprintf(path, sizeof path, "%s.logs", name);
    (void)lossy_place(&lossy_fs.world, lossy_fs.root, path, list);
    lossy_node_put(&lossy_fs.world, list, 1);
}

static void
make_point(struct lossy_node *tree, const char *name, enum lossy_loss loss, uint64_t seed)
{
    struct varve_random_seeded random;
    varve_random_seeded_init(&random, seed);
    struct lossy_node *left = lossy_crash(&lossy_fs.world, tree, loss, &random.random);
    note_logs(name, loss); /* before the name that others wait for */
    (void)lossy_place(&lossy_fs.world, lossy_fs.root, name, left);
    lossy_node_put(&lossy_fs.world, left, 1);
}

static unsigned
count_points(void)
{
    unsigned count = 0;
    size_t size = strlen(lossy_fs.points.name);
    for (const struct lossy_entry *e = lossy_fs.root->entries; e != NULL; e = e->next) {
        count += e->now != NULL && strncmp(e->name, lossy_fs.points.name, size) == 0 &&
                 S_ISDIR(e->now->now.mode);
    }
    return count;
}

static void
make_next_point(void)
{
    struct lossy_points *points = &lossy_fs.points;
    char name[160];
    if (count_points() >= POINTS_MAX)
        return;
    enum lossy_loss loss = (enum lossy_loss)varve_random_below(&points->random.random, 5);
    (void)snprintf(name, sizeof name, "%s%u", points->name, ++points->made);
    make_point(points->tree, name, loss, points->seed * 1000003 + points->made);
    points->next = points->tree->tree->operations + 1 +
                   varve_random_below(&points->random.random, points->every);
}

bool
lossy_step(struct lossy_node *node)
{
    struct lossy_tree *tree = node->tree;
    if (tree->dead)
        return false;
    tree->operations++;
    struct lossy_cut *cut = &lossy_fs.cut;
    if (cut->tree != NULL && cut->tree->tree == tree && tree->operations >= cut->at) {
        struct lossy_node *root = cut->tree;
        cut->tree = NULL;
        tree->dead = true;
        make_point(root, cut->name, cut->loss, cut->seed);
        return false;
    }
    const struct lossy_points *points = &lossy_fs.points;
    if (points->every > 0 && points->tree->tree == tree && tree->operations >= points->next)
        make_next_point();
    return true;
}

/* --- commands --- */

static bool
parse_loss(const char *word, enum lossy_loss *ret)
{
    for (unsigned i = 0; i < sizeof loss_names / sizeof *loss_names; i++) {
        *ret = (enum lossy_loss)i;
        if (strcmp(word, loss_names[i]) == 0)
            return true;
    }
    return false;
}

static void
start_points(struct lossy_node *tree, const char *name, uint64_t every, uint64_t seed)
{
    struct lossy_points *points = &lossy_fs.points;
    points->every = every;
    points->tree = tree;
    points->seed = seed;
    points->made = 0;
    points->next = tree->tree->operations + 1;
    varve_random_seeded_init(&points->random, seed);
    (void)snprintf(points->name, sizeof points->name, "%s", name);
}

static void
drop(struct lossy_node *tree, const char *name)
{
    char logs[160];
    if (lossy_fs.points.tree == tree)
        lossy_fs.points.every = 0;
    if (lossy_fs.cut.tree == tree)
        lossy_fs.cut.tree = NULL;
    lossy_tree_drop(&lossy_fs.world, tree);
    (void)snprintf(logs, sizeof logs, "%s.logs", name);
    (void)lossy_place(&lossy_fs.world, lossy_fs.root, name, NULL);
    (void)lossy_place(&lossy_fs.world, lossy_fs.root, logs, NULL);
}

bool
lossy_command(const char *line)
{
    char verb[16] = "", name[128] = "", other[128] = "", word[32] = "";
    unsigned long long a = 0, b = 0;
    enum lossy_loss loss;
    if (sscanf(line, "%15s %127s %127s", verb, name, other) < 2)
        return false;
    struct lossy_node *tree = lossy_find(lossy_fs.root, name);
    if (tree == NULL || !S_ISDIR(tree->now.mode))
        return false;
    if (strcmp(verb, "drop") == 0) {
        drop(tree, name);
        return true;
    }
    if (strcmp(verb, "points") == 0 && sscanf(line, "%*s %*s %*s %llu %llu", &a, &b) == 2) {
        start_points(tree, other, a, b);
        return true;
    }
    int words = sscanf(line, "%*s %*s %*s %31s %llu %llu", word, &a, &b);
    if (words < 2 || !parse_loss(word, &loss) || lossy_find(lossy_fs.root, other) != NULL)
        return false;
    if (strcmp(verb, "cutat") == 0 && words == 3) {
        lossy_fs.cut = (struct lossy_cut){
            .tree = tree, .loss = loss, .seed = a, .at = tree->tree->operations + b};
        (void)snprintf(lossy_fs.cut.name, sizeof lossy_fs.cut.name, "%s", other);
        return true;
    }
    bool cut = strcmp(verb, "cut") == 0;
    if (!cut && strcmp(verb, "crash") != 0)
        return false;
    tree->tree->dead = tree->tree->dead || cut;
    make_point(tree, other, loss, a);
    return true;
}

/* --- start --- */

static int
serve(struct fuse_session *session, const char *mountpoint)
{
    if (fuse_set_signal_handlers(session) != 0 || fuse_session_mount(session, mountpoint) != 0)
        return 1;
    (void)puts("serving");
    (void)fflush(stdout);
    int status = fuse_session_loop(session); /* one thread: operations come one after another */
    fuse_session_unmount(session);
    fuse_remove_signal_handlers(session);
    return status < 0 ? 1 : 0;
}

int
main(int count, char **arguments)
{
    const char *mountpoint = count > 1 ? arguments[1] : NULL;
    lossy_world_init(&lossy_fs.world);
    for (int i = 2; i < count; i++) {
        if (strcmp(arguments[i], "--journal") == 0)
            lossy_fs.world.journal = true;
        else if (strcmp(arguments[i], "--lie") == 0)
            lossy_fs.world.lie = true;
        else if (strcmp(arguments[i], "--logs") == 0 && i + 1 < count)
            lossy_fs.logs = arguments[++i];
        else
            mountpoint = NULL;
    }
    if (mountpoint == NULL || mountpoint[0] == '-') {
        (void)fprintf(stderr, "usage: lossyfs MOUNTPOINT [--journal] [--lie] [--logs DIR]\n");
        return 2;
    }
    lossy_fs.root = lossy_node_new(&lossy_fs.world, NULL, S_IFDIR | 0755);
    lossy_fs.control = lossy_node_new(&lossy_fs.world, NULL, S_IFREG | 0600);
    if (lossy_fs.root == NULL || lossy_fs.control == NULL ||
        !lossy_place(&lossy_fs.world, lossy_fs.root, "control", lossy_fs.control))
        return 1;
    char dash[] = "-o";
    char list[] = "default_permissions,allow_other,fsname=lossy,subtype=lossyfs";
    char *options[] = {arguments[0], dash, list};
    struct fuse_args args = FUSE_ARGS_INIT(3, options);
    struct fuse_session *session =
        fuse_session_new(&args, &lossy_operations, sizeof lossy_operations, NULL);
    if (session == NULL)
        return 1;
    int status = serve(session, mountpoint);
    fuse_session_destroy(session);
    fuse_opt_free_args(&args);
    return status;
}
