/* SPDX-License-Identifier: Apache-2.0 */
#include "select_internal.h"

#include <ctype.h>
#include <grp.h>
#include <math.h>
#include <pwd.h>
#include <regex.h>
#include <string.h>
#include <varve/heat.h>
#include <varve/text.h>

#define PATH_DEPTH_MAX 4096u
#define PATTERN_BYTES_MAX 1024u
/* regcomp(3) unrolls {m,n}, nested ones multiply: a short pattern could take gigabytes. */
#define PATTERN_REPEATS_MAX 1000u

const char select_columns[] =
    "ino, name, path, dir, ext, size, uid, gid, owner, grp, mode, nlink, atime, mtime, ctime, "
    "btime, heat, opens, tier, state, pinned, version";

/* Flattened into the query around it, so that a column costs nothing unless it is used. Those with
 * a leading underscore are for select.c: `files`, against which predicates are compiled, has none
 * of them. */
#define VIEW_COLUMNS                                                                               \
    "i.ino AS ino, varve_name(i.ino) AS name, varve_path(i.ino) AS path, varve_dir(i.ino) AS dir," \
    " varve_ext(i.ino) AS ext, i.size AS size, i.uid AS uid, i.gid AS gid,"                        \
    " varve_owner(i.uid) AS owner, varve_group(i.gid) AS grp, i.mode & 4095 AS mode,"              \
    " i.nlink AS nlink, i.atime_ns / 1e9 AS atime, i.mtime_ns / 1e9 AS mtime,"                     \
    " i.ctime_ns / 1e9 AS ctime, i.btime_ns / 1e9 AS btime, varve_heat(i.heat, i.heat_ns) AS "     \
    "heat,"                                                                                        \
    " i.opens AS opens, CASE c.tier WHEN 1 THEN 'ssd' WHEN 2 THEN 'hdd' ELSE 'optical' END"        \
    " AS tier, CASE WHEN c.phase = 0 THEN 'resident' WHEN c.phase = 1 THEN 'planned'"              \
    " WHEN c.tier = 0 THEN 'migrated' ELSE 'premigrated' END AS state,"                            \
    " varve_pinned(i.pinned_until_ns) AS pinned, c.version AS version"
#define VIEW_FROM                                                                                  \
    " FROM main.inode i CROSS JOIN main.content c ON c.id = i.content"                             \
    " WHERE (i.mode & 61440) = 32768"
/* The same files, as far as they are on a tier: of ten million most are not. */
#define VIEW_FROM_RESIDENT                                                                         \
    " FROM main.content c INDEXED BY content_resident CROSS JOIN main.inode i ON i.ino = c.ino"    \
    " WHERE c.tier <> 0 AND i.content = c.id AND (i.mode & 61440) = 32768"
#define VIEW_PLACE                                                                                 \
    ", c.id AS _content, c.tier AS _tier, c.path_id AS _path_id, c.file AS _file,"                 \
    " c.phase AS _phase"

const char select_view[] =
    "CREATE TEMP VIEW files AS SELECT " VIEW_COLUMNS VIEW_FROM ";"
    "CREATE TEMP VIEW files_placed AS SELECT " VIEW_COLUMNS VIEW_PLACE VIEW_FROM ";"
    "CREATE TEMP VIEW files_resident AS SELECT " VIEW_COLUMNS VIEW_PLACE VIEW_FROM_RESIDENT;

static struct select_session *
session_of(sqlite3_context *context)
{
    return sqlite3_user_data(context);
}

/* --- names --- */

/* "No row" and "could not look" are two things: a file must not be selected by the second. */
static bool
step_row(struct select_session *session, sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code != SQLITE_ROW && code != SQLITE_DONE)
        session->step_error = code;
    return code == SQLITE_ROW;
}

/* The oldest name of an inode; false if it has none. The statement stays on its row. */
static bool
step_name(struct select_session *session, uint64_t ino)
{
    (void)sqlite3_reset(session->oldest_name); /* repeats an older error */
    bind_u64(session->oldest_name, 1, ino);
    return step_row(session, session->oldest_name);
}

/* Builds the path of a directory from its end, reversed; NULL if it cannot be known. */
static char *
build_dir(struct select_session *session, uint64_t ino)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer path = {0};
    for (unsigned depth = 0; ino != VARVE_ROOT_INO; depth++) {
        if (depth == PATH_DEPTH_MAX || !step_name(session, ino))
            return NULL;
        const uint8_t *name = sqlite3_column_blob(session->oldest_name, 1);
        for (int i = sqlite3_column_bytes(session->oldest_name, 1); i > 0; i--)
            varve_buffer_append(&path, &name[i - 1], 1);
        varve_buffer_text(&path, "/");
        ino = column_u64(session->oldest_name, 0);
    }
    char *text = path.failed ? NULL : malloc(path.size + 1);
    if (text == NULL)
        return NULL;
    for (size_t i = 0; i < path.size; i++)
        text[i] = (char)path.data[path.size - 1 - i];
    text[path.size] = '\0';
    return text;
}

/* "" for the root; NULL if it cannot be known. */
static const char *
find_dir(struct select_session *session, uint64_t ino)
{
    if (ino == VARVE_ROOT_INO)
        return "";
    struct dir_path *slot = &session->dirs[ino % DIR_CACHE_COUNT];
    if (slot->ino == ino)
        return slot->path;
    char *path = build_dir(session, ino);
    if (path == NULL)
        return NULL;
    free(slot->path);
    *slot = (struct dir_path){ino, path};
    return path;
}

/* Makes `ino` the file that at_name and at_parent speak of. */
static void
locate(struct select_session *session, uint64_t ino)
{
    if (session->at_ino == ino)
        return;
    session->at_ino = ino;
    session->at_parent = 0;
    session->at_name[0] = '\0';
    varve_buffer_clear(&session->path);
    struct varve_error ignored; /* a name that is too long reads as none; verify tells of it */
    if (step_name(session, ino) &&
        column_text(session->oldest_name, 1, session->at_name, sizeof session->at_name, &ignored))
        session->at_parent = column_u64(session->oldest_name, 0);
}

const char *
select_path(struct select_session *session, uint64_t ino)
{
    locate(session, ino);
    if (session->path.size == 0 && session->at_parent != 0) {
        const char *dir = find_dir(session, session->at_parent);
        if (dir != NULL)
            varve_buffer_printf(&session->path, "%s/%s", dir, session->at_name);
    }
    if (session->path.failed || session->step_error != 0)
        return NULL;
    return varve_buffer_string(&session->path);
}

/* True if a name or xattr could not be read: then the whole query fails. */
static bool
return_failure(sqlite3_context *context)
{
    int code = session_of(context)->step_error;
    if (code != 0)
        sqlite3_result_error_code(context, code);
    return code != 0;
}

static void
return_text(sqlite3_context *context, const char *text)
{
    if (return_failure(context))
        return;
    if (text == NULL)
        sqlite3_result_error_nomem(context);
    else
        sqlite3_result_text(context, text, -1, SQLITE_TRANSIENT);
}

static void
sql_name(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    locate(session_of(context), (uint64_t)sqlite3_value_int64(values[0]));
    return_text(context, session_of(context)->at_name);
}

static void
sql_path(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    return_text(context,
                select_path(session_of(context), (uint64_t)sqlite3_value_int64(values[0])));
}

static void
sql_dir(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct select_session *session = session_of(context);
    locate(session, (uint64_t)sqlite3_value_int64(values[0]));
    const char *dir = session->at_parent == 0 ? NULL : find_dir(session, session->at_parent);
    if (dir == NULL)
        return_text(context, "");
    else
        return_text(context, dir[0] == '\0' ? "/" : dir);
}

/* Lower case, without the dot; a dot at the start hides a file and begins no extension. */
static void
sql_ext(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct select_session *session = session_of(context);
    locate(session, (uint64_t)sqlite3_value_int64(values[0]));
    const char *dot = strrchr(session->at_name, '.');
    char ext[VARVE_NAME_BYTES_MAX + 1] = "";
    if (dot != NULL && dot != session->at_name) {
        size_t i = 0;
        for (; dot[i + 1] != '\0'; i++)
            ext[i] = isascii((unsigned char)dot[i + 1]) ? (char)tolower(dot[i + 1]) : dot[i + 1];
        ext[i] = '\0';
    }
    return_text(context, ext);
}

/* under(ino, '/a'): the path is that or lies below it. */
static void
sql_under(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const char *top = (const char *)sqlite3_value_text(values[1]);
    const char *path = select_path(session_of(context), (uint64_t)sqlite3_value_int64(values[0]));
    if (return_failure(context) || top == NULL || path == NULL)
        return; /* NULL */
    size_t length = strlen(top);
    while (length > 0 && top[length - 1] == '/')
        length--;
    bool below = strncmp(path, top, length) == 0 && (path[length] == '/' || path[length] == '\0');
    sqlite3_result_int(context, below);
}

static void
sql_xattr(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    struct select_session *session = session_of(context);
    const char *name = (const char *)sqlite3_value_text(values[1]);
    if (name == NULL)
        return;                          /* NULL */
    (void)sqlite3_reset(session->xattr); /* repeats an older error */
    bind_u64(session->xattr, 1, (uint64_t)sqlite3_value_int64(values[0]));
    bind_bytes(session->xattr, 2, name);
    if (step_row(session, session->xattr))
        sqlite3_result_text(context, (const char *)sqlite3_column_blob(session->xattr, 0),
                            sqlite3_column_bytes(session->xattr, 0), SQLITE_TRANSIENT);
    (void)return_failure(context);
    (void)sqlite3_reset(session->xattr); /* `name` is bound only until now */
}

/* --- owners --- */

static void
name_owner(struct owner_name *slot, uint32_t id, bool group)
{
    char buffer[4096]; /* a longer entry (a group of hundreds) goes by its number */
    const char *name = NULL;
    struct passwd user;
    struct passwd *found_user = NULL;
    struct group members;
    struct group *found_group = NULL;
    if (group && getgrgid_r(id, &members, buffer, sizeof buffer, &found_group) == 0 &&
        found_group != NULL)
        name = members.gr_name;
    if (!group && getpwuid_r(id, &user, buffer, sizeof buffer, &found_user) == 0 &&
        found_user != NULL)
        name = user.pw_name;
    if (name == NULL || strlen(name) >= sizeof slot->name)
        (void)snprintf(slot->name, sizeof slot->name, "%u", id);
    else
        (void)snprintf(slot->name, sizeof slot->name, "%s", name);
    slot->used = true;
    slot->id = id;
}

static void
return_owner(sqlite3_context *context, struct owner_name *cache, uint32_t id, bool group)
{
    struct owner_name *slot = &cache[id % OWNER_CACHE_COUNT];
    if (!slot->used || slot->id != id)
        name_owner(slot, id, group);
    return_text(context, slot->name);
}

static void
sql_owner(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    return_owner(context, session_of(context)->users, (uint32_t)sqlite3_value_int64(values[0]),
                 false);
}

static void
sql_group(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    return_owner(context, session_of(context)->groups, (uint32_t)sqlite3_value_int64(values[0]),
                 true);
}

/* --- time, heat, units --- */

static void
sql_heat(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const struct select_session *session = session_of(context);
    sqlite3_result_double(context, varve_heat_decay(sqlite3_value_double(values[0]),
                                                    sqlite3_value_int64(values[1]), session->now_ns,
                                                    session->half_life_ns));
}

static void
sql_pinned(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    sqlite3_result_int(context, sqlite3_value_int64(values[0]) > session_of(context)->now_ns);
}

static void
sql_age(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    if (sqlite3_value_numeric_type(values[0]) == SQLITE_NULL)
        return;
    double now = (double)session_of(context)->now_ns / 1e9;
    sqlite3_result_double(context, now - sqlite3_value_double(values[0]));
}

/* date(seconds) is the day, UTC. SQLite's own of that name is hidden: it can read the clock. */
static void
sql_date(sqlite3_context *context, int count, sqlite3_value **values)
{
    if (count != 1) {
        sqlite3_result_error(context, "date() takes one time", -1);
        return;
    }
    double seconds = sqlite3_value_double(values[0]);
    if (sqlite3_value_numeric_type(values[0]) == SQLITE_NULL || !(fabs(seconds) < 9e9))
        return; /* NULL */
    char text[VARVE_TEXT_TIME_BYTES];
    (void)varve_text_time((int64_t)(seconds * 1e9), text);
    text[10] = '\0';
    return_text(context, text);
}

/* Unit functions: user data is the factor. */
static void
sql_times(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const double *factor = sqlite3_user_data(context);
    if (sqlite3_value_numeric_type(values[0]) != SQLITE_NULL)
        sqlite3_result_double(context, sqlite3_value_double(values[0]) * *factor);
}

/* --- regexp --- */

static bool
repeats_too_much(const char *pattern)
{
    unsigned long product = 1;
    for (const char *at = strchr(pattern, '{'); at != NULL; at = strchr(at + 1, '{')) {
        unsigned long most = strtoul(at + 1, NULL, 10);
        const char *comma = at + 1 + strspn(at + 1, "0123456789");
        if (*comma == ',' && isdigit((unsigned char)comma[1]))
            most = strtoul(comma + 1, NULL, 10);
        most = most == 0 ? 1 : most;
        if (most > PATTERN_REPEATS_MAX || product * most > PATTERN_REPEATS_MAX)
            return true;
        product *= most;
    }
    return false;
}

static void
free_pattern(void *pattern)
{
    regfree(pattern);
    free(pattern);
}

static regex_t *
compile_pattern(sqlite3_context *context, const char *text)
{
    if (strlen(text) > PATTERN_BYTES_MAX || repeats_too_much(text)) {
        sqlite3_result_error(context, "the pattern of regexp is too large", -1);
        return NULL;
    }
    regex_t *pattern = calloc(1, sizeof *pattern);
    if (pattern == NULL) {
        sqlite3_result_error_nomem(context);
        return NULL;
    }
    int code = regcomp(pattern, text, REG_EXTENDED | REG_NOSUB);
    if (code == 0)
        return pattern;
    char words[128];
    char message[192];
    (void)regerror(code, pattern, words, sizeof words);
    (void)snprintf(message, sizeof message, "the pattern of regexp is wrong: %s", words);
    sqlite3_result_error(context, message, -1);
    free(pattern);
    return NULL;
}

/* "text REGEXP pattern" calls regexp(pattern, text). */
static void
sql_regexp(sqlite3_context *context, int count, sqlite3_value **values)
{
    (void)count;
    const char *text = (const char *)sqlite3_value_text(values[1]);
    const char *source = (const char *)sqlite3_value_text(values[0]);
    if (text == NULL || source == NULL)
        return; /* NULL */
    regex_t *pattern = sqlite3_get_auxdata(context, 0);
    bool fresh = pattern == NULL;
    if (fresh && (pattern = compile_pattern(context, source)) == NULL)
        return;
    sqlite3_result_int(context, regexec(pattern, text, 0, NULL, 0) == 0);
    if (fresh)
        sqlite3_set_auxdata(context, 0, pattern, free_pattern); /* after use: it may free at once */
}

/* --- registration --- */

static bool
add(struct select_session *session, const char *name, int arguments, void *data,
    void (*function)(sqlite3_context *, int, sqlite3_value **))
{
    int flags = SQLITE_UTF8 | SQLITE_DETERMINISTIC | SQLITE_INNOCUOUS;
    return sqlite3_create_function(session->db, name, arguments, flags, data, function, NULL,
                                   NULL) == SQLITE_OK;
}

static bool
add_units(struct select_session *session)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"minutes", 60},      {"hours", 3600},          {"days", 86400},
                 {"weeks", 7 * 86400}, {"years", 365 * 86400.0}, {"kib", 1024},
                 {"mib", 1048576},     {"gib", 1073741824},      {"tib", 1099511627776.0}};
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        union {
            const double *constant;
            void *data; /* SQLite takes no const, but sql_times() only reads it */
        } factor = {.constant = &units[i].factor};
        if (!add(session, units[i].name, 1, factor.data, sql_times))
            return false;
    }
    return true;
}

bool
select_functions_add(struct select_session *session)
{
    static const struct {
        const char *name;
        int arguments;
        void (*function)(sqlite3_context *, int, sqlite3_value **);
    } functions[] = {
        {"varve_name", 1, sql_name}, {"varve_path", 1, sql_path},     {"varve_dir", 1, sql_dir},
        {"varve_ext", 1, sql_ext},   {"varve_owner", 1, sql_owner},   {"varve_group", 1, sql_group},
        {"varve_heat", 2, sql_heat}, {"varve_pinned", 1, sql_pinned}, {"age", 1, sql_age},
        {"under", 2, sql_under},     {"xattr", 2, sql_xattr},         {"date", -1, sql_date},
        {"regexp", 2, sql_regexp},
    };
    for (size_t i = 0; i < sizeof functions / sizeof functions[0]; i++) {
        if (!add(session, functions[i].name, functions[i].arguments, session,
                 functions[i].function))
            return false;
    }
    return add_units(session);
}
