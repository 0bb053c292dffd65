/* SPDX-License-Identifier: Apache-2.0 */
/* One program a device (fault 35). The lock is a name among the abstract sockets of the host: it
 * needs no folder that everybody may write to, goes with its process, and tells who has it. */
#include "port_internal.h"

#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define PREFIX "varve/scsi/"

/* Longer names are cut in front: serial numbers stand at the end. */
static socklen_t
make_address(const char *device, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    size_t room = sizeof ret->sun_path - 2 - strlen(PREFIX);
    size_t size = strlen(device);
    if (size > room)
        device += size - room;
    int used = snprintf(ret->sun_path + 1, sizeof ret->sun_path - 1, PREFIX "%s", device);
    return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)used);
}

static pid_t
find_holder(const struct sockaddr_un *address, socklen_t size)
{
    VARVE_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct ucred holder = {0};
    socklen_t length = sizeof holder;
    if (fd < 0 || connect(fd, (const struct sockaddr *)address, size) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &holder, &length) != 0)
        return 0;
    return holder.pid;
}

bool
port_lock(const char *device, int *ret_fd, struct varve_error *err)
{
    struct sockaddr_un address;
    socklen_t size = make_address(device, &address);
    VARVE_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return varve_error_system(err, errno, "lock %s", device);
    if (bind(fd, (const struct sockaddr *)&address, size) == 0 && listen(fd, 1) == 0) {
        *ret_fd = VARVE_TAKE_FD(fd);
        return true;
    }
    if (errno != EADDRINUSE)
        return varve_error_system(err, errno, "lock %s", device);
    pid_t holder = find_holder(&address, size);
    if (holder > 0)
        (void)varve_error_set(err, VARVE_ERROR_BUSY, 0, "%s is in use by process %d", device,
                              (int)holder);
    else
        (void)varve_error_set(err, VARVE_ERROR_BUSY, 0, "%s is in use by another process", device);
    return varve_error_hint(err, "one program drives a changer: stop the other one first");
}

bool
varve_port_is_free(const char *vendor, const char *product, const char *serial,
                   struct varve_error *err)
{
    char device[VARVE_PORT_PLACE_BYTES];
    int fd;
    if (serial[0] == 0)
        return true; /* then the place is the lock's name, and there may be several */
    (void)snprintf(device, sizeof device, "%s/%s/%s", vendor, product, serial);
    if (!port_lock(device, &fd, err))
        return false;
    (void)close(fd);
    return true;
}
