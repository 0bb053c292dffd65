/* SPDX-License-Identifier: Apache-2.0 */
#include "waiting.h"

void
be_told(void *context, const struct varve_error *err)
{
    struct told *told = context;
    told->count++;
    told->err = err != NULL ? *err : (struct varve_error){0};
}

static bool
ask(void *context, const struct varve_recall_wish *wish, struct varve_error *err)
{
    struct port *port = context;
    struct varve_content_id content = wish->content;
    port->asked++;
    port->last = content;
    port->offset = wish->offset;
    port->wish = *wish;
    if (port->recall_now != NULL)
        recall_bytes(port->recall_now, content, TEXT, 16);
    return !port->refuse || varve_error_set(err, VARVE_ERROR_OFFLINE, 0, "disc 'D1' is away");
}

static void
forget(void *context, struct varve_content_id content)
{
    struct port *port = context;
    assert_true(content.value == port->last.value);
    port->forgotten++;
}

void
plug(struct fixture *f, struct port *port)
{
    varve_vfs_set_recall_port(f->vfs, &(struct varve_recall_port){port, ask, forget});
}

uint64_t
migrated_file(struct fixture *f, struct varve_content *ret)
{
    uint64_t ino = make_file(f, ROOT, "file");
    put_text(f, ino, TEXT);
    *ret = migrate(f, ino);
    assert_int_equal(count_files(f), 0);
    return ino;
}

uint64_t
await(struct fixture *f, uint64_t ino, uint64_t offset, uint64_t size, struct told *told)
{
    uint64_t ticket = UINT64_MAX;
    OK(varve_vfs_await(f->vfs, ino, offset, size, be_told, told, &ticket, &f->err));
    assert_true(ticket != UINT64_MAX);
    return ticket;
}
