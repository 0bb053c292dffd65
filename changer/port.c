/* SPDX-License-Identifier: Apache-2.0 */
/* Places: which link leads to a device. */
#include "port_internal.h"

#include <string.h>

static const char iscsi_scheme[] = "iscsi://";
static const char serial_scheme[] = "serial:";

static bool
begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0 && text[strlen(with)] != 0;
}

bool
varve_port_is_place(const char *text)
{
    return begins(text, iscsi_scheme) || begins(text, serial_scheme) || begins(text, "/");
}

const char *
varve_port_place_text(const char *place, char ret[VARVE_PORT_PLACE_BYTES])
{
    if (!begins(place, iscsi_scheme)) {
        (void)snprintf(ret, VARVE_PORT_PLACE_BYTES, "%s", place);
        return ret;
    }
    /* Of the host part only: a password may hold an '@', a target's name too. */
    const char *host = place + strlen(iscsi_scheme);
    size_t size = strcspn(host, "/");
    const char *at = memrchr(host, '@', size);
    (void)snprintf(ret, VARVE_PORT_PLACE_BYTES, "%s%s", iscsi_scheme, at != NULL ? at + 1 : host);
    ret[strcspn(ret, "?")] = 0; /* parameters: the target's password */
    return ret;
}

void
port_trim_serial(const uint8_t *bytes, size_t size, char ret[VARVE_PORT_SERIAL_BYTES])
{
    while (size > 0 && (bytes[0] <= ' ' || bytes[0] > '~')) {
        bytes++;
        size--;
    }
    while (size > 0 && (bytes[size - 1] <= ' ' || bytes[size - 1] > '~'))
        size--;
    size_t used = 0;
    for (size_t i = 0; i < size && used + 1 < VARVE_PORT_SERIAL_BYTES; i++) {
        if (bytes[i] >= ' ' && bytes[i] <= '~')
            ret[used++] = (char)bytes[i];
    }
    ret[used] = 0;
}

bool
varve_port_open(const char *place, const struct varve_port_options *options,
                struct varve_scsi_port **ret, struct varve_error *err)
{
    char text[VARVE_PORT_PLACE_BYTES];
    (void)varve_port_place_text(place, text);
    if (!varve_port_is_place(place)) {
        (void)varve_error_set(err, VARVE_ERROR_INVALID, 0, "'%s' names no device", text);
        return varve_error_hint(err, "known are /dev/..., serial:TEXT and "
                                     "iscsi://[user[%%password]@]host[:port]/target/lun");
    }
    void *link = NULL;
    if (begins(place, iscsi_scheme))
        return port_iscsi_new(place, &link, err)
                   ? port_link_new(&port_iscsi_ops, link, text, options, ret, err)
                   : varve_error_wrap(err, "%s", text);
    link = port_sg_new(place);
    if (link == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "%s", text);
    return port_link_new(&port_sg_ops, link, text, options, ret, err);
}
