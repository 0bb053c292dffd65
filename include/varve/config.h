/* config.h - varve.conf as a structure: an INI file, read whole, every word of it checked.
 *
 * Sections: [archive], [tier ssd], [tier hdd] (more paths of a kind: `[tier hdd b]`), [library
 * NAME], [rule NAME]. Rules stay raw key/value pairs: policy.h knows what they mean. A ';' after a
 * blank starts a comment, a line that ends in '\' goes on in the next one. A configuration is plain
 * data, read-only after its making, and may be read by any thread. */
#ifndef VARVE_CONFIG_H
#define VARVE_CONFIG_H

#include <varve/error.h>
#include <varve/types.h>

#define VARVE_CONFIG_FILE "varve.conf"
#define VARVE_CONFIG_BYTES_MAX (1024u * 1024u)
/* Bounds on what one file may hold. */
#define VARVE_CONFIG_SECTIONS_MAX 256u
#define VARVE_CONFIG_KEYS_MAX 64u

struct varve_config_tier {
    enum varve_tier tier;
    char *section; /* "tier ssd", "tier hdd b" */
    char *path;    /* absolute; a relative one was taken from the archive's folder */
    unsigned high_percent, low_percent; /* watermarks: above high rules run, until low */
    unsigned line;
};

/* Words of a list: "alice, bob". */
struct varve_config_list {
    char **words;
    size_t count;
};

enum varve_library_kind { VARVE_LIBRARY_VIRTUAL, VARVE_LIBRARY_SCSI };
#define VARVE_CONFIG_DRIVES_MAX 64u
struct varve_config_library {
    char *name;
    enum varve_library_kind kind;
    char *path;           /* of a virtual library: its folder, absolute */
    uint64_t media_bytes; /* capacity of its discs; 0: by what is in them */
    /* Of a SCSI library: places as ports.h has them. Each `drive` line is one; the order is that of
     * the changer's drive elements, where it does not tell serial numbers. */
    char *changer;
    struct varve_config_list drives;
    char *trace; /* file to record all commands in, absolute; NULL: none */
    unsigned line;
};

/* `key = value` of a rule, as written. */
struct varve_config_key {
    char *key, *value;
    unsigned line;
};
struct varve_config_rule {
    char *name;
    unsigned line;
    struct varve_config_key *keys;
    size_t key_count;
};

/* What a reader of content on discs gets: he waits, EAGAIN, EACCES. */
enum varve_config_recall {
    VARVE_CONFIG_RECALL_BLOCK,
    VARVE_CONFIG_RECALL_AGAIN,
    VARVE_CONFIG_RECALL_DENY,
};

struct varve_config {
    char *dir;                         /* the archive's folder */
    char *file;                        /* name in messages: "varve.conf" */
    char *name;                        /* of the archive */
    unsigned data_discs, parity_discs; /* `set = N+M`, default 4+2 */
    int64_t seal_after_ns;             /* default 7d */
    int64_t half_life_ns;              /* `heat_half_life`, default 30d */
    int64_t policy_interval_ns;        /* default 1h */
    unsigned udf_revision;             /* `udf = 2.50`: 0x0250, the only one yet */
    uint64_t head_bytes;               /* `head`, default 256K: kept of what is released */
    uint64_t head_total;               /* of all heads; 0: as much as the tier has room for */
    enum varve_config_recall recall;
    unsigned recalls_per_user; /* default 16; 0: no limit */
    /* Users and groups by name or number, commands as /proc/PID/comm has them. */
    struct varve_config_list recall_users, recall_groups;
    struct varve_config_list scan_users, scan_groups, scan_commands, head_commands;
    struct varve_config_tier *tiers;
    size_t tier_count;
    struct varve_config_library *libraries;
    size_t library_count;
    struct varve_config_rule *rules;
    size_t rule_count;
};

/* From the `size` bytes of a file called `file_name` of the archive in `dir`; opens nothing.
 * INVALID names file, line, section and key: "varve.conf:12: [tier ssd] hihg: unknown key", with a
 * hint where there is one. */
VARVE_MUST_CHECK bool
varve_config_parse(const char *text, size_t size, const char *file_name, const char *dir,
                   struct varve_config **ret, struct varve_error *err);
/* Reads dir/varve.conf. NOT_FOUND: `dir` is no archive. */
VARVE_MUST_CHECK bool
varve_config_load(const char *dir, struct varve_config **ret, struct varve_error *err);
void varve_config_free(struct varve_config *config);
VARVE_DEFINE_CLEANUP(struct varve_config, varve_config_free)

/* What `varve init` asks for. NULL and 0 mean: not said. */
struct varve_config_init {
    const char *name;
    /* NULL: "ssd" and "hdd" in the archive's folder; "": no such tier */
    const char *ssd_path, *hdd_path;
    const char *library_path; /* of a virtual library; NULL: none */
    const char *changer;      /* of a SCSI library; NULL: none */
    const char *const *drives;
    size_t drive_count;
    uint64_t media_bytes;
    unsigned data_discs, parity_discs; /* 0+0: 4+2 */
};
/* Writes a commented configuration, durable, which varve_config_parse() was seen to accept. EXISTS
 * if `path` is there already; INVALID if a value cannot be written (a newline in a path, ...). */
VARVE_MUST_CHECK bool varve_config_write(const char *path, const struct varve_config_init *options,
                                         struct varve_error *err);

/* "10+2": N data and M parity discs, N >= 1, N+M <= 255. INVALID names the text. */
VARVE_MUST_CHECK bool varve_config_parse_set(const char *text, unsigned *ret_data,
                                             unsigned *ret_parity, struct varve_error *err);
/* The word of the list that looks most like `word` (at most two edits away), or NULL: for "did you
 * mean" hints. */
const char *varve_config_nearest(const char *word, const char *const *words, size_t count);

#endif
