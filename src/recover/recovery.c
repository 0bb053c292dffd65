/* SPDX-License-Identifier: Apache-2.0 */
/* Which discs are there, and what they say of the set. */
#include "recover_internal.h"

#include <inttypes.h>
#include <string.h>

struct varve_recovery *
varve_recovery_new(void)
{
    struct varve_recovery *recovery = calloc(1, sizeof *recovery);
    if (recovery == NULL)
        return NULL;
    for (uint32_t i = 0; i < VARVE_SET_DISCS_MAX; i++) {
        recovery->members[i].recovery = recovery;
        recovery->members[i].index = i;
    }
    return recovery;
}

void
varve_recovery_free(struct varve_recovery *recovery)
{
    if (recovery == NULL)
        return;
    for (uint32_t i = 0; i < VARVE_SET_DISCS_MAX; i++) {
        struct member *member = &recovery->members[i];
        varve_disc_close(member->whole_disc); /* it reads through `disc` */
        varve_disc_close(member->disc);
        varve_image_free(member->image);
        free(member->crcs);
        free(member->name);
    }
    varve_decoder_free(recovery->decoder);
    free(recovery->stripe);
    free(recovery);
}

static void
describe_set(const struct varve_disc_identity *set, char *ret, size_t size)
{
    char uuid[VARVE_UUID_TEXT_BYTES];
    varve_uuid_format(&set->set, uuid);
    (void)snprintf(ret, size, "set %" PRIu64 " of archive '%s' (%s)", set->set_number,
                   set->archive_name, uuid);
}

static bool
same_set(const struct varve_disc_identity *a, const struct varve_disc_identity *b)
{
    return varve_uuid_equal(&a->set, &b->set) && varve_uuid_equal(&a->archive, &b->archive) &&
           a->data_discs == b->data_discs && a->parity_discs == b->parity_discs;
}

static bool
check_member(const struct varve_recovery *recovery, const char *name,
             const struct varve_disc_identity *identity, struct varve_error *err)
{
    if (recovery->known && !same_set(&recovery->set, identity)) {
        char ours[160], theirs[160];
        describe_set(&recovery->set, ours, sizeof ours);
        describe_set(identity, theirs, sizeof theirs);
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "'%s' belongs to %s, the discs before it to %s", name, theirs, ours);
    }
    const struct member *member = &recovery->members[identity->index];
    if (member->name != NULL)
        return varve_error_set(err, VARVE_ERROR_EXISTS, 0,
                               "'%s' is disc %" PRIu32 " of the set, and so is '%s'", name,
                               identity->index, member->name);
    return true;
}

/* What all members share, from the first one. */
static void
learn_set(struct varve_recovery *recovery, const struct varve_disc_identity *identity)
{
    if (recovery->known)
        return;
    recovery->known = true;
    recovery->set = *identity;
    recovery->n = identity->data_discs;
    recovery->m = identity->parity_discs;
}

bool
varve_recovery_add(struct varve_recovery *recovery, const char *name,
                   const struct varve_cluster_source *source, struct varve_error *err)
{
    VARVE_CLEANUP(varve_disc_close) struct varve_disc *disc = NULL;
    if (!varve_disc_open(source, &disc, err))
        return varve_error_wrap(err, "'%s'", name);
    const struct varve_disc_identity *identity = varve_disc_identity(disc);
    if (!check_member(recovery, name, identity, err))
        return false;
    char *copy = strdup(name);
    if (copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", name);
    learn_set(recovery, identity);
    struct member *member = &recovery->members[identity->index];
    member->name = copy;
    member->source = source;
    member->disc = VARVE_TAKE(disc);
    recovery->has_parity |= identity->index >= recovery->n;
    recover_forget_crcs(recovery);
    return true;
}

/* Clusters spread over the disc: enough to tell one disc from another. */
#define SAMPLES 256u

static bool
prove_member(struct member *member, struct varve_error *err)
{
    struct varve_disc_map map;
    unsigned asked = 0, fit = 0;
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(VARVE_CLUSTER_BYTES);
    if (bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", member->name);
    if (!varve_recovery_map(member->recovery, member->index, &map))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "no parity disc at hand can tell whether '%s' is disc %" PRIu32,
                               member->name, member->index);
    for (uint64_t i = 0; i < SAMPLES && i < map.clusters; i++) {
        uint64_t cluster = map.clusters <= SAMPLES ? i : i * (map.clusters - 1) / (SAMPLES - 1);
        enum loss loss = recover_read_cluster(member, cluster, bytes);
        fit += loss == LOSS_NONE;
        asked += loss == LOSS_NONE || loss == LOSS_CHECKSUM;
    }
    if (fit == 0 || fit * 2 < asked)
        return varve_error_set(err, VARVE_ERROR_WRONG_DISC, 0,
                               "'%s' is not disc %" PRIu32 " of the set: %u of %u clusters fit",
                               member->name, member->index, fit, asked);
    return true;
}

bool
varve_recovery_add_as(struct varve_recovery *recovery, const char *name, uint32_t index,
                      const struct varve_cluster_source *source, struct varve_error *err)
{
    if (!recovery->known || index >= recovery->n)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "'%s' cannot be taken as disc %" PRIu32
                               ": only data discs can, and after a disc that tells of the set",
                               name, index);
    struct varve_disc_identity identity = recovery->set;
    identity.index = index;
    if (!check_member(recovery, name, &identity, err))
        return false;
    struct member *member = &recovery->members[index];
    member->name = strdup(name);
    if (member->name == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "'%s'", name);
    member->source = source;
    if (prove_member(member, err))
        return true;
    free(member->name);
    member->name = NULL;
    member->source = NULL;
    return false;
}

const struct varve_disc_identity *
varve_recovery_set(const struct varve_recovery *recovery)
{
    return recovery->known ? &recovery->set : NULL;
}

bool
varve_recovery_present(const struct varve_recovery *recovery, uint32_t index)
{
    return index < VARVE_SET_DISCS_MAX && recovery->members[index].name != NULL;
}

bool
varve_recovery_map(const struct varve_recovery *recovery, uint32_t index,
                   struct varve_disc_map *ret)
{
    if (index >= recovery->n + recovery->m)
        return false;
    const struct member *member = &recovery->members[index];
    if (member->disc != NULL) {
        *ret = *varve_disc_map(member->disc);
        return true;
    }
    if (member->image != NULL) {
        *ret = *varve_image_map(member->image);
        return true;
    }
    bool found = false;
    for (uint32_t i = recovery->n; i < recovery->n + recovery->m && index < recovery->n; i++) {
        const struct varve_disc *parity = recovery->members[i].disc;
        const struct varve_disc_map *maps = parity == NULL ? NULL : varve_disc_members(parity);
        /* Where a parity disc's tables are damaged it knows lengths only; another may know all. */
        if (maps == NULL || (found && maps[index].disc_json.bytes == 0))
            continue;
        *ret = maps[index];
        found = true;
    }
    return found;
}

void
varve_recovery_name_disc(struct varve_recovery *recovery, uint32_t index,
                         const struct varve_uuid *disc)
{
    if (index >= VARVE_SET_DISCS_MAX)
        return;
    recovery->members[index].has_uuid = true;
    recovery->members[index].uuid = *disc;
}

bool
varve_recovery_source(struct varve_recovery *recovery, uint32_t index,
                      const struct varve_cluster_source **ret, struct varve_error *err)
{
    if (index >= recovery->n + recovery->m)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "the set has no disc %" PRIu32, index);
    struct member *member = &recovery->members[index];
    struct varve_disc_map map;
    if (index >= recovery->n && member->disc == NULL && member->image == NULL &&
        !recover_make_image(member, err))
        return false;
    if (!varve_recovery_map(recovery, index, &map)) {
        varve_error_set(err, VARVE_ERROR_UNRECOVERABLE, 0,
                        "disc %" PRIu32 " is missing, and so are all parity discs", index);
        return varve_error_hint(err, "give the other discs of the set too: any %u of %u+%u",
                                recovery->n, recovery->n, recovery->m);
    }
    member->whole = (struct varve_cluster_source){
        .context = member, .clusters = map.clusters, .read = recover_read_whole};
    *ret = &member->whole;
    return true;
}

uint64_t
varve_recovery_repaired(const struct varve_recovery *recovery, uint32_t index)
{
    return index < VARVE_SET_DISCS_MAX ? recovery->members[index].repaired : 0;
}

bool
recover_open_whole(struct member *member, struct varve_error *err)
{
    const struct varve_cluster_source *whole;
    if (member->whole_disc != NULL)
        return true;
    if (!varve_recovery_source(member->recovery, member->index, &whole, err))
        return false;
    if (!varve_disc_open(whole, &member->whole_disc, err))
        return varve_error_wrap(err, "disc %" PRIu32, member->index);
    return true;
}

bool
varve_recovery_manifest(struct varve_recovery *recovery, uint32_t index,
                        struct varve_manifest **ret, struct varve_error *err)
{
    if (index >= recovery->n)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "the set has no data disc %" PRIu32,
                               index);
    struct member *member = &recovery->members[index];
    /* Always through the whole source: a manifest that parses may still be a damaged one. */
    if (!recover_open_whole(member, err))
        return false;
    if (!varve_disc_manifest(member->whole_disc, ret, err))
        return varve_error_wrap(err, "manifest of disc %" PRIu32, index);
    return true;
}
