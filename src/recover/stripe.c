/* SPDX-License-Identifier: Apache-2.0 */
/* Cluster k of every member is one stripe: read what is good of it, decode what is not. */
#include "recover_internal.h"

#include <inttypes.h>
#include <string.h>

static const char *const loss_words[] = {
    [LOSS_NONE] = "",
    [LOSS_MISSING] = "is missing",
    [LOSS_UNREADABLE] = "cannot be read",
    [LOSS_CHECKSUM] = "does not match its checksum",
    [LOSS_UNCHECKED] = "has no readable checksum",
};

/* The member's own table first, then those of the parity discs. */
static bool
ask_discs(struct member *member, uint64_t cluster, uint32_t *ret)
{
    struct varve_recovery *recovery = member->recovery;
    if (member->disc != NULL && varve_disc_crc(member->disc, member->index, cluster, ret))
        return true;
    for (uint32_t i = recovery->n; i < recovery->n + recovery->m; i++) {
        struct varve_disc *parity = recovery->members[i].disc;
        if (parity != NULL && i != member->index &&
            varve_disc_crc(parity, member->index, cluster, ret))
            return true;
    }
    return false;
}

void
recover_forget_crcs(struct varve_recovery *recovery)
{
    for (uint32_t i = 0; i < VARVE_SET_DISCS_MAX; i++) {
        if (recovery->members[i].crcs != NULL)
            recovery->members[i].crcs->loaded = false;
    }
}

bool
recover_crc(struct member *member, uint64_t cluster, uint32_t *ret)
{
    if (member->crcs == NULL)
        member->crcs = calloc(1, sizeof *member->crcs);
    struct crc_run *run = member->crcs;
    if (run == NULL)
        return ask_discs(member, cluster, ret);
    uint64_t first = cluster / CRC_RUN * CRC_RUN;
    if (!run->loaded || run->first != first) {
        struct varve_disc_map map = {0};
        (void)varve_recovery_map(member->recovery, member->index, &map);
        run->first = first;
        run->loaded = true;
        for (uint32_t i = 0; i < CRC_RUN; i++)
            run->known[i] = first + i < map.clusters && ask_discs(member, first + i, &run->crc[i]);
    }
    *ret = run->crc[cluster - first];
    return run->known[cluster - first];
}

enum loss
recover_read_cluster(struct member *member, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES])
{
    struct varve_error ignored = {0}; /* a disc that cannot be read is what this module is for */
    if (member->name == NULL)
        return LOSS_MISSING;
    if (cluster >= member->source->clusters ||
        !member->source->read(member->source->context, cluster, ret, &ignored))
        return LOSS_UNREADABLE;
    uint32_t crc;
    if (!recover_crc(member, cluster, &crc))
        return member->recovery->has_parity ? LOSS_UNCHECKED : LOSS_NONE;
    return varve_crc32c(0, ret, VARVE_CLUSTER_BYTES) == crc ? LOSS_NONE : LOSS_CHECKSUM;
}

/* `size` bytes at `offset` of the member's image: at most two clusters. */
static enum loss
read_bytes(struct member *member, uint64_t offset, uint8_t ret[VARVE_CLUSTER_BYTES])
{
    uint64_t cluster = offset / VARVE_CLUSTER_BYTES;
    size_t skip = (size_t)(offset % VARVE_CLUSTER_BYTES);
    if (skip == 0)
        return recover_read_cluster(member, cluster, ret);
    VARVE_CLEANUP_FREE uint8_t *bytes = malloc(VARVE_CLUSTER_BYTES);
    if (bytes == NULL)
        return LOSS_UNREADABLE;
    enum loss loss = recover_read_cluster(member, cluster, bytes);
    if (loss != LOSS_NONE)
        return loss;
    memcpy(ret, bytes + skip, VARVE_CLUSTER_BYTES - skip);
    loss = recover_read_cluster(member, cluster + 1, bytes);
    if (loss == LOSS_NONE)
        memcpy(ret + VARVE_CLUSTER_BYTES - skip, bytes, skip);
    return loss;
}

/* The member's part of a stripe: of data discs cluster `stripe` (zeros behind the end, even of a
 * disc that is not there), of parity discs the same of parity.bin. */
static enum loss
read_shard(struct member *member, uint64_t stripe, uint8_t ret[VARVE_CLUSTER_BYTES])
{
    struct varve_disc_map map;
    bool has_map = varve_recovery_map(member->recovery, member->index, &map);
    if (member->index < member->recovery->n) {
        if (!has_map || stripe < map.clusters)
            return recover_read_cluster(member, stripe, ret);
        memset(ret, 0, VARVE_CLUSTER_BYTES);
        return LOSS_NONE;
    }
    if (!has_map || member->name == NULL)
        return LOSS_MISSING;
    if (stripe >= map.parity.bytes / VARVE_CLUSTER_BYTES)
        return LOSS_UNREADABLE;
    return read_bytes(member, map.parity.lba * VARVE_SECTOR_BYTES + stripe * VARVE_CLUSTER_BYTES,
                      ret);
}

static bool
give_up(const struct member *wanted, uint64_t stripe, const enum loss *losses,
        struct varve_error *err)
{
    const struct varve_recovery *recovery = wanted->recovery;
    char list[320] = "";
    unsigned count = 0, missing = 0;
    for (uint32_t i = 0; i < recovery->n + recovery->m; i++) {
        if (losses[i] == LOSS_NONE)
            continue;
        count++;
        missing += losses[i] == LOSS_MISSING;
        size_t used = strlen(list);
        const char *name = recovery->members[i].name;
        if (name == NULL)
            (void)snprintf(list + used, sizeof list - used, "%sdisc %" PRIu32 " %s",
                           used > 0 ? ", " : "", i, loss_words[losses[i]]);
        else
            (void)snprintf(list + used, sizeof list - used, "%sdisc %" PRIu32 " ('%s') %s",
                           used > 0 ? ", " : "", i, name, loss_words[losses[i]]);
    }
    varve_error_set(err, VARVE_ERROR_UNRECOVERABLE, 0,
                    "cluster %" PRIu64 " of disc %" PRIu32
                    ": lost on %u of %u+%u discs, parity covers %u: %s",
                    stripe, wanted->index, count, recovery->n, recovery->m, recovery->m, list);
    if (missing > 0)
        (void)varve_error_hint(err, "give the missing discs of the set too");
    return false;
}

static bool
get_decoder(struct varve_recovery *recovery, const unsigned *have, unsigned wanted,
            struct varve_error *err)
{
    size_t size = recovery->n * sizeof *have;
    if (recovery->decoder != NULL && recovery->wanted == wanted &&
        memcmp(recovery->have, have, size) == 0)
        return true;
    struct varve_decoder *fresh = NULL;
    if (!varve_decoder_new(recovery->n, recovery->m, have, &wanted, 1, &fresh, err))
        return false;
    varve_decoder_free(recovery->decoder);
    recovery->decoder = fresh;
    recovery->wanted = wanted;
    memcpy(recovery->have, have, size);
    return true;
}

bool
recover_decode(struct member *member, uint64_t stripe, uint8_t ret[VARVE_CLUSTER_BYTES],
               struct varve_error *err)
{
    struct varve_recovery *recovery = member->recovery;
    enum loss losses[VARVE_SET_DISCS_MAX] = {LOSS_NONE};
    unsigned have[VARVE_SET_DISCS_MAX] = {0}, count = 0;
    const uint8_t *sources[VARVE_SET_DISCS_MAX];
    if (recovery->stripe == NULL)
        recovery->stripe = malloc((size_t)recovery->n * VARVE_CLUSTER_BYTES);
    if (recovery->stripe == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a stripe of %u clusters", recovery->n);
    for (unsigned i = 0; i < recovery->n + recovery->m && count < recovery->n; i++) {
        uint8_t *slot = recovery->stripe + (size_t)count * VARVE_CLUSTER_BYTES;
        if (i == member->index) {
            losses[i] = read_shard(member, stripe, slot);
            continue;
        }
        losses[i] = read_shard(&recovery->members[i], stripe, slot);
        if (losses[i] != LOSS_NONE)
            continue;
        sources[count] = slot;
        have[count++] = i;
    }
    if (count < recovery->n)
        return give_up(member, stripe, losses, err);
    if (!get_decoder(recovery, have, member->index, err))
        return false;
    varve_decoder_run(recovery->decoder, VARVE_CLUSTER_BYTES, sources, &ret);
    return true;
}

bool
recover_shard(struct member *member, uint64_t stripe, uint8_t ret[VARVE_CLUSTER_BYTES],
              struct varve_error *err)
{
    if (read_shard(member, stripe, ret) == LOSS_NONE)
        return true;
    return recover_decode(member, stripe, ret, err);
}

/* parity.bin covers this cluster of the parity disc, whole and at a cluster's border. */
static bool
is_parity_cluster(const struct member *member, uint64_t cluster, uint64_t *ret_stripe)
{
    struct varve_disc_map map;
    if (member->disc == NULL || !varve_recovery_map(member->recovery, member->index, &map) ||
        map.parity.lba % VARVE_CLUSTER_SECTORS != 0)
        return false;
    uint64_t first = map.parity.lba / VARVE_CLUSTER_SECTORS;
    *ret_stripe = cluster - first;
    return cluster >= first && *ret_stripe < map.parity.bytes / VARVE_CLUSTER_BYTES;
}

static bool
repair_cluster(struct member *member, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
               struct varve_error *err)
{
    uint64_t stripe;
    if (member->index < member->recovery->n)
        return recover_decode(member, cluster, ret, err);
    if (is_parity_cluster(member, cluster, &stripe))
        return recover_decode(member, stripe, ret, err);
    return recover_render(member, cluster, ret, err);
}

/* Bytes that no table tells of are right if repairing gives the same ones. Of a parity disc's own
 * tables there is no other copy: if they cannot be made again they count as read. */
static bool
settle_unchecked(struct member *member, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
                 struct varve_error *err)
{
    VARVE_CLEANUP_FREE uint8_t *fresh = malloc(VARVE_CLUSTER_BYTES);
    if (fresh == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "a cluster");
    struct varve_error one = {0};
    if (!repair_cluster(member, cluster, fresh, &one)) {
        if (member->index >= member->recovery->n)
            return true;
        *err = one;
        return false;
    }
    member->repaired += memcmp(fresh, ret, VARVE_CLUSTER_BYTES) != 0;
    memcpy(ret, fresh, VARVE_CLUSTER_BYTES);
    return true;
}

bool
recover_read_whole(void *context, uint64_t cluster, uint8_t ret[VARVE_CLUSTER_BYTES],
                   struct varve_error *err)
{
    struct member *member = context;
    if (cluster >= member->whole.clusters)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "disc %" PRIu32 " has no cluster %" PRIu64, member->index, cluster);
    enum loss loss = recover_read_cluster(member, cluster, ret);
    if (loss == LOSS_NONE)
        return true;
    if (loss == LOSS_UNCHECKED)
        return settle_unchecked(member, cluster, ret, err);
    if (!repair_cluster(member, cluster, ret, err))
        return false;
    uint32_t crc;
    if (recover_crc(member, cluster, &crc) && varve_crc32c(0, ret, VARVE_CLUSTER_BYTES) != crc)
        return varve_error_set(err, VARVE_ERROR_UNRECOVERABLE, 0,
                               "cluster %" PRIu64 " of disc %" PRIu32
                               ": what was decoded does not match its checksum",
                               cluster, member->index);
    member->repaired++;
    return true;
}
