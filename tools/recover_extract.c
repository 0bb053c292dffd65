/* SPDX-License-Identifier: Apache-2.0 */
/* extract: every file of the discs, in the order of the discs; a bad one is named and the rest goes
 * on. */
#include "recover_internal.h"

#include <inttypes.h>
#include <string.h>
#include <varve/file.h>
#include <varve/text.h>

struct extract {
    const struct options *options;
    struct tree tree;
    struct writer writer;
    struct progress progress;
    struct piece_reader *reader;
    uint64_t files, directories, bytes, bad, deleted;
};

/* An inode to extract, and where its first piece lies. */
struct task {
    const struct tree_node *node;
    uint64_t set, lba;
    uint32_t disc;
};

static int
compare_tasks(const void *left, const void *right)
{
    const struct task *a = left, *b = right;
    if (a->set != b->set)
        return a->set < b->set ? -1 : 1;
    if (a->disc != b->disc)
        return a->disc < b->disc ? -1 : 1;
    return (a->lba > b->lba) - (a->lba < b->lba);
}

static void
tell_bad(struct extract *extract, const struct tree_node *node, const struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    tree_path(&extract->tree, node, 0, &path);
    tell("%s: %s", varve_buffer_string(&path), err->text);
    extract->bad++;
}

/* Blocks of zeros stay holes: archives hold sparse images of disks. */
static bool
write_block(int fd, const uint8_t *bytes, size_t size, uint64_t offset, struct varve_error *err)
{
    if (bytes[0] == 0 && memcmp(bytes, bytes + 1, size - 1) == 0)
        return true;
    return varve_file_pwrite(fd, bytes, size, offset, err);
}

/* The digest has the last word: a file may be whole in a cluster that is not. */
static bool
copy_piece(struct extract *extract, const struct tree_record *piece, int fd,
           struct varve_error *err)
{
    const struct varve_record *record = piece->record;
    struct varve_error doubt = {0};
    VARVE_CLEANUP(varve_sha256_free) struct varve_sha256 *sha = NULL;
    if (!piece_reader_aim(extract->reader, piece->set, piece->disc, err) ||
        !varve_sha256_new(&sha, err))
        return false;
    for (uint64_t done = 0; done < record->piece_bytes;) {
        const uint8_t *bytes;
        size_t size;
        if (!piece_reader_next(extract->reader, record->lba * VARVE_SECTOR_BYTES + done,
                               record->piece_bytes - done, &bytes, &size, &doubt)) {
            *err = doubt;
            return false;
        }
        if (!write_block(fd, bytes, size, record->piece_offset + done, err))
            return false;
        varve_sha256_update(sha, bytes, size);
        progress_step(&extract->progress, size);
        done += size;
    }
    struct varve_digest digest;
    varve_sha256_final(sha, &digest);
    if (!varve_digest_equal(&digest, &record->digest)) {
        if (doubt.kind == VARVE_ERROR_NONE)
            return varve_error_set(err, VARVE_ERROR_CORRUPT, 0, "SHA-256 does not match");
        *err = doubt;
        return false;
    }
    extract->bytes += record->piece_bytes;
    return true;
}

static bool
copy_content(struct extract *extract, const struct tree_node *node, int fd, struct varve_error *err)
{
    VARVE_CLEANUP_FREE size_t *pieces = NULL;
    size_t count;
    if (!tree_pieces(node, &pieces, &count, err))
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct tree_record *piece = &node->records[pieces[i]];
        char text[DISC_TEXT_BYTES];
        if (!copy_piece(extract, piece, fd, err))
            return varve_error_wrap(err, "%s", disc_text(piece->set, piece->disc, text));
    }
    if (ftruncate(fd, (off_t)node->newest->size) != 0)
        return varve_error_system(err, errno, "set its size");
    return true;
}

static bool
extract_inode(struct extract *extract, const struct tree_node *node, struct varve_error *err)
{
    const struct varve_record *record = node->newest;
    VARVE_CLEANUP_FD int fd = -1;
    if (!writer_create(&extract->writer, record, &fd, err))
        return false;
    bool ok = (fd < 0 || copy_content(extract, node, fd, err)) &&
              writer_attributes(&extract->writer, record, fd, err);
    if (!ok) {
        writer_remove(&extract->writer, record); /* half a file would pass for a whole one */
        return false;
    }
    return writer_link(&extract->writer, record, err);
}

static void
place_task(struct task *task)
{
    const struct tree_node *node = task->node;
    task->lba = UINT64_MAX;
    for (size_t i = 0; i < node->count; i++) {
        const struct tree_record *one = &node->records[i];
        if (one->record->type != VARVE_RECORD_FILE || one->record->piece_bytes == 0 ||
            one->record->content != node->newest->content || one->record->part != 0)
            continue;
        task->set = varve_recovery_set(one->set->recovery)->set_number;
        task->disc = one->disc;
        task->lba = one->record->lba;
        return;
    }
}

/* Directories of the tree are made at once (an empty one too), all others become tasks. */
static bool
collect_tasks(struct extract *extract, struct task **ret, size_t *ret_count,
              struct varve_error *err)
{
    struct task *tasks = calloc(extract->tree.node_count + 1, sizeof *tasks);
    if (tasks == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%zu files", extract->tree.node_count);
    size_t count = 0;
    for (size_t i = 0; i < extract->tree.node_count; i++) {
        const struct tree_node *node = &extract->tree.nodes[i];
        struct varve_error one = {0};
        int fd;
        switch (node->newest->type) {
        case VARVE_RECORD_DELETED:
            extract->deleted++;
            break;
        case VARVE_RECORD_DIRECTORY:
            extract->directories++;
            if (!writer_dir(&extract->writer, node->ino, &fd, &one))
                tell_bad(extract, node, &one);
            break;
        case VARVE_RECORD_FILE:
        case VARVE_RECORD_SYMLINK:
        case VARVE_RECORD_SPECIAL:
            tasks[count].node = node;
            place_task(&tasks[count++]);
            break;
        }
    }
    if (count > 0)
        qsort(tasks, count, sizeof *tasks, compare_tasks);
    *ret = tasks;
    *ret_count = count;
    return true;
}

struct deep {
    const struct tree_node *node;
    size_t depth;
};

static int
compare_depth(const void *left, const void *right)
{
    const struct deep *a = left, *b = right;
    return (a->depth < b->depth) - (a->depth > b->depth);
}

static size_t
count_slashes(const struct extract *extract, const struct tree_node *node)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    tree_path(&extract->tree, node, 0, &path);
    size_t depth = path.size > 0 ? 1 : 0;
    for (size_t i = 0; i < path.size; i++)
        depth += path.data[i] == '/';
    return depth;
}

/* The deepest first, after everything in them: a mode may close a directory, and making a name in
 * it changes its times. */
static bool
finish_directories(struct extract *extract, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct deep *all = calloc(extract->directories + 1, sizeof *all);
    if (all == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%" PRIu64 " directories",
                               extract->directories);
    size_t count = 0;
    for (size_t i = 0; i < extract->tree.node_count; i++) {
        const struct tree_node *node = &extract->tree.nodes[i];
        if (node->newest->type == VARVE_RECORD_DIRECTORY && count < extract->directories)
            all[count++] = (struct deep){node, count_slashes(extract, node)};
    }
    if (count > 0)
        qsort(all, count, sizeof *all, compare_depth);
    for (size_t i = 0; i < count; i++) {
        struct varve_error one = {0};
        int fd;
        if (!writer_dir(&extract->writer, all[i].node->ino, &fd, &one) ||
            !writer_attributes(&extract->writer, all[i].node->newest, fd, &one))
            tell_bad(extract, all[i].node, &one);
    }
    return true;
}

static uint64_t
bytes_to_copy(const struct task *tasks, size_t count)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += tasks[i].node->newest->size;
    return bytes;
}

static bool
run(struct extract *extract, struct discs *discs, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct task *tasks = NULL;
    size_t count = 0;
    if (!tree_make(discs, &extract->tree, err) ||
        !writer_open(extract->options->to, &extract->tree, &extract->writer, err) ||
        !collect_tasks(extract, &tasks, &count, err))
        return false;
    progress_start(&extract->progress, extract->options, "extract", bytes_to_copy(tasks, count));
    for (size_t i = 0; i < count; i++) {
        struct varve_error one = {0};
        if (extract_inode(extract, tasks[i].node, &one))
            extract->files++;
        else
            tell_bad(extract, tasks[i].node, &one);
    }
    progress_clear(&extract->progress);
    return finish_directories(extract, err);
}

static uint64_t
count_repaired(const struct discs *discs)
{
    uint64_t repaired = 0;
    for (unsigned s = 0; s < discs->set_count; s++) {
        for (uint32_t i = 0; i < VARVE_SET_DISCS_MAX; i++)
            repaired += varve_recovery_repaired(discs->sets[s].recovery, i);
    }
    return repaired;
}

static void
summarize(const struct extract *extract, const struct discs *discs)
{
    const struct writer *writer = &extract->writer;
    uint64_t repaired = count_repaired(discs);
    char size[VARVE_TEXT_BYTES];
    if (extract->options->json) {
        json_t *object = json_object();
        (void)json_object_set_new(object, "files", json_integer((json_int_t)extract->files));
        (void)json_object_set_new(object, "directories",
                                  json_integer((json_int_t)extract->directories));
        (void)json_object_set_new(object, "bytes", json_integer((json_int_t)extract->bytes));
        (void)json_object_set_new(object, "bad", json_integer((json_int_t)extract->bad));
        (void)json_object_set_new(object, "repaired_clusters", json_integer((json_int_t)repaired));
        (void)json_object_set_new(object, "without_owner",
                                  json_integer((json_int_t)writer->unowned));
        (void)json_object_set_new(object, "without_xattrs",
                                  json_integer((json_int_t)writer->without_xattrs));
        json_print(object);
        (void)putchar('\n');
        return;
    }
    printf("%" PRIu64 " files and %" PRIu64 " directories (%s) extracted to %s\n", extract->files,
           extract->directories, varve_text_bytes(extract->bytes, size), extract->options->to);
    if (repaired > 0)
        printf("%" PRIu64 " clusters were brought back by parity\n", repaired);
    if (extract->deleted > 0)
        printf("%" PRIu64 " files that were deleted later were left out\n", extract->deleted);
    if (writer->unowned > 0)
        printf("%" PRIu64
               " files and directories belong to you: only root can give them their owners\n",
               writer->unowned);
    if (writer->without_xattrs > 0)
        printf("%" PRIu64 " files lack some extended attributes, which this filesystem or user "
               "cannot set\n",
               writer->without_xattrs);
    if (extract->bad > 0)
        printf("%" PRIu64 " files could NOT be extracted; they are named above\n", extract->bad);
}

int
verb_extract(struct discs *discs, const struct options *options, struct varve_error *err)
{
    struct extract extract = {.options = options, .writer = {.root = -1, .parent = -1}};
    extract.reader = calloc(1, sizeof *extract.reader);
    if (extract.reader == NULL) {
        (void)varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
        return RECOVER_FAILED;
    }
    bool ok = run(&extract, discs, err);
    if (ok)
        summarize(&extract, discs);
    bool good = ok && extract.bad == 0 && !extract.tree.incomplete && !discs->refused;
    writer_close(&extract.writer);
    tree_done(&extract.tree);
    free(extract.reader);
    if (!ok)
        return RECOVER_FAILED;
    return good ? RECOVER_GOOD : RECOVER_BAD;
}
