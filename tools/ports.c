/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include <string.h>

static void
close_port(struct varve_scsi_port *port)
{
    if (port != NULL)
        port->close(port);
}

static void
close_ports(struct varve_library_ports *library)
{
    close_port(library->changer);
    for (size_t i = 0; library->drives != NULL && i < library->drive_count; i++)
        close_port(library->drives[i]);
    free(library->drives);
    *library = (struct varve_library_ports){0};
}

static bool
open_virtual_ports(struct varve_virtual *library, struct varve_library_ports *ret,
                   struct varve_error *err)
{
    struct varve_library_ports made = {.drive_count = varve_virtual_drive_count(library)};
    made.drives = calloc(made.drive_count + 1, sizeof(struct varve_scsi_port *));
    if (made.drives == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open the drives");
    bool ok = varve_virtual_changer_port(library, &made.changer, err);
    for (unsigned i = 0; ok && i < made.drive_count; i++)
        ok = varve_virtual_drive_port(library, i, &made.drives[i], err);
    if (!ok) {
        close_ports(&made);
        return false;
    }
    *ret = made;
    return true;
}

static bool
open_virtual(struct ports *ports, const struct varve_config_library *config,
             struct varve_library_ports *ret, struct varve_error *err)
{
    VARVE_LOCKED(&ports->lock);
    if (ports->count == PORTS_LIBRARIES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u libraries",
                               PORTS_LIBRARIES_MAX);
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *library = NULL;
    if (!varve_virtual_open(config->path, varve_clock_system(), &library, err))
        return false;
    VARVE_CLEANUP_FREE char *name = strdup(config->name);
    if (name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open the library");
    if (!open_virtual_ports(library, ret, err))
        return false;
    ret->name = config->name;
    ports->virtuals[ports->count].name = VARVE_TAKE(name);
    ports->virtuals[ports->count].library = VARVE_TAKE(library);
    ports->virtuals[ports->count].media_bytes = config->media_bytes;
    ports->count++;
    return true;
}

/* `trace` may be NULL. */
static bool
open_place(const char *place, enum varve_port_peer peer, struct varve_trace *trace,
           struct varve_scsi_port **ret, struct varve_error *err)
{
    const struct varve_port_options options = {.peer = peer};
    char text[VARVE_PORT_PLACE_BYTES];
    struct varve_scsi_port *port = NULL;
    if (!varve_port_open(place, &options, &port, err))
        return false;
    if (trace == NULL) {
        *ret = port;
        return true;
    }
    if (varve_trace_port(trace, varve_port_place_text(place, text), port, ret, err))
        return true;
    port->close(port);
    return false;
}

/* *ret stays NULL if none is wanted. */
static bool
open_trace(struct ports *ports, const struct varve_config_library *config, struct varve_trace **ret,
           struct varve_error *err)
{
    const struct varve_trace_options options = {0};
    if (config->trace == NULL)
        return true;
    VARVE_LOCKED(&ports->lock);
    if (ports->trace_count == PORTS_LIBRARIES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u traces",
                               PORTS_LIBRARIES_MAX);
    if (!varve_trace_new(config->trace, &options, ret, err))
        return false;
    ports->traces[ports->trace_count++] = *ret;
    return true;
}

static bool
open_scsi(struct ports *ports, const struct varve_config_library *config,
          struct varve_library_ports *ret, struct varve_error *err)
{
    struct varve_trace *trace = NULL;
    struct varve_library_ports made = {.name = config->name, .drive_count = config->drives.count};
    if (!open_trace(ports, config, &trace, err))
        return false;
    made.drives = calloc(made.drive_count + 1, sizeof(struct varve_scsi_port *));
    if (made.drives == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open the drives");
    bool ok = open_place(config->changer, VARVE_PORT_CHANGER, trace, &made.changer, err) ||
              varve_error_wrap(err, "changer");
    for (size_t i = 0; ok && i < made.drive_count; i++)
        ok = open_place(config->drives.words[i], VARVE_PORT_DRIVE, trace, &made.drives[i], err) ||
             varve_error_wrap(err, "drive %zu", i);
    if (!ok) {
        close_ports(&made);
        return false;
    }
    *ret = made;
    return true;
}

static bool
open_library(void *context, const struct varve_config *config, size_t library_index,
             struct varve_library_ports *ret, struct varve_error *err)
{
    const struct varve_config_library *library = &config->libraries[library_index];
    switch (library->kind) {
    case VARVE_LIBRARY_VIRTUAL:
        if (open_virtual(context, library, ret, err))
            return true;
        break;
    case VARVE_LIBRARY_SCSI:
        if (open_scsi(context, library, ret, err))
            return true;
        break;
    }
    return varve_error_wrap(err, "library '%s'", library->name);
}

void
ports_init(struct ports *ports)
{
    *ports = (struct ports){
        .engine = {.clock = varve_clock_system(),
                   .random = varve_random_system(),
                   .context = ports,
                   .open_library = open_library},
    };
    if (pthread_mutex_init(&ports->lock, NULL) != 0)
        abort(); /* default attributes cannot fail */
}

void
ports_done(struct ports *ports)
{
    for (size_t i = 0; i < ports->count; i++) {
        varve_virtual_close(ports->virtuals[i].library);
        free(ports->virtuals[i].name);
    }
    for (size_t i = 0; i < ports->trace_count; i++)
        varve_trace_free(ports->traces[i]);
    (void)pthread_mutex_destroy(&ports->lock);
    *ports = (struct ports){0};
}

bool
ports_add_blanks(struct ports *ports, const char *name, unsigned count, uint64_t disc_bytes,
                 struct varve_error *err)
{
    VARVE_LOCKED(&ports->lock);
    for (size_t i = 0; i < ports->count; i++) {
        if (name != NULL && strcmp(ports->virtuals[i].name, name) != 0)
            continue;
        uint64_t bytes = disc_bytes != 0 ? disc_bytes : ports->virtuals[i].media_bytes;
        if (bytes == 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                                   "the configuration names no media size\nhint: give --media");
        return varve_virtual_add_blanks(ports->virtuals[i].library, count, bytes, err);
    }
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no virtual library '%s'",
                           name != NULL ? name : "(any)");
}
