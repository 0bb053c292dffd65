/* SPDX-License-Identifier: Apache-2.0 */
/* Who reads: whether he may make discs move, and whether his reading counts. */
#include "vfs_internal.h"

#include <string.h>
#include <varve/file.h>

static bool
in_list(const struct varve_id_list *list, uint32_t id)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->ids[i] == id)
            return true;
    }
    return false;
}

/* A file of /proc of the calling thread; empty when he is gone. */
static void
look(const struct varve_reader *reader, const char *name, struct varve_buffer *ret)
{
    enum { PROC_BYTES_MAX = 1 << 20 };
    struct varve_error unused;
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)reader->pid, name);
    if (reader->pid <= 0 || !varve_file_read(path, PROC_BYTES_MAX, ret, &unused))
        varve_buffer_clear(ret);
}

/* The line "Groups:\t24 25 1000 " of /proc/PID/status. */
static bool
in_further_group(const struct varve_id_list *list, const char *status)
{
    const char *at = strstr(status, "\nGroups:");
    if (at == NULL)
        return false;
    at += strlen("\nGroups:");
    for (;;) {
        char *end;
        at += strspn(at, " \t");
        unsigned long id = strtoul(at, &end, 10);
        if (end == at || *at == '\n')
            return false;
        if (id <= UINT32_MAX && in_list(list, (uint32_t)id))
            return true;
        at = end;
    }
}

static bool
in_group(const struct varve_id_list *list, const struct varve_reader *reader)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer status = {0};
    if (list->count == 0 || in_list(list, reader->gid))
        return list->count > 0;
    look(reader, "status", &status);
    return in_further_group(list, varve_buffer_string(&status));
}

static bool
runs_command(const char *const *names, size_t count, const struct varve_reader *reader)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer comm = {0};
    if (count == 0)
        return false;
    look(reader, "comm", &comm);
    const char *text = varve_buffer_string(&comm);
    size_t size = strcspn(text, "\n");
    for (size_t i = 0; i < count; i++) {
        if (strlen(names[i]) == size && memcmp(names[i], text, size) == 0)
            return true;
    }
    return false;
}

bool
reader_scans(const struct varve_vfs *vfs, const struct varve_reader *reader)
{
    const struct varve_reader_rules *rules = &vfs->readers;
    return reader != NULL &&
           (in_list(&rules->scan_users, reader->uid) || in_group(&rules->scan_groups, reader) ||
            runs_command(rules->scan_commands, rules->scan_command_count, reader));
}

bool
varve_vfs_head_will_do(const struct varve_vfs *vfs, const struct varve_reader *reader)
{
    const struct varve_reader_rules *rules = &vfs->readers;
    return runs_command(rules->head_commands, rules->head_command_count, reader);
}

bool
reader_may_wait(const struct varve_vfs *vfs, const struct varve_reader *reader,
                struct varve_error *err)
{
    const struct varve_reader_rules *rules = &vfs->readers;
    if (reader == NULL)
        return true;
    if (rules->mode == VARVE_RECALL_BLOCK || reader->uid == 0 ||
        in_list(&rules->users, reader->uid) || in_group(&rules->groups, reader))
        return true;
    if (rules->mode == VARVE_RECALL_AGAIN)
        return varve_error_set(err, VARVE_ERROR_NOT_READY, EAGAIN,
                               "on discs only; 'varve recall' brings it back");
    return varve_error_set(err, VARVE_ERROR_INVALID, EACCES,
                           "on discs only, and user %u may not recall", (unsigned)reader->uid);
}
