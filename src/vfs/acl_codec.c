/* SPDX-License-Identifier: Apache-2.0 */
#include "acl_codec.h"

#include <errno.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <sys/stat.h>
#include <varve/byteorder.h>
#include <varve/cursor.h>

#define ENTRY_BYTES 8u
#define PERMS 07u

static bool
malformed(struct varve_error *err, const char *what)
{
    return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL, "ACL %s", what);
}

/* The order in which entries must stand; 0: no tag of an ACL. */
static unsigned
rank_of(uint16_t tag)
{
    switch (tag) {
    case ACL_USER_OBJ:
        return 1;
    case ACL_USER:
        return 2;
    case ACL_GROUP_OBJ:
        return 3;
    case ACL_GROUP:
        return 4;
    case ACL_MASK:
        return 5;
    case ACL_OTHER:
        return 6;
    default: /* not an enum: any 16 bits may come */
        return 0;
    }
}

static bool
is_named(const struct acl_entry *entry)
{
    return entry->tag == ACL_USER || entry->tag == ACL_GROUP;
}

/* Of the first entry with that tag; acl->count if there is none. */
static size_t
find(const struct acl *acl, uint16_t tag)
{
    size_t i = 0;
    while (i < acl->count && acl->entries[i].tag != tag)
        i++;
    return i;
}

static bool
has(const struct acl *acl, uint16_t tag)
{
    return find(acl, tag) < acl->count;
}

static bool
check_entries(const struct acl *acl, struct varve_error *err)
{
    unsigned last = 0;
    bool named = false;
    for (size_t i = 0; i < acl->count; i++) {
        const struct acl_entry *entry = &acl->entries[i];
        unsigned rank = rank_of(entry->tag);
        if (rank == 0 || entry->perm > PERMS)
            return malformed(err, "has an unknown entry");
        if (rank < last || (rank == last && !is_named(entry)))
            return malformed(err, "has its entries out of order");
        if (is_named(entry) && entry->id == (uint32_t)ACL_UNDEFINED_ID)
            return malformed(err, "names nobody");
        named = named || is_named(entry);
        last = rank;
    }
    if (!has(acl, ACL_USER_OBJ) || !has(acl, ACL_GROUP_OBJ) || !has(acl, ACL_OTHER))
        return malformed(err, "lacks owner, group or others");
    if (named && !has(acl, ACL_MASK))
        return malformed(err, "lacks a mask");
    return true;
}

bool
acl_decode(const void *value, size_t size, struct acl *ret, struct varve_error *err)
{
    struct varve_cursor cursor = varve_cursor_new(value, size);
    uint32_t version;
    if (!varve_cursor_le32(&cursor, &version) || version != POSIX_ACL_XATTR_VERSION)
        return malformed(err, "of an unknown version");
    uint64_t count = varve_cursor_left(&cursor) / ENTRY_BYTES;
    if (varve_cursor_left(&cursor) % ENTRY_BYTES != 0)
        return malformed(err, "is cut off");
    if (count > ACL_ENTRIES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, E2BIG, "ACL has more than %u entries",
                               ACL_ENTRIES_MAX);
    ret->count = (size_t)count;
    for (size_t i = 0; i < ret->count; i++) {
        struct acl_entry *entry = &ret->entries[i];
        if (!varve_cursor_le16(&cursor, &entry->tag) || !varve_cursor_le16(&cursor, &entry->perm) ||
            !varve_cursor_le32(&cursor, &entry->id))
            return malformed(err, "is cut off");
    }
    return check_entries(ret, err);
}

void
acl_encode(const struct acl *acl, struct varve_buffer *ret)
{
    uint8_t bytes[ENTRY_BYTES];
    varve_put_le32(bytes, POSIX_ACL_XATTR_VERSION);
    varve_buffer_append(ret, bytes, 4);
    for (size_t i = 0; i < acl->count; i++) {
        varve_put_le16(bytes, acl->entries[i].tag);
        varve_put_le16(bytes + 2, acl->entries[i].perm);
        varve_put_le32(bytes + 4, acl->entries[i].id);
        varve_buffer_append(ret, bytes, sizeof bytes);
    }
}

/* The entry that the group bits of a mode stand for. */
static size_t
group_bits(const struct acl *acl)
{
    return find(acl, has(acl, ACL_MASK) ? ACL_MASK : ACL_GROUP_OBJ);
}

static bool
says_more(const struct acl *acl)
{
    for (size_t i = 0; i < acl->count; i++) {
        if (is_named(&acl->entries[i]) || acl->entries[i].tag == ACL_MASK)
            return true;
    }
    return false;
}

bool
acl_to_mode(const struct acl *acl, uint32_t mode, uint32_t *ret)
{
    const struct acl_entry *entries = acl->entries;
    *ret = (mode & ~0777u) | (uint32_t)entries[find(acl, ACL_USER_OBJ)].perm << 6 |
           (uint32_t)entries[group_bits(acl)].perm << 3 | entries[find(acl, ACL_OTHER)].perm;
    return !says_more(acl);
}

void
acl_take_mode(struct acl *acl, uint32_t mode)
{
    acl->entries[find(acl, ACL_USER_OBJ)].perm = (uint16_t)(mode >> 6 & PERMS);
    acl->entries[group_bits(acl)].perm = (uint16_t)(mode >> 3 & PERMS);
    acl->entries[find(acl, ACL_OTHER)].perm = (uint16_t)(mode & PERMS);
}

bool
acl_inherit(struct acl *acl, uint32_t mode, uint32_t *ret)
{
    uint32_t both;
    bool plain = acl_to_mode(acl, mode, &both);
    *ret = both & (mode | ~0777u);
    acl_take_mode(acl, *ret);
    return plain;
}
