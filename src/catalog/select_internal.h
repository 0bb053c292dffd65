/* select_internal.h - one run of a policy predicate: a connection of its own with the view `files`,
 * its functions and what they remember. One thread; no lock of the catalog is held. */
#ifndef VARVE_SELECT_INTERNAL_H
#define VARVE_SELECT_INTERNAL_H

#include "catalog_internal.h"

#define DIR_CACHE_COUNT 1024u /* paths of directories; files come in groups by directory */
#define OWNER_CACHE_COUNT 64u

struct dir_path {
    uint64_t ino; /* 0: empty */
    char *path;   /* "" for the root */
};
struct owner_name {
    bool used;
    uint32_t id;
    char name[64];
};

struct select_session {
    sqlite3 *db;
    int64_t now_ns, half_life_ns;
    sqlite3_stmt *oldest_name;
    sqlite3_stmt *xattr;
    int step_error; /* of these two, when they could not tell: time ran out, damage */

    /* The file asked for last: a predicate often asks for several of its names. */
    uint64_t at_ino;
    uint64_t at_parent;
    char at_name[VARVE_NAME_BYTES_MAX + 1];
    struct varve_buffer path;
    struct dir_path dirs[DIR_CACHE_COUNT];
    struct owner_name users[OWNER_CACHE_COUNT], groups[OWNER_CACHE_COUNT];

    int64_t time_max_ms;
    int64_t deadline_ns; /* monotonic; 0: none */
    bool timed_out;

    unsigned selects;           /* SELECTs seen while a predicate is compiled */
    struct varve_error refused; /* by the authoriser, with the reason */
};

/* `path` NULL: over an empty catalog in memory. */
bool select_session_new(const char *path, struct select_session **ret, struct varve_error *err);
void select_session_free(struct select_session *session);
VARVE_DEFINE_CLEANUP(struct select_session, select_session_free)

/* functions.c: the view's columns and the functions of predicates. */
extern const char select_columns[]; /* names, comma-separated, for the user */
extern const char select_view[];
bool select_functions_add(struct select_session *session);
/* "/a/b" by the oldest name; "" if it has none. Valid until the next call. NULL: no memory. */
const char *select_path(struct select_session *session, uint64_t ino);

/* predicate.c: refuses all but one harmless expression. Appends it, ready to be put between
 * parentheses. `what` is "where" or "order". */
bool predicate_compile(struct select_session *session, const char *what, const char *text,
                       struct varve_buffer *ret, struct varve_error *err);
extern const char *const predicate_functions[]; /* allowed ones; NULL at the end */

/* words.c: SQLite's message without the advice of newer versions (3.46: yes, 3.40: no), which would
 * stand beside our hint. */
void words_plain(const char *message, char *ret, size_t size);

/* words.c: adds a hint to a "no such column" or "no such function" of SQLite. */
void words_hint(const char *message, struct varve_error *err);

#endif
