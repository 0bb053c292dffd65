/* SPDX-License-Identifier: Apache-2.0 */
/* `varve check`: catalog, tiers, folders and libraries against each other. Reads no content. */
#include "engine_internal.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

#include "number_set.h"

struct checking {
    struct varve_engine *engine;
    bool repair;
    varve_catalog_finding_fn *each;
    void *context;
    struct varve_check_report report;
    struct number_set named; /* of all resident copies */
};

static void finding(struct checking *checking, const char *format, ...) VARVE_PRINTF(2, 3);

static void
finding(struct checking *checking, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(text, sizeof text, format, args);
    va_end(args);
    checking->report.findings++;
    if (checking->each != NULL)
        checking->each(checking->context, text);
}

static void
head_finding(void *context, const char *text)
{
    finding(context, "%s", text);
}

static void
catalog_finding(void *context, const char *text)
{
    finding(context, "catalog: %s", text);
}

/* --- the files that contents name --- */

static void
check_backing(struct checking *checking, const struct varve_content *content)
{
    struct varve_error why = {0};
    VARVE_CLEANUP_FD int fd = -1;
    struct stat st;
    if (content->place.file == 0)
        return;
    if (!varve_store_open_file(checking->engine->store, &content->place, O_RDONLY, &fd, &why)) {
        /* A power cut may have taken what was never durable; the start after it sees to that. */
        if (why.kind == VARVE_ERROR_NOT_FOUND && content->unsynced && content->synced_bytes == 0)
            return;
        finding(checking, "content %" PRIu64 " of inode %" PRIu64 " has no backing file: %s",
                content->id.value, content->ino, why.text);
        return;
    }
    if (content->phase != VARVE_PHASE_LIVE && fstat(fd, &st) == 0 &&
        (uint64_t)st.st_size != content->size)
        finding(checking,
                "content %" PRIu64 " of inode %" PRIu64 " should have %" PRIu64
                " bytes, its backing file has %lld",
                content->id.value, content->ino, content->size, (long long)st.st_size);
}

static bool
check_contents(struct checking *checking, bool look, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_content *page = calloc(PAGE_ROWS, sizeof *page);
    struct varve_content_id after = {0};
    size_t count = PAGE_ROWS;
    if (page == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "check");
    while (count == PAGE_ROWS) {
        if (!varve_catalog_contents(checking->engine->catalog, after, true, page, PAGE_ROWS, &count,
                                    err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].id;
            checking->report.contents++;
            if (page[i].place.file != 0 &&
                !number_set_add(&checking->named, page[i].place.file, err))
                return false;
            if (look)
                check_backing(checking, &page[i]);
        }
    }
    return true;
}

/* A backing file without a content: what a crash leaves between making a file and naming it, or
 * between the commit that stops naming it and its removal (INV-4). */
static bool
check_file(void *context, const struct varve_place *place, uint64_t bytes, struct varve_error *err)
{
    struct checking *checking = context;
    if (number_set_has(&checking->named, place->file))
        return true;
    if (place->file >= checking->engine->file_limit)
        return true; /* being made in this run: named later, or removed by whoever makes it */
    if (!checking->repair) {
        finding(checking,
                "backing file %016" PRIx64 " on tier %s (%" PRIu64 " bytes) belongs to no content",
                place->file, varve_tier_name(place->tier), bytes);
        return true;
    }
    checking->report.repaired++;
    return varve_store_remove(checking->engine->store, place, err);
}

/* --- sets and discs --- */

static bool
check_set(struct checking *checking, const struct varve_set *set, struct varve_error *err)
{
    checking->report.sets++;
    if (set->state != VARVE_SET_SEALED && set->state != VARVE_SET_DEGRADED)
        return true; /* under way: its pipeline looks after it */
    uint32_t missing = 0;
    for (uint32_t i = 0; i < set->data_discs + set->parity_discs; i++) {
        struct varve_disc_row disc;
        struct varve_error why = {0};
        bool good = set_disc(checking->engine, set->id, i, &disc, &why) &&
                    (disc.state == VARVE_DISC_SEALED || disc.state == VARVE_DISC_SUSPECT ||
                     disc.state == VARVE_DISC_OFFLINE);
        missing += !good;
    }
    if (missing > set->parity_discs)
        finding(checking,
                "set %" PRIu64 ": %" PRIu32 " discs are missing, parity replaces %" PRIu32,
                set->id.value, missing, set->parity_discs);
    else if (missing > 0)
        finding(checking,
                "set %" PRIu64 ": %" PRIu32 " discs are missing; 'varve set repair %" PRIu64
                "' brings them back",
                set->id.value, missing, set->id.value);
    (void)err;
    return true;
}

static bool
check_sets(struct checking *checking, struct varve_error *err)
{
    struct varve_set page[32];
    struct varve_set_id after = {0};
    size_t count = 32;
    while (count == 32) {
        if (!varve_catalog_sets(checking->engine->catalog, after, page, 32, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].id;
            if (!check_set(checking, &page[i], err))
                return false;
        }
    }
    return true;
}

static bool
check_libraries(struct checking *checking, struct varve_error *err)
{
    struct varve_engine *engine = checking->engine;
    for (size_t i = 0; i < engine->library_count; i++) {
        VARVE_CLEANUP_FREE struct varve_element *elements = NULL;
        size_t count;
        if (!library_is_there(engine, i)) {
            char why[200];
            finding(checking, "library '%s' is offline, its discs were not looked at: %s",
                    engine->libraries[i].name, library_absence(engine, i, why));
            continue;
        }
        if (!inventory_update(engine, i, true, &elements, &count, err))
            return false;
        for (size_t e = 0; e < count; e++) {
            checking->report.discs += elements[e].full;
            if (elements[e].type == VARVE_ELEMENT_TRANSPORT && elements[e].full && !engine->started)
                finding(checking, "library '%s': disc '%s' hangs in the gripper",
                        engine->libraries[i].name, elements[e].barcode.text);
        }
    }
    return true;
}

/* --- folders of sets that are no more --- */

static bool
known_set(struct varve_engine *engine, const char *uuid_text, bool *ret, struct varve_error *err)
{
    struct varve_set page[32];
    struct varve_set_id after = {0};
    struct varve_uuid uuid;
    size_t count = 32;
    *ret = !varve_uuid_parse(uuid_text, &uuid); /* not ours: leave it alone */
    while (!*ret && count == 32) {
        if (!varve_catalog_sets(engine->catalog, after, page, 32, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].id;
            *ret = *ret ||
                   (varve_uuid_equal(&page[i].uuid, &uuid) && page[i].state != VARVE_SET_ABANDONED);
        }
    }
    return true;
}

static void
remove_set_dir(const char *dir)
{
    VARVE_CLEANUP_DIR DIR *entries = opendir(dir);
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        if (entry->d_name[0] != '.')
            (void)unlinkat(dirfd(entries), entry->d_name, 0); /* the next sweep tries again */
    }
    (void)rmdir(dir);
}

static bool
sweep_set_dirs(struct varve_engine *engine, struct varve_error *err)
{
    VARVE_CLEANUP_FREE char *path = varve_file_join(engine->dir, "sets");
    VARVE_CLEANUP_DIR DIR *dir = path != NULL ? opendir(path) : NULL;
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        bool known;
        if (entry->d_name[0] == '.')
            continue;
        if (!known_set(engine, entry->d_name, &known, err))
            return false;
        VARVE_CLEANUP_FREE char *set = varve_file_join(path, entry->d_name);
        if (!known && set != NULL)
            remove_set_dir(set);
    }
    return true;
}

/* Staged parity is removed after the commit that seals its set; a kill in between leaves it. */
static bool
is_needed(struct varve_engine *engine, const char *name, bool *ret, struct varve_error *err)
{
    char text[VARVE_UUID_TEXT_BYTES];
    struct varve_uuid uuid;
    struct varve_set page[32];
    struct varve_set_id after = {0};
    size_t count = 32;
    (void)snprintf(text, sizeof text, "%s", name);
    *ret = strncmp(name + strlen(text), "-p", 2) != 0 || !varve_uuid_parse(text, &uuid);
    while (!*ret && count == 32) {
        if (!varve_catalog_sets(engine->catalog, after, page, 32, &count, err))
            return false;
        for (size_t i = 0; i < count; i++) {
            after = page[i].id;
            *ret = *ret ||
                   (varve_uuid_equal(&page[i].uuid, &uuid) &&
                    (page[i].state == VARVE_SET_PLANNED || page[i].state == VARVE_SET_BURNING));
        }
    }
    return true;
}

static bool
sweep_staging(struct varve_engine *engine, struct varve_error *err)
{
    VARVE_CLEANUP_DIR DIR *dir = opendir(varve_store_staging(engine->store));
    for (struct dirent *entry; dir != NULL && (entry = readdir(dir)) != NULL;) {
        bool needed;
        if (!is_needed(engine, entry->d_name, &needed, err))
            return false;
        if (!needed)
            (void)unlinkat(dirfd(dir), entry->d_name, 0); /* the next sweep tries again */
    }
    return true;
}

/* --- entry points --- */

static bool
check(struct checking *checking, struct varve_error *err)
{
    struct varve_engine *engine = checking->engine;
    return varve_catalog_sync(engine->catalog, err) && varve_vfs_reap(engine->vfs, err) &&
           varve_catalog_verify(engine->catalog, catalog_finding, checking, err) &&
           check_contents(checking, true, err) &&
           varve_store_each(engine->store, check_file, checking, err) &&
           heads_compare(engine, checking->repair, head_finding, checking,
                         &checking->report.repaired, err) &&
           check_libraries(checking, err) && check_sets(checking, err);
}

bool
varve_engine_check(struct varve_engine *engine, bool repair, varve_catalog_finding_fn *each,
                   void *context, struct varve_check_report *ret, struct varve_error *err)
{
    struct checking checking = {
        .engine = engine, .repair = repair, .each = each, .context = context};
    bool ok = check(&checking, err);
    number_set_done(&checking.named);
    if (ok)
        *ret = checking.report;
    return ok;
}

/* Frozen contents that a set does not know are rare, and looking for them takes a look at every
 * resident content. */
static bool
thaw(struct varve_engine *engine, struct varve_error *err)
{
    struct varve_catalog_totals totals;
    if (!varve_catalog_totals(engine->catalog, &totals, err))
        return false;
    return (engine->clean_start && totals.by_state[VARVE_STATE_PLANNED].files == 0) ||
           pipeline_thaw_stranded(engine, err);
}

static bool
sweep_files(struct varve_engine *engine, struct varve_error *err)
{
    struct checking checking = {.engine = engine, .repair = true};
    bool ok = varve_catalog_sync(engine->catalog, err) && check_contents(&checking, false, err) &&
              varve_store_each(engine->store, check_file, &checking, err);
    number_set_done(&checking.named);
    if (ok && checking.report.repaired > 0)
        varve_log(VARVE_LOG_NOTICE, "%" PRIu64 " backing files without a content removed",
                  checking.report.repaired);
    return ok;
}

/* At every start, beside the mount: what the last run left behind goes. */
bool
sweep_job(struct varve_engine *engine, struct job *job, void *context, struct varve_error *err)
{
    uint64_t heads = 0; /* of a cache: nobody needs to know */
    (void)context;
    job_text(job, "looking for what the last run left");
    {
        /* A plan that is being made has a folder before it has a set. */
        VARVE_LOCKED(&engine->pipeline);
        if (!sweep_set_dirs(engine, err) || !sweep_staging(engine, err) || !thaw(engine, err))
            return false;
    }
    if (!engine->clean_start && !sweep_files(engine, err))
        return false;
    /* Always: whoever needs room may delete heads by hand while nobody serves. */
    if (!heads_compare(engine, true, NULL, NULL, &heads, err))
        return false;
    atomic_store(&engine->swept, true);
    return true;
}
