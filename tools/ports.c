/* SPDX-License-Identifier: Apache-2.0 */
#include "ports.h"

#include <string.h>
#include <varve/file.h>
#include <varve/text.h>

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
find_virtual(struct ports *ports, const char *name, size_t *ret, struct varve_error *err)
{
    for (size_t i = 0; i < ports->count; i++) {
        if (ports->virtuals[i].dir == NULL &&
            (name == NULL || strcmp(ports->virtuals[i].name, name) == 0)) {
            *ret = i;
            return true;
        }
    }
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "no virtual library '%s' is open",
                           name != NULL ? name : "(any)");
}

/* The folder stays open when what follows fails: the next attempt finds it. */
static bool
keep_virtual(struct ports *ports, const struct varve_config_library *config, size_t *ret,
             struct varve_error *err)
{
    struct varve_error ignored = {0};
    if (find_virtual(ports, config->name, ret, &ignored))
        return true;
    if (ports->count == PORTS_LIBRARIES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u libraries",
                               PORTS_LIBRARIES_MAX);
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *library = NULL;
    if (!varve_virtual_open(config->path, varve_clock_system(), &library, err))
        return false;
    VARVE_CLEANUP_FREE char *name = strdup(config->name);
    if (name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open the library");
    *ret = ports->count++;
    varve_virtual_geometry(library, &ports->virtuals[*ret].geometry);
    ports->virtuals[*ret].name = VARVE_TAKE(name);
    ports->virtuals[*ret].library = VARVE_TAKE(library);
    ports->virtuals[*ret].media_bytes = config->media_bytes;
    return true;
}

static bool
open_virtual(struct ports *ports, const struct varve_config_library *config,
             struct varve_library_ports *ret, struct varve_error *err)
{
    size_t which;
    VARVE_LOCKED(&ports->lock);
    if (!keep_virtual(ports, config, &which, err) ||
        !open_virtual_ports(ports->virtuals[which].library, ret, err))
        return false;
    ret->name = config->name;
    ret->two_sided = varve_virtual_is_two_sided(ports->virtuals[which].library);
    ret->geometry = &ports->virtuals[which].geometry;
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
    struct varve_error why = {0};
    if (varve_trace_port(trace, varve_port_place_text(place, text), port, ret, &why))
        return true;
    if (why.kind == VARVE_ERROR_INVALID) { /* full, after many attempts: a library is worth more */
        *ret = port;
        return true;
    }
    *err = why;
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
    for (size_t i = 0; i < ports->trace_count; i++) {
        if (strcmp(ports->traces[i].name, config->name) == 0) {
            *ret = ports->traces[i].trace;
            return true;
        }
    }
    if (ports->trace_count == PORTS_LIBRARIES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u traces",
                               PORTS_LIBRARIES_MAX);
    VARVE_CLEANUP_FREE char *name = strdup(config->name);
    if (name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open the trace");
    if (!varve_trace_new(config->trace, &options, ret, err))
        return false;
    ports->traces[ports->trace_count].name = VARVE_TAKE(name);
    ports->traces[ports->trace_count++].trace = *ret;
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

/* --- drives of manual libraries --- */

/* "virtual:FOLDER#N": drive N of a virtual library whose folder is the shelf. */
static bool
split_virtual(const struct varve_config *config, const char *place, char **ret_dir,
              unsigned *ret_drive, struct varve_error *err)
{
    const char *folder = place + strlen("virtual:");
    const char *hash = strrchr(folder, '#');
    uint64_t number = 0;
    if (hash == folder || folder[0] == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "drive '%s': no folder", place);
    if (hash != NULL && !varve_text_parse_number(hash + 1, 767, &number, err))
        return varve_error_wrap(err, "drive '%s'", place);
    VARVE_CLEANUP_FREE char *name =
        hash != NULL ? strndup(folder, (size_t)(hash - folder)) : strdup(folder);
    char *dir =
        name == NULL || name[0] == '/' ? VARVE_TAKE(name) : varve_file_join(config->dir, name);
    if (dir == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open a drive");
    *ret_dir = dir;
    *ret_drive = (unsigned)number;
    return true;
}

/* One folder may have several drives of the same library. */
static bool
share_virtual(struct ports *ports, const char *library, const char *dir, struct varve_virtual **ret,
              struct varve_error *err)
{
    for (size_t i = 0; i < ports->count; i++) {
        if (strcmp(ports->virtuals[i].name, library) == 0 && ports->virtuals[i].dir != NULL &&
            strcmp(ports->virtuals[i].dir, dir) == 0) {
            *ret = ports->virtuals[i].library;
            return true;
        }
    }
    if (ports->count == PORTS_LIBRARIES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "more than %u libraries",
                               PORTS_LIBRARIES_MAX);
    VARVE_CLEANUP(varve_virtual_close) struct varve_virtual *opened = NULL;
    VARVE_CLEANUP_FREE char *name = strdup(library);
    VARVE_CLEANUP_FREE char *folder = strdup(dir);
    if (name == NULL || folder == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open a drive");
    if (!varve_virtual_open(dir, varve_clock_system(), &opened, err))
        return false;
    *ret = opened;
    ports->virtuals[ports->count].name = VARVE_TAKE(name);
    ports->virtuals[ports->count].dir = VARVE_TAKE(folder);
    ports->virtuals[ports->count++].library = VARVE_TAKE(opened);
    return true;
}

static bool
open_drive(struct ports *ports, const struct varve_config *config,
           const struct varve_config_library *library, const char *place, struct varve_trace *trace,
           struct varve_scsi_port **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *dir = NULL;
    struct varve_virtual *folder = NULL;
    unsigned drive = 0;
    if (strncmp(place, "virtual:", strlen("virtual:")) != 0)
        return open_place(place, VARVE_PORT_DRIVE, trace, ret, err);
    VARVE_LOCKED(&ports->lock);
    return split_virtual(config, place, &dir, &drive, err) &&
           share_virtual(ports, library->name, dir, &folder, err) &&
           varve_virtual_drive_port(folder, drive, ret, err);
}

static bool
open_manual(struct ports *ports, const struct varve_config *config,
            const struct varve_config_library *library, struct varve_library_ports *ret,
            struct varve_error *err)
{
    struct varve_library_ports made = {.name = library->name};
    struct varve_trace *trace = NULL;
    if (!open_trace(ports, library, &trace, err))
        return false;
    made.drives = calloc(library->drives.count + 1, sizeof(struct varve_scsi_port *));
    if (made.drives == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "open the drives");
    for (size_t i = 0; i < library->drives.count; i++) {
        if (!open_drive(ports, config, library, library->drives.words[i], trace, &made.drives[i],
                        err)) {
            close_ports(&made);
            return varve_error_wrap(err, "drive %zu", i);
        }
        made.drive_count++;
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
    case VARVE_LIBRARY_MANUAL:
        if (open_manual(context, config, library, ret, err))
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
        free(ports->virtuals[i].dir);
    }
    for (size_t i = 0; i < ports->trace_count; i++) {
        varve_trace_free(ports->traces[i].trace);
        free(ports->traces[i].name);
    }
    (void)pthread_mutex_destroy(&ports->lock);
    *ports = (struct ports){0};
}

bool
ports_virtual(struct ports *ports, const char *name, struct varve_virtual **ret,
              struct varve_error *err)
{
    size_t which;
    VARVE_LOCKED(&ports->lock);
    if (!find_virtual(ports, name, &which, err))
        return false;
    *ret = ports->virtuals[which].library;
    return true;
}

bool
ports_add_blanks(struct ports *ports, const char *name, unsigned count, uint64_t disc_bytes,
                 const char *kind, struct varve_error *err)
{
    size_t which;
    VARVE_LOCKED(&ports->lock);
    if (!find_virtual(ports, name, &which, err))
        return false;
    uint64_t bytes = disc_bytes;
    if (bytes == 0 && kind == NULL)
        bytes = ports->virtuals[which].media_bytes;
    if (bytes == 0 && kind == NULL)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "the configuration names no media size\nhint: give --media");
    return varve_virtual_add_discs(ports->virtuals[which].library, kind, count, bytes, err);
}
