/* SPDX-License-Identifier: Apache-2.0 */
/* slowmount ARCHIVE MOUNTPOINT MOVE_MS READ_MS - mounts an archive whose virtual library is as slow
 * as hardware: every move takes MOVE_MS, every cluster read READ_MS. Each move is a line in
 * ARCHIVE/moves: from and to. For tests of what waits for discs; serves until it is unmounted, or
 * stops on SIGTERM. Without an API: verbs need the real daemon. */
#include <varve/engine.h>
#include <varve/fuse.h>
#include <varve/log.h>
#include <varve/virtual.h>

#include <fcntl.h>
#include <string.h>
#include <varve/byteorder.h>
#include <varve/file.h>

#include "serve_mount.h"

enum { READ_10 = 0x28, READ_12 = 0xA8, MOVE_MEDIUM = 0xA5, SECTORS = 32 };

struct slow {
    struct varve_virtual *library;
    int64_t move_ns, read_ns;
    int moves_fd;
};

struct slow_port {
    struct varve_scsi_port port; /* first: it is what others see */
    struct varve_scsi_port *inner;
    const struct slow *slow;
};

static void
note_move(const struct slow *slow, const uint8_t *cdb)
{
    char line[32];
    int size =
        snprintf(line, sizeof line, "%u %u\n", varve_get_be16(cdb + 4), varve_get_be16(cdb + 6));
    if (write(slow->moves_fd, line, (size_t)size) != size)
        abort(); /* a test that cannot count is none */
}

static bool
execute(struct varve_scsi_port *port, struct varve_scsi_command *command, struct varve_error *err)
{
    struct slow_port *own = (struct slow_port *)port;
    const struct slow *slow = own->slow;
    const uint8_t *cdb = command->cdb;
    int64_t wait_ns = 0;
    if (cdb[0] == MOVE_MEDIUM) {
        note_move(slow, cdb);
        wait_ns = slow->move_ns;
    } else if (cdb[0] == READ_10) {
        wait_ns = slow->read_ns * varve_get_be16(cdb + 7) / SECTORS;
    } else if (cdb[0] == READ_12) {
        wait_ns = slow->read_ns * varve_get_be32(cdb + 6) / SECTORS;
    }
    if (wait_ns > 0)
        varve_clock_sleep(varve_clock_system(), wait_ns);
    return own->inner->execute(own->inner, command, err);
}

static void
close_port(struct varve_scsi_port *port)
{
    struct slow_port *own = (struct slow_port *)port;
    own->inner->close(own->inner);
    free(own);
}

/* Takes `inner`. */
static struct varve_scsi_port *
slow_down(const struct slow *slow, struct varve_scsi_port *inner)
{
    struct slow_port *port = calloc(1, sizeof *port);
    if (port == NULL)
        abort();
    *port = (struct slow_port){{execute, close_port}, inner, slow};
    return &port->port;
}

static bool
open_library(void *context, const struct varve_config *config, size_t index,
             struct varve_library_ports *ret, struct varve_error *err)
{
    struct slow *slow = context;
    struct varve_scsi_port *port;
    if (index != 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "one library is enough for a test");
    if (!varve_virtual_open(config->libraries[0].path, varve_clock_system(), &slow->library, err) ||
        !varve_virtual_changer_port(slow->library, &port, err))
        return false;
    *ret = (struct varve_library_ports){.name = config->libraries[0].name,
                                        .changer = slow_down(slow, port),
                                        .drive_count = varve_virtual_drive_count(slow->library)};
    ret->drives = calloc(ret->drive_count + 1, sizeof(struct varve_scsi_port *));
    for (unsigned i = 0; i < ret->drive_count; i++) {
        if (ret->drives == NULL || !varve_virtual_drive_port(slow->library, i, &port, err))
            return false;
        ret->drives[i] = slow_down(slow, port);
    }
    return true;
}

static bool
serve(struct varve_engine *engine, const char *dir, const char *mountpoint, struct varve_error *err)
{
    VARVE_CLEANUP(varve_mount_free) struct varve_mount *mount = NULL;
    const struct varve_mount_options options = {
        .mountpoint = mountpoint, .source = dir, .allow_other = true};
    if (!varve_mount_new(varve_engine_vfs(engine), &options, &mount, err) ||
        !varve_engine_start(engine, err))
        return false;
    return serve_mount(mount, err);
}

static bool
run(const char *dir, const char *mountpoint, struct slow *slow, struct varve_error *err)
{
    const struct varve_engine_ports ports = {.clock = varve_clock_system(),
                                             .random = varve_random_system(),
                                             .context = slow,
                                             .open_library = open_library};
    struct varve_engine *engine = NULL;
    VARVE_CLEANUP_FREE char *moves = varve_file_join(dir, "moves");
    if (moves == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "slowmount");
    slow->moves_fd = open(moves, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (slow->moves_fd < 0)
        return varve_error_system(err, errno, "open '%s'", moves);
    bool ok = varve_engine_open(dir, &ports, &engine, err) && serve(engine, dir, mountpoint, err);
    varve_engine_close(engine);
    varve_virtual_close(slow->library);
    (void)close(slow->moves_fd);
    return ok;
}

int
main(int count, char **arguments)
{
    struct varve_error err = {0};
    serve_block_signals();
    if (count != 5) {
        (void)fprintf(stderr, "usage: slowmount ARCHIVE MOUNTPOINT MOVE_MS READ_MS\n");
        return 2;
    }
    struct slow slow = {.move_ns = atoll(arguments[3]) * VARVE_NS_PER_MS,
                        .read_ns = atoll(arguments[4]) * VARVE_NS_PER_MS};
    if (run(arguments[1], arguments[2], &slow, &err))
        return 0;
    (void)fprintf(stderr, "slowmount: %s\n", err.text);
    return 1;
}
