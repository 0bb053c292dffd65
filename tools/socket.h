/* socket.h - the name of a daemon's socket in its archive, for both sides. */
#ifndef VARVE_TOOLS_SOCKET_H
#define VARVE_TOOLS_SOCKET_H

#include <stdio.h>
#include <sys/un.h>

#define API_SOCKET "varve.sock"

/* sun_path holds 108 bytes and archives may lie deeper, so the socket is reached through an open
 * descriptor of the archive's directory. */
static inline void
socket_address(int dir_fd, struct sockaddr_un *ret)
{
    *ret = (struct sockaddr_un){.sun_family = AF_UNIX};
    (void)snprintf(ret->sun_path, sizeof ret->sun_path, "/proc/self/fd/%d/" API_SOCKET, dir_fd);
}

#endif
