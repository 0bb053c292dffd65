/* acl_codec.h - a POSIX ACL as the kernel hands it over: the value of system.posix_acl_access and
 * system.posix_acl_default (linux/posix_acl_xattr.h). Pure; any thread.
 *
 * The bytes come from programs and from discs, so they are decoded with bounds and refused unless
 * they are an ACL that the kernel too would accept; what the mode bits and an ACL say of each other
 * (POSIX.1e draft 17, as Linux does it) is decided here and nowhere else. */
#ifndef VARVE_VFS_ACL_CODEC_H
#define VARVE_VFS_ACL_CODEC_H

#include <varve/buffer.h>
#include <varve/error.h>

/* More does not come through FUSE: the kernel sends at most a page. */
#define ACL_ENTRIES_MAX 511u

struct acl_entry {
    uint16_t tag, perm;
    uint32_t id; /* of ACL_USER and ACL_GROUP; else undefined, and kept as it came */
};
struct acl {
    size_t count;
    struct acl_entry entries[ACL_ENTRIES_MAX];
};

/* INVALID: EINVAL, or E2BIG with too many entries. Afterwards: one owner, one group, one other, a
 * mask where there are named entries, in the order that the kernel demands. */
VARVE_MUST_CHECK bool
acl_decode(const void *value, size_t size, struct acl *ret, struct varve_error *err);
void acl_encode(const struct acl *acl, struct varve_buffer *ret);
/* `mode` with the permission bits that the ACL gives; true if they say all that it says. */
bool acl_to_mode(const struct acl *acl, uint32_t mode, uint32_t *ret);
/* chmod: owner, other, and mask (or group, without one) become what `mode` says. */
void acl_take_mode(struct acl *acl, uint32_t mode);
/* Inheriting: a parent's default ACL becomes the access ACL of what is made with `mode`: neither
 * grants what the other does not. Returns and sets as acl_to_mode. */
bool acl_inherit(struct acl *acl, uint32_t mode, uint32_t *ret);

#endif
