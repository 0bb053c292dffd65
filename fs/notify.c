/* SPDX-License-Identifier: Apache-2.0 */
/* notify.c - tells the kernel of inodes that changed behind its back.
 *
 * From a thread of its own: the kernel waits in a notification for pages that a read has locked,
 * and the vfs may report a change from inside the very request that must end first. */
#include "fs_internal.h"

#include <varve/log.h>

static bool
grow(struct varve_mount *mount)
{
    if (mount->note_count < mount->note_capacity)
        return true;
    size_t capacity = mount->note_capacity == 0 ? 64 : 2 * mount->note_capacity;
    if (capacity > FS_NOTES_MAX)
        return false;
    uint64_t *notes = realloc(mount->notes, capacity * sizeof *notes);
    if (notes == NULL)
        return false;
    mount->notes = notes;
    mount->note_capacity = capacity;
    return true;
}

static void
inode_changed(void *context, uint64_t ino)
{
    struct varve_mount *mount = context;
    bool kept = true;
    {
        VARVE_LOCKED(&mount->lock);
        if (mount->note_count > 0 && mount->notes[mount->note_count - 1] == ino)
            return;
        kept = grow(mount);
        if (kept)
            mount->notes[mount->note_count++] = ino;
        (void)pthread_cond_signal(&mount->note_event);
    }
    if (!kept)
        varve_log(VARVE_LOG_WARNING, "too many changed inodes: the kernel may show old attributes");
}

/* Takes the whole list: in one round the kernel is told of all. NULL: no more. */
static uint64_t *
next_notes(struct varve_mount *mount, size_t *ret_count)
{
    VARVE_LOCKED(&mount->lock);
    while (mount->note_count == 0 && !mount->notes_quit)
        (void)pthread_cond_wait(&mount->note_event, &mount->lock);
    if (mount->notes_quit)
        return NULL;
    *ret_count = mount->note_count;
    mount->note_count = mount->note_capacity = 0;
    return VARVE_TAKE(mount->notes);
}

static void *
notify_thread(void *context)
{
    struct varve_mount *mount = context;
    size_t count = 0;
    uint64_t *notes = NULL;
    while ((notes = next_notes(mount, &count)) != NULL) {
        for (size_t i = 0; i < count; i++) /* ENOENT: the kernel does not know the inode; fine */
            (void)fuse_lowlevel_notify_inval_inode(mount->session, notes[i], 0, 0);
        free(notes);
    }
    return NULL;
}

bool
fs_notify_start(struct varve_mount *mount, struct varve_error *err)
{
    int sys = pthread_create(&mount->notifier, NULL, notify_thread, mount);
    if (sys != 0)
        return varve_error_system(err, sys, "start a thread");
    mount->has_notifier = true;
    varve_vfs_set_notify_port(mount->vfs, &(struct varve_notify_port){mount, inode_changed});
    return true;
}

/* After the connection has ended, so that no notification hangs in the kernel. */
void
fs_notify_finish(struct varve_mount *mount)
{
    if (!mount->has_notifier)
        return;
    varve_vfs_set_notify_port(mount->vfs, NULL);
    {
        VARVE_LOCKED(&mount->lock);
        mount->notes_quit = true;
        (void)pthread_cond_signal(&mount->note_event);
    }
    (void)pthread_join(mount->notifier, NULL); /* ours and joinable */
    mount->has_notifier = false;
}
