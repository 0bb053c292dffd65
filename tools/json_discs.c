/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

#include <string.h>
#include <sys/stat.h>

static json_t *
make_uuid(const struct varve_uuid *uuid)
{
    static const struct varve_uuid none;
    if (varve_uuid_equal(uuid, &none))
        return json_null();
    char text[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(uuid, text);
    return json_string(text);
}

json_t *
json_set(const struct varve_set *set)
{
    return json_pack("{s:I, s:o, s:s, s:I, s:I, s:I, s:o, s:o}", "id", (json_int_t)set->id.value,
                     "uuid", make_uuid(&set->uuid), "state", varve_set_state_name(set->state),
                     "data_discs", (json_int_t)set->data_discs, "parity_discs",
                     (json_int_t)set->parity_discs, "bytes_longest",
                     (json_int_t)(set->clusters * VARVE_CLUSTER_BYTES), "created",
                     json_time(set->created_ns), "sealed", json_time(set->sealed_ns));
}

json_t *
json_disc(const struct varve_disc_row *disc)
{
    bool in_set = disc->set.value != 0;
    return json_pack("{s:s, s:o, s:s, s:o, s:o, s:o, s:I, s:I, s:o, s:o, s:I, s:o}", "barcode",
                     disc->barcode.text, "library", json_bytes(disc->library), "state",
                     varve_disc_state_name(disc->state), "set",
                     in_set ? json_integer((json_int_t)disc->set.value) : json_null(), "index",
                     in_set ? json_integer((json_int_t)disc->index) : json_null(), "uuid",
                     make_uuid(&disc->uuid), "capacity_bytes",
                     (json_int_t)(disc->capacity_clusters * VARVE_CLUSTER_BYTES), "bytes",
                     (json_int_t)(disc->clusters * VARVE_CLUSTER_BYTES), "burned",
                     json_time(disc->burned_ns), "verified", json_time(disc->verified_ns),
                     "bad_clusters", (json_int_t)disc->bad_clusters, "place",
                     json_bytes(disc->place));
}

static const char *
element_type_name(enum varve_element_type type)
{
    switch (type) {
    case VARVE_ELEMENT_TRANSPORT:
        return "arm";
    case VARVE_ELEMENT_SLOT:
        return "slot";
    case VARVE_ELEMENT_MAIL_SLOT:
        return "mail_slot";
    case VARVE_ELEMENT_DRIVE:
        return "drive";
    }
    return "?";
}

json_t *
json_element(const struct varve_element *element)
{
    char sense[16];
    char flags[VARVE_ELEMENT_FLAGS_BYTES];
    (void)snprintf(sense, sizeof sense, "%02x/%02x", element->asc, element->ascq);
    return json_pack("{s:s, s:i, s:b, s:s, s:o, s:o, s:s}", "type",
                     element_type_name(element->type), "address", (int)element->address, "full",
                     element->full, "barcode", element->barcode.text, "source",
                     element->has_source ? json_integer(element->source) : json_null(), "exception",
                     element->exception ? json_string(sense) : json_null(), "flags",
                     varve_element_flags_text(element->flags, flags));
}

static const char *
file_type_name(uint32_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFREG:
        return "file";
    case S_IFDIR:
        return "directory";
    case S_IFLNK:
        return "symlink";
    case S_IFIFO:
        return "fifo";
    case S_IFSOCK:
        return "socket";
    case S_IFCHR:
        return "character_device";
    case S_IFBLK:
        return "block_device";
    }
    return "unknown";
}

/* State and tier of a regular file; null for what has no content. */
static void
make_state(const struct json_file *file, json_t **ret_state, json_t **ret_tier)
{
    *ret_state = *ret_tier = NULL;
    if (!S_ISREG(file->inode->mode)) {
        *ret_state = json_null();
        *ret_tier = json_null();
        return;
    }
    enum varve_state state = VARVE_STATE_RESIDENT;
    enum varve_tier tier = VARVE_TIER_NONE;
    if (file->content != NULL) {
        state = varve_state_of(file->content->phase, file->content->place);
        tier = file->content->place.tier;
    }
    *ret_state = json_string(varve_state_name(state));
    *ret_tier = tier != VARVE_TIER_NONE ? json_string(varve_tier_name(tier)) : json_null();
}

static json_t *
make_pin(int64_t until_ns)
{
    return until_ns == INT64_MAX ? json_string("forever") : json_time(until_ns);
}

json_t *
json_file(const struct json_file *file)
{
    const struct varve_inode *inode = file->inode;
    char mode[8];
    (void)snprintf(mode, sizeof mode, "%04o", inode->mode & 07777u);
    json_t *state, *tier;
    make_state(file, &state, &tier);
    return json_pack(
        "{s:o, s:s, s:I, s:s, s:I, s:I, s:I, s:I, s:o, s:o, s:o, s:o, s:o, s:I, s:f, s:o, s:o}",
        "path", json_bytes(file->path), "type", file_type_name(inode->mode), "ino",
        (json_int_t)inode->ino, "mode", mode, "uid", (json_int_t)inode->uid, "gid",
        (json_int_t)inode->gid, "links", (json_int_t)inode->nlink, "size", (json_int_t)inode->size,
        "mtime", json_time(inode->mtime_ns), "state", state, "tier", tier, "set",
        file->set != 0 ? json_integer((json_int_t)file->set) : json_null(), "discs", file->discs,
        "version", (json_int_t)(file->content != NULL ? file->content->version : 0), "heat",
        file->heat, "pinned_until", make_pin(inode->pinned_until_ns), "eta",
        file->eta != NULL ? file->eta : json_null());
}
