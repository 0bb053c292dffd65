/* SPDX-License-Identifier: Apache-2.0 */
/* A POSIX ACL from any bytes: refused, or written again as it came; modes taken from it fit it. */
#include "acl_codec.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer again = {0};
    struct acl acl;
    struct varve_error err = {0};
    uint32_t mode, back;
    if (!acl_decode(data, size, &acl, &err)) {
        assert(err.kind == VARVE_ERROR_INVALID);
        return 0;
    }
    acl_encode(&acl, &again);
    assert(again.size == size && memcmp(again.data, data, size) == 0);
    bool all = acl_to_mode(&acl, 0100000, &mode);
    acl_take_mode(&acl, mode);
    assert(acl_to_mode(&acl, 0100000, &back) == all && back == mode);
    assert(acl_inherit(&acl, 0102750, &back) == all && (back & 07777) == ((mode & 0750) | 02000));
    return 0;
}
