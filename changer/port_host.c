/* SPDX-License-Identifier: Apache-2.0 */
/* Fault 34: when a command times out, the kernel resets the bus, and with it whatever its
 * neighbours on the same host adapter are burning. Commands that may take minutes take turns there,
 * so that at most one can bring that about; reads, writes and questions never wait. */
#include "port_internal.h"

#include <limits.h>
#include <string.h>

#define HOSTS_MAX 64u

static pthread_mutex_t hosts[HOSTS_MAX]; /* by host number; adapters beyond share */
static pthread_once_t hosts_once = PTHREAD_ONCE_INIT;

static void
make_hosts(void)
{
    for (unsigned i = 0; i < HOSTS_MAX; i++)
        (void)pthread_mutex_init(&hosts[i], NULL); /* cannot fail on Linux */
}

/* Those that end when they are done, not when they began: IMMED is bit 0 of byte 1 of START STOP,
 * and of CLOSE (MMC-6 6.45, 6.3), bit 1 of SYNCHRONIZE CACHE, and in the list of FORMAT UNIT. */
bool
port_host_is_risky(const struct varve_scsi_command *command)
{
    const uint8_t *cdb = command->cdb;
    switch (cdb[0]) {
    case 0x04: /* FORMAT UNIT */
        return command->data_bytes < 2 || command->data == NULL || (command->data[1] & 0x02) == 0;
    case 0x1b: /* START STOP UNIT */
    case 0x5b: /* CLOSE TRACK SESSION */
        return (cdb[1] & 0x01) == 0;
    case 0x35: /* SYNCHRONIZE CACHE */
        return (cdb[1] & 0x02) == 0;
    case 0x07: /* INITIALIZE ELEMENT STATUS, with range */
    case 0x37:
    case 0xa5: /* MOVE, EXCHANGE */
    case 0xa6:
        return true;
    default:
        return false;
    }
}

pthread_mutex_t *
port_host_enter(int host, const struct varve_scsi_command *command)
{
    if (host < 0 || !port_host_is_risky(command))
        return NULL;
    (void)pthread_once(&hosts_once, make_hosts);
    return varve_lock_enter(&hosts[(unsigned)host % HOSTS_MAX]);
}

void
port_host_leave(pthread_mutex_t *held)
{
    if (held != NULL)
        varve_lock_leave(&held);
}

/* ".../host7/target7:0:1/7:0:1:0": the nearest one, as adapters may stand behind adapters. */
int
port_sysfs_host_of(const char *root, const char *sg)
{
    char path[PATH_MAX];
    (void)snprintf(path, sizeof path, "%s/sys/class/scsi_generic/%s/device", root,
                   strrchr(sg, '/') + 1);
    VARVE_CLEANUP_FREE char *whole = realpath(path, NULL);
    int host = -1;
    for (const char *at = whole; at != NULL && (at = strstr(at, "/host")) != NULL; at++) {
        int number;
        if (sscanf(at, "/host%d/", &number) == 1)
            host = number;
    }
    return host;
}
