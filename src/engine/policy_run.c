/* SPDX-License-Identifier: Apache-2.0 */
/* Rules at work: the policy says which are active, the catalog which files they mean, this file
 * does it. */
#include "engine_internal.h"

#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <varve/file.h>

/* Files done together: one wait for the disk for so many moves. */
enum { MOVE_BATCH = 128 };

struct chosen {
    uint64_t ino;
    struct varve_content_id content;
    uint64_t size;
};

/* Files of one rule, up to its limits. */
struct choosing {
    const struct varve_policy_step *step;
    FILE *rows; /* of struct chosen; NULL: they are only counted */
    uint64_t files, bytes;
};

static bool
choose(void *context, const struct varve_selected *row, struct varve_error *err)
{
    struct choosing *choosing = context;
    if (choosing->bytes >= choosing->step->bytes_max ||
        choosing->files >= choosing->step->files_max)
        return false; /* enough; no error */
    choosing->files++;
    choosing->bytes += row->size;
    if (choosing->rows == NULL)
        return true;
    const struct chosen chosen = {row->ino, row->content, row->size};
    return fwrite(&chosen, sizeof chosen, 1, choosing->rows) == 1 ||
           varve_error_system(err, errno, "note the files of a rule");
}

static bool
select_rule(struct varve_engine *engine, struct choosing *choosing, struct varve_error *err)
{
    const struct varve_rule *rule = choosing->step->rule;
    struct varve_selection selection =
        varve_rule_selection(engine->policy, rule, varve_clock_realtime(engine->clock));
    return varve_catalog_select(engine->catalog, &selection, choose, choosing, err) ||
           varve_error_wrap(err, "rule '%s'", rule->name);
}

static void
fill_input(struct varve_engine *engine, struct varve_policy_input *ret)
{
    time_t seconds = (time_t)(varve_clock_realtime(engine->clock) / VARVE_NS_PER_SECOND);
    struct tm local = {0};
    *ret = (struct varve_policy_input){0};
    if (localtime_r(&seconds, &local) != NULL)
        ret->minute = (unsigned)(local.tm_hour * 60 + local.tm_min);
    for (int tier = VARVE_TIER_SSD; tier <= VARVE_TIER_HDD; tier++) {
        struct varve_tier_usage usage;
        struct varve_error ignored = {0}; /* a tier that does not answer counts as absent */
        if (varve_store_has_tier(engine->store, (enum varve_tier)tier) &&
            varve_store_usage(engine->store, (enum varve_tier)tier, &usage, &ignored)) {
            ret->tiers[tier].total_bytes = usage.bytes_total;
            ret->tiers[tier].free_bytes = usage.bytes_free;
        }
    }
}

bool
policy_is_urgent(struct varve_engine *engine)
{
    struct varve_policy_input input;
    fill_input(engine, &input);
    return varve_policy_urgent(engine->policy, &input);
}

/* --- one file --- */

static bool
release_file(struct varve_engine *engine, const struct chosen *file, struct varve_error *err)
{
    struct varve_inode inode;
    struct varve_content content;
    return varve_catalog_inode_get(engine->catalog, file->ino, &inode, err) &&
           varve_catalog_content_get(engine->catalog, file->content, &content, err) &&
           release_content(engine, &inode, &content, err);
}

static bool
do_file(struct varve_engine *engine, const struct varve_rule *rule, const struct chosen *file,
        struct varve_error *err)
{
    switch (rule->to) {
    case VARVE_TO_SSD:
    case VARVE_TO_HDD:
        break; /* in batches: move_files() */
    case VARVE_TO_MIGRATED:
        return release_file(engine, file, err);
    case VARVE_TO_OPTICAL:
        return request_content(engine, file->content, rule->name, rule->data_discs,
                               rule->parity_discs, err);
    }
    return true;
}

/* Files that are open or changed since wait for another run; what a full tier refuses ends the
 * rule. */
static bool
is_fatal(const struct varve_error *why)
{
    return why->kind != VARVE_ERROR_BUSY && why->kind != VARVE_ERROR_NOT_FOUND &&
           why->kind != VARVE_ERROR_EXISTS && why->kind != VARVE_ERROR_INVALID;
}

/* What one file's failure means for the rule: false ends it. */
static bool
settle_file(const struct varve_rule *rule, const struct varve_error *why, uint64_t *skipped,
            struct varve_error *err)
{
    ++*skipped;
    if (!is_fatal(why))
        return true;
    *err = *why;
    return varve_error_wrap(err, "rule '%s'", rule->name);
}

static bool
move_files(struct varve_engine *engine, const struct varve_rule *rule, const struct chosen *rows,
           size_t count, uint64_t *skipped, struct varve_error *err)
{
    struct varve_move_result results[MOVE_BATCH] = {{{0}}};
    bool ok = true;
    for (size_t i = 0; i < count; i++)
        results[i].content = rows[i].content;
    varve_vfs_move(engine->vfs, results, count,
                   rule->to == VARVE_TO_SSD ? VARVE_TIER_SSD : VARVE_TIER_HDD);
    for (size_t i = 0; i < count; i++) {
        if (results[i].moved)
            varve_vfs_remove_later(engine->vfs, results[i].old);
        else
            ok = ok && settle_file(rule, &results[i].error, skipped, err);
    }
    return ok;
}

static bool
do_files(struct varve_engine *engine, const struct varve_rule *rule, const struct chosen *rows,
         size_t count, uint64_t *skipped, struct varve_error *err)
{
    if (rule->to == VARVE_TO_SSD || rule->to == VARVE_TO_HDD)
        return move_files(engine, rule, rows, count, skipped, err);
    for (size_t i = 0; i < count; i++) {
        struct varve_error why = {0};
        if (!do_file(engine, rule, &rows[i], &why) && !settle_file(rule, &why, skipped, err))
            return false;
    }
    return true;
}

/* The files of a rule can be millions: they wait in a file without a name. */
static bool
open_rows(struct varve_engine *engine, FILE **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FD int fd = -1;
    if (!varve_file_temporary(engine->dir, &fd, err))
        return varve_error_wrap(err, "policy run");
    *ret = fdopen(fd, "w+");
    if (*ret == NULL)
        return varve_error_system(err, errno, "policy run");
    fd = -1; /* the stream's */
    return true;
}

static bool
do_chosen(struct varve_engine *engine, struct job *job, const struct varve_rule *rule, FILE *rows,
          uint64_t *skipped, struct varve_error *err)
{
    struct chosen batch[MOVE_BATCH];
    size_t count = MOVE_BATCH;
    if (fseek(rows, 0, SEEK_SET) != 0)
        return varve_error_system(err, errno, "read the files of a rule");
    while (count == MOVE_BATCH) {
        count = fread(batch, sizeof batch[0], MOVE_BATCH, rows);
        if (ferror(rows))
            return varve_error_system(err, errno, "read the files of a rule");
        if (!go_on(engine, err) || !do_files(engine, rule, batch, count, skipped, err))
            return false;
        for (size_t i = 0; i < count; i++)
            job_add(job, batch[i].size, 1);
    }
    return true;
}

static bool
do_rule(struct varve_engine *engine, struct job *job, const struct varve_policy_step *step,
        struct varve_error *err)
{
    VARVE_CLEANUP_STREAM FILE *rows = NULL;
    uint64_t skipped = 0;
    if (!open_rows(engine, &rows, err))
        return false;
    struct choosing choosing = {.step = step, .rows = rows};
    bool ok = varve_catalog_sync(engine->catalog, err) && select_rule(engine, &choosing, err);
    job_grow(job, choosing.bytes, choosing.files);
    job_text(job, "rule '%s': %s to %s", step->rule->name, varve_rule_from_name(step->rule->from),
             varve_rule_to_name(step->rule->to));
    ok = ok && do_chosen(engine, job, step->rule, rows, &skipped, err);
    if (skipped > 0)
        varve_log(VARVE_LOG_INFO,
                  "rule '%s': %" PRIu64 " files are open or changed and wait for the next run",
                  step->rule->name, skipped);
    return ok && varve_vfs_reap(engine->vfs, err);
}

/* --- runs --- */

static bool
plan(struct varve_engine *engine, const char *rule, struct varve_policy_step **ret,
     struct varve_error *err)
{
    struct varve_policy_input input;
    if (rule != NULL && varve_policy_find(engine->policy, rule) == NULL)
        return varve_error_set(err, VARVE_ERROR_NOT_FOUND, 0, "there is no rule '%s' in %s", rule,
                               VARVE_CONFIG_FILE);
    struct varve_policy_step *steps = calloc(varve_policy_count(engine->policy) + 1, sizeof *steps);
    if (steps == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "policy run");
    fill_input(engine, &input);
    varve_policy_plan(engine->policy, &input, steps);
    *ret = steps;
    return true;
}

static bool
is_meant(const struct varve_policy_step *step, const char *rule)
{
    return rule == NULL || strcmp(step->rule->name, rule) == 0;
}

static bool
policy_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    const char *rule = context;
    VARVE_CLEANUP_FREE struct varve_policy_step *steps = NULL;
    bool ok = plan(engine, rule, &steps, err);
    /* Each rule sees what the rules before it did, so the conditions are looked at again. */
    for (size_t i = 0; ok && i < varve_policy_count(engine->policy); i++) {
        struct varve_policy_input input;
        fill_input(engine, &input);
        varve_policy_plan(engine->policy, &input, steps);
        if (steps[i].active && is_meant(&steps[i], rule))
            ok = do_rule(engine, job, &steps[i], err);
    }
    atomic_store(&engine->policy_running, false);
    if (!ok && err->kind != VARVE_ERROR_CANCELLED)
        warning_set(engine, "policy: %s", err->text);
    return ok;
}

bool
policy_job_start(struct varve_engine *engine, const char *rule, uint64_t *ret_job,
                 struct varve_error *err)
{
    char *copy = rule != NULL ? strdup(rule) : NULL;
    if (rule != NULL && copy == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "policy run");
    if (atomic_exchange(&engine->policy_running, true)) {
        free(copy);
        return varve_error_set(err, VARVE_ERROR_BUSY, 0, "a policy run is under way");
    }
    if (job_start(engine, "policy", policy_job, copy, free, ret_job, err))
        return true;
    atomic_store(&engine->policy_running, false);
    return false;
}

bool
varve_engine_policy_run(struct varve_engine *engine, const char *rule, uint64_t *ret_job,
                        struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_policy_step *steps = NULL;
    return plan(engine, rule, &steps, err) && policy_job_start(engine, rule, ret_job, err);
}

bool
varve_engine_policy_dry_run(struct varve_engine *engine, const char *rule,
                            struct varve_policy_effect **ret, size_t *ret_count,
                            struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_policy_step *steps = NULL;
    size_t count = varve_policy_count(engine->policy);
    VARVE_CLEANUP_FREE struct varve_policy_effect *effects = calloc(count + 1, sizeof *effects);
    if (effects == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "policy run");
    if (!plan(engine, rule, &steps, err) || !varve_catalog_sync(engine->catalog, err))
        return false;
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_meant(&steps[i], rule))
            continue;
        struct choosing choosing = {.step = &steps[i]};
        if (steps[i].active && !select_rule(engine, &choosing, err))
            return false;
        struct varve_policy_effect *effect = &effects[used++];
        (void)snprintf(effect->rule, sizeof effect->rule, "%s", steps[i].rule->name);
        (void)snprintf(effect->reason, sizeof effect->reason, "%s", steps[i].reason);
        effect->active = steps[i].active;
        effect->files = choosing.files;
        effect->bytes = choosing.bytes;
    }
    *ret = VARVE_TAKE(effects);
    *ret_count = used;
    return true;
}
