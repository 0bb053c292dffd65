/* SPDX-License-Identifier: Apache-2.0 */
#include "vfs_internal.h"

#include <inttypes.h>
#include <linux/limits.h>
#include <string.h>
#include <sys/xattr.h>

#define OWN_PREFIX "user.varve."
#define CAPABILITY "security.capability"
/* Pieces are listed at one time; a file on more discs than a set has is not made. */
#define PIECES_MAX VARVE_SET_DISCS_MAX

/* What a virtual attribute is made from. */
struct view {
    struct varve_vfs *vfs;
    struct varve_inode inode;
    struct varve_content content; /* id 0: none */
    struct varve_buffer *ret;
};

static bool
no_data(const char *name, struct varve_error *err)
{
    return varve_error_set(err, VARVE_ERROR_NOT_FOUND, ENODATA, "attribute '%s'", name);
}

static bool
show_state(struct view *view, struct varve_error *err)
{
    (void)err;
    enum varve_state state = view->content.id.value == 0
                                 ? VARVE_STATE_RESIDENT
                                 : varve_state_of(view->content.phase, view->content.place);
    varve_buffer_text(view->ret, varve_state_name(state));
    return true;
}

static bool
show_tier(struct view *view, struct varve_error *err)
{
    (void)err;
    enum varve_tier tier =
        view->content.id.value == 0 ? view->vfs->first_tier : view->content.place.tier;
    varve_buffer_text(view->ret, tier == VARVE_TIER_NONE ? "optical" : varve_tier_name(tier));
    return true;
}

static bool
show_heat(struct view *view, struct varve_error *err)
{
    (void)err;
    varve_buffer_printf(view->ret, "%.3f",
                        varve_heat_decay(view->inode.heat, view->inode.heat_ns, vfs_now(view->vfs),
                                         view->vfs->heat_half_life_ns));
    return true;
}

static bool
show_opens(struct view *view, struct varve_error *err)
{
    (void)err;
    varve_buffer_printf(view->ret, "%" PRIu64, view->inode.opens);
    return true;
}

/* The pieces of the newest set that has the content: an older one may have been given up. */
static bool
newest_pieces(struct view *view, struct varve_piece *pieces, size_t *ret_first, size_t *ret_count,
              struct varve_error *err)
{
    size_t count = 0;
    if (view->content.id.value != 0 && !varve_catalog_pieces(view->vfs->catalog, view->content.id,
                                                             pieces, PIECES_MAX, &count, err))
        return false;
    if (count == 0)
        return no_data("user.varve.set", err);
    size_t first = count - 1;
    while (first > 0 && pieces[first - 1].set.value == pieces[count - 1].set.value)
        first--;
    *ret_first = first;
    *ret_count = count;
    return true;
}

static bool
show_set(struct view *view, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_piece *pieces = calloc(PIECES_MAX, sizeof *pieces);
    size_t first, count;
    if (pieces == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list pieces");
    if (!newest_pieces(view, pieces, &first, &count, err))
        return false;
    varve_buffer_printf(view->ret, "%" PRIu64, pieces[first].set.value);
    return true;
}

static bool
holds_data(enum varve_disc_state state)
{
    switch (state) {
    case VARVE_DISC_BURNING:
    case VARVE_DISC_BURNED:
    case VARVE_DISC_SEALED:
    case VARVE_DISC_SUSPECT:
    case VARVE_DISC_OFFLINE:
        return true;
    case VARVE_DISC_BLANK:
    case VARVE_DISC_FAILED:
    case VARVE_DISC_LOST:
    case VARVE_DISC_RETIRED:
    case VARVE_DISC_FOREIGN:
        return false;
    }
    return false;
}

static void
append_discs_at(struct view *view, const struct varve_disc_row *discs, size_t count, uint32_t index)
{
    for (size_t i = 0; i < count; i++) {
        if (discs[i].index != index || !holds_data(discs[i].state))
            continue;
        if (view->ret->size > 0)
            varve_buffer_text(view->ret, " ");
        varve_buffer_text(view->ret, discs[i].barcode.text);
    }
}

static bool
show_discs(struct view *view, struct varve_error *err)
{
    const size_t discs_max = 2 * VARVE_SET_DISCS_MAX; /* room for failed ones */
    VARVE_CLEANUP_FREE struct varve_piece *pieces = calloc(PIECES_MAX, sizeof *pieces);
    VARVE_CLEANUP_FREE struct varve_disc_row *discs = calloc(discs_max, sizeof *discs);
    size_t first, count;
    size_t disc_count = 0;
    if (pieces == NULL || discs == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list discs");
    if (!newest_pieces(view, pieces, &first, &count, err) ||
        !varve_catalog_set_discs(view->vfs->catalog, pieces[first].set, discs, discs_max,
                                 &disc_count, err))
        return false;
    for (size_t i = first; i < count; i++) {
        if (i == first || pieces[i].index != pieces[i - 1].index)
            append_discs_at(view, discs, disc_count, pieces[i].index);
    }
    return view->ret->size > 0 || no_data("user.varve.discs", err);
}

/* Seconds until the file would be here if somebody read it now. */
static bool
show_eta(struct view *view, struct varve_error *err)
{
    if (view->content.id.value == 0 || view->content.place.tier != VARVE_TIER_NONE)
        return no_data("user.varve.eta", err);
    struct varve_recall_port port = recall_port(view->vfs);
    if (port.eta == NULL)
        return no_data("user.varve.eta", err);
    return port.eta(port.context, view->content.id, view->ret, err);
}

static bool
show_archive(struct view *view, struct varve_error *err)
{
    (void)err;
    varve_buffer_text(view->ret, view->vfs->archive_dir);
    return true;
}

static bool
show_path(struct view *view, struct varve_error *err)
{
    return varve_catalog_path(view->vfs->catalog, view->inode.ino, view->ret, err);
}

static const struct {
    const char *name;
    bool files_only;
    bool (*show)(struct view *view, struct varve_error *err);
} own[] = {
    {"state", true, show_state}, {"tier", true, show_tier},        {"heat", true, show_heat},
    {"opens", true, show_opens}, {"set", true, show_set},          {"discs", true, show_discs},
    {"path", false, show_path},  {"archive", false, show_archive}, {"eta", true, show_eta},
};

static bool
is_own(const char *name)
{
    return strncmp(name, OWN_PREFIX, strlen(OWN_PREFIX)) == 0;
}

/* Opens of now count in what is shown. */
static void
flush_if_open(struct varve_vfs *vfs, uint64_t ino)
{
    struct varve_error unused;
    struct vnode *vnode = vnode_peek(vfs, ino);
    if (vnode == NULL)
        return;
    if (vnode_try_lock(vnode)) {
        VARVE_IGNORE(vnode_flush(vfs, vnode, &unused));
        vnode_unlock(vfs, vnode);
    }
    vnode_put(vfs, vnode);
}

static bool
get_own(struct varve_vfs *vfs, uint64_t ino, const char *name, struct varve_buffer *ret,
        struct varve_error *err)
{
    struct view view = {.vfs = vfs, .ret = ret};
    size_t i = 0;
    while (i < sizeof own / sizeof own[0] && strcmp(name + strlen(OWN_PREFIX), own[i].name) != 0)
        i++;
    if (i == sizeof own / sizeof own[0])
        return no_data(name, err);
    flush_if_open(vfs, ino);
    if (!varve_catalog_inode_get(vfs->catalog, ino, &view.inode, err))
        return false;
    if (own[i].files_only && !S_ISREG(view.inode.mode))
        return no_data(name, err);
    if (own[i].files_only && view.inode.content.value != 0 &&
        !varve_catalog_content_get(vfs->catalog, view.inode.content, &view.content, err))
        return false;
    return own[i].show(&view, err) && varve_buffer_ok(ret, err);
}

/* Of system.* only what is obeyed: kept as mere bytes the rest would promise what nobody holds. */
static bool
check_namespace(const char *name, struct varve_error *err)
{
    static const char *const spaces[] = {"user.", "trusted.", "security."};
    for (size_t i = 0; i < sizeof spaces / sizeof spaces[0]; i++) {
        if (strncmp(name, spaces[i], strlen(spaces[i])) != 0)
            continue;
        if (name[strlen(spaces[i])] == 0)
            return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL, "attribute '%s'", name);
        return true;
    }
    if (acl_is_name(name))
        return true;
    return varve_error_set(err, VARVE_ERROR_INVALID, EOPNOTSUPP, "attribute '%s'", name);
}

static bool
check_name(const char *name, struct varve_error *err)
{
    size_t length = strlen(name);
    if (is_own(name))
        return varve_error_set(err, VARVE_ERROR_INVALID, EPERM, "attribute '%s' is read-only",
                               name);
    if (length == 0 || length > VARVE_NAME_BYTES_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, ERANGE, "attribute name");
    return check_namespace(name, err);
}

bool
varve_vfs_xattr_get(struct varve_vfs *vfs, uint64_t ino, const char *name, struct varve_buffer *ret,
                    struct varve_error *err)
{
    if (is_own(name))
        return get_own(vfs, ino, name, ret, err);
    if (strcmp(name, CAPABILITY) == 0)
        pass_settle(vfs, ino); /* written since it was given, it is there no longer */
    struct varve_error missing;
    if (varve_catalog_xattr_get(vfs->catalog, ino, name, ret, &missing))
        return true;
    if (missing.kind == VARVE_ERROR_NOT_FOUND)
        return check_name(name, err) && no_data(name, err);
    *err = missing;
    return false;
}

/* Inside a unit. */
static bool
touch_ctime(struct varve_vfs *vfs, uint64_t ino, struct varve_error *err)
{
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, err))
        return false;
    inode.ctime_ns = vfs_later(inode.ctime_ns, vfs_now(vfs));
    return varve_catalog_inode_update(vfs->catalog, &inode, err);
}

/* One setxattr(2). */
struct change {
    const char *name;
    const void *value;
    size_t size;
    int flags;
    bool lose_setgid;
    const struct acl *acl; /* what `value` is, if it is an ACL; else NULL */
};

static bool
lose_setgid(struct varve_vfs *vfs, struct varve_inode *inode, struct varve_error *err)
{
    if ((inode->mode & S_ISGID) == 0)
        return true;
    inode->mode &= ~(uint32_t)S_ISGID;
    inode->ctime_ns = vfs_later(inode->ctime_ns, vfs_now(vfs));
    return varve_catalog_inode_update(vfs->catalog, inode, err);
}

/* Inside a unit. An access ACL changes the mode too. */
static bool
set_acl_row(struct varve_vfs *vfs, struct varve_inode *inode, const struct change *change,
            struct varve_error *err)
{
    bool changed;
    if (!acl_set(vfs, change->name, change->acl, inode, &changed, err))
        return false;
    changed = changed || (change->lose_setgid && (inode->mode & S_ISGID) != 0);
    if (!changed)
        return true;
    if (change->lose_setgid)
        inode->mode &= ~(uint32_t)S_ISGID;
    inode->ctime_ns = vfs_later(inode->ctime_ns, vfs_now(vfs));
    return varve_catalog_inode_update(vfs->catalog, inode, err);
}

/* Inside a unit. *ret_same: the attribute has that value already. */
static bool
check_old_value(struct varve_vfs *vfs, uint64_t ino, const struct change *change, bool *ret_same,
                struct varve_error *err)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer old = {0};
    struct varve_error missing;
    bool there = varve_catalog_xattr_get(vfs->catalog, ino, change->name, &old, &missing);
    if (!there && missing.kind != VARVE_ERROR_NOT_FOUND) {
        *err = missing;
        return false;
    }
    if (there && (change->flags & XATTR_CREATE) != 0)
        return varve_error_set(err, VARVE_ERROR_EXISTS, EEXIST, "attribute '%s'", change->name);
    if (!there && (change->flags & XATTR_REPLACE) != 0)
        return no_data(change->name, err);
    *ret_same = there && old.size == change->size &&
                (old.size == 0 || memcmp(old.data, change->value, old.size) == 0);
    return true;
}

/* Inside a unit. What changes nothing leaves ctime alone, as ext4 does: it would be recorded on
 * discs again. */
static bool
set_row(struct varve_vfs *vfs, uint64_t ino, const struct change *change, struct varve_error *err)
{
    bool same = false;
    struct varve_inode inode;
    if (!varve_catalog_inode_get(vfs->catalog, ino, &inode, err) ||
        !check_old_value(vfs, ino, change, &same, err))
        return false;
    if (change->acl != NULL && !same)
        return set_acl_row(vfs, &inode, change, err);
    if (change->acl != NULL && change->lose_setgid)
        return lose_setgid(vfs, &inode, err);
    return same || (touch_ctime(vfs, ino, err) &&
                    varve_catalog_xattr_put(vfs->catalog, ino, change->name, change->value,
                                            change->size, err));
}

bool
varve_vfs_xattr_set(struct varve_vfs *vfs, uint64_t ino, const char *name, const void *value,
                    size_t size, int flags, struct varve_error *err)
{
    if (!check_name(name, err))
        return false;
    if (size > XATTR_SIZE_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, E2BIG, "attribute '%s'", name);
    struct acl acl;
    struct change change = {.name = name,
                            .value = value,
                            .size = size,
                            .flags = flags & ~VARVE_XATTR_LOSE_SETGID,
                            .lose_setgid = (flags & VARVE_XATTR_LOSE_SETGID) != 0,
                            .acl = acl_is_name(name) ? &acl : NULL};
    if ((change.flags & ~(XATTR_CREATE | XATTR_REPLACE)) != 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, EINVAL, "set attribute '%s'", name);
    if (change.acl != NULL && !acl_decode(value, size, &acl, err))
        return false;
    varve_catalog_begin(vfs->catalog);
    if (!varve_catalog_end(vfs->catalog, set_row(vfs, ino, &change, err), err))
        return false;
    if (strcmp(name, CAPABILITY) == 0)
        pass_privileges_given(vfs, ino);
    return true;
}

/* Inside a unit. */
static bool
remove_row(struct varve_vfs *vfs, uint64_t ino, const char *name, struct varve_error *err)
{
    struct varve_error missing;
    if (varve_catalog_xattr_delete(vfs->catalog, ino, name, &missing))
        return touch_ctime(vfs, ino, err);
    /* An ACL that says no more than the mode was never stored: nothing is to be removed, either. */
    if (missing.kind == VARVE_ERROR_NOT_FOUND)
        return acl_is_name(name) || no_data(name, err);
    *err = missing;
    return false;
}

bool
varve_vfs_xattr_remove(struct varve_vfs *vfs, uint64_t ino, const char *name,
                       struct varve_error *err)
{
    if (!check_name(name, err))
        return false;
    varve_catalog_begin(vfs->catalog);
    return varve_catalog_end(vfs->catalog, remove_row(vfs, ino, name, err), err);
}

bool
varve_vfs_xattr_list(struct varve_vfs *vfs, uint64_t ino, struct varve_buffer *ret,
                     struct varve_error *err)
{
    return varve_catalog_xattr_names(vfs->catalog, ino, ret, err);
}
