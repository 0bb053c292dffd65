/* policy.h - the rules of an archive: what they mean, whether they make sense, which run now.
 *
 * A rule moves files from a tier (or a state) to another when its conditions hold. This module
 * decides and never acts: no I/O, no clock, no catalog rows. The engine asks varve_policy_plan()
 * which rules are active, and the catalog (varve_rule_selection()) which files they mean. A policy
 * borrows its configuration, is read-only after its making, and may be used by several threads. */
#ifndef VARVE_POLICY_H
#define VARVE_POLICY_H

#include <varve/catalog.h>
#include <varve/config.h>

enum varve_rule_from { VARVE_FROM_SSD, VARVE_FROM_HDD, VARVE_FROM_PREMIGRATED };
enum varve_rule_to { VARVE_TO_SSD, VARVE_TO_HDD, VARVE_TO_OPTICAL, VARVE_TO_MIGRATED };

/* One [rule NAME]. Possible: ssd to hdd, hdd to ssd, ssd or hdd to optical, premigrated to
 * migrated. */
struct varve_rule {
    const char *name;
    unsigned line;
    enum varve_rule_from from;
    enum varve_rule_to to;
    const char *where, *order; /* SQL expressions; NULL: all files, by inode */
    enum varve_tier when_tier; /* `when = usage(TIER) > N%`; NONE: always */
    unsigned when_percent;
    unsigned data_discs, parity_discs; /* of sets for this rule's files; that of the archive if not
                                          said */
    unsigned copies;                   /* 1 */
    bool keep_together;                /* `keep_together = dir` */
    bool has_window;
    unsigned window_from, window_to;   /* minutes of the local day; `to` is the first one outside */
    uint64_t limit_bytes, limit_files; /* of one run; 0: none */
};

struct varve_policy;
/* INVALID names file, line, rule and key. */
VARVE_MUST_CHECK bool varve_policy_new(const struct varve_config *config, struct varve_policy **ret,
                                       struct varve_error *err);
void varve_policy_free(struct varve_policy *policy);
VARVE_DEFINE_CLEANUP(struct varve_policy, varve_policy_free)
/* In the order of the file. */
size_t varve_policy_count(const struct varve_policy *policy);
const struct varve_rule *varve_policy_rule(const struct varve_policy *policy, size_t index);
/* NULL if there is none of that name. */
const struct varve_rule *varve_policy_find(const struct varve_policy *policy, const char *name);

/* Rules that are possible but probably not meant. */
struct varve_policy_warning {
    size_t rule;    /* index */
    char text[256]; /* "varve.conf:30: [rule warm]: ..." */
};
/* *ret is malloc'd (NULL if there is no warning). */
VARVE_MUST_CHECK bool
varve_policy_lint(const struct varve_policy *policy, struct varve_policy_warning **ret,
                  size_t *ret_count, struct varve_error *err);

/* The state of the world that rules look at. Tiers by enum varve_tier; total 0: no such tier. */
struct varve_policy_tier {
    uint64_t total_bytes, free_bytes;
};
struct varve_policy_input {
    unsigned minute; /* of the local day, 0..1439 */
    struct varve_policy_tier tiers[3];
};
/* What to do about one rule. */
struct varve_policy_step {
    const struct varve_rule *rule;
    bool active;
    bool urgent;        /* its tier is above `high`: do not wait for policy_interval */
    uint64_t bytes_max; /* move files until this much; UINT64_MAX: all that match */
    uint64_t files_max; /* UINT64_MAX: no limit */
    char reason[96];    /* why it is active or not: "usage(hdd) is 91.2%, above 85%" */
};
/* One step for each rule, in order, into `ret` (room for varve_policy_count()). A rule without
 * `when` runs for all files that it matches; one with `when` runs while its condition holds, until
 * the tier would be down to its `low` mark. */
void varve_policy_plan(const struct varve_policy *policy, const struct varve_policy_input *input,
                       struct varve_policy_step *ret);
/* True if a tier is above its `high` mark and a rule could do something about it. */
bool varve_policy_urgent(const struct varve_policy *policy, const struct varve_policy_input *input);
/* The files that a rule means, for varve_catalog_select(). Strings belong to the configuration. */
struct varve_selection varve_rule_selection(const struct varve_policy *policy,
                                            const struct varve_rule *rule, int64_t now_ns);

/* Watermarks of a tier: of several paths of one kind the lowest. False: no such tier. */
bool varve_policy_marks(const struct varve_policy *policy, enum varve_tier tier,
                        unsigned *ret_high_percent, unsigned *ret_low_percent);

const char *varve_rule_from_name(enum varve_rule_from from);
const char *varve_rule_to_name(enum varve_rule_to to);

#endif
