/* api.h - the REST API of a daemon on the UNIX socket of its archive (docs/api.md).
 *
 * Requests come in on threads of libmicrohttpd, one per connection; a route's handler turns checked
 * input into one call of the engine and its result into JSON. Input is untrusted (INV-9): it is
 * bounded, strict, and checked against the route's fields before the handler sees it. */
#ifndef VARVE_TOOLS_API_H
#define VARVE_TOOLS_API_H

#include <varve/fuse.h>

#include "json.h"
#include "ports.h"

#define API_BODY_BYTES_MAX (16u << 20)

/* --- the server --- */
struct api_options {
    struct varve_engine *engine;
    struct ports *ports;
    const char *dir;             /* of the archive, absolute: holds the socket */
    const char *mountpoint;      /* for the status; NULL: none */
    struct varve_mount *mount;   /* the same */
    void (*stop)(void *context); /* POST /v1/stop; returns at once */
    void *context;
};
struct api;
/* Replaces a socket that a killed daemon left: the caller holds the archive's lock. */
VARVE_MUST_CHECK bool
api_start(const struct api_options *options, struct api **ret, struct varve_error *err);
/* Ends what is being answered, removes the socket. NULL is fine. */
void api_stop(struct api *api);
VARVE_DEFINE_CLEANUP(struct api, api_stop)

/* --- requests --- */
enum field_type {
    FIELD_TEXT,
    FIELD_BYTES,  /* a path: a string or {"hex": ...} */
    FIELD_FLAG,   /* true, false */
    FIELD_NUMBER, /* 0 .. 2^63-1 */
    FIELD_PATHS,  /* array of at least one absolute path, each as FIELD_BYTES */
    FIELD_TEXTS,  /* array of strings */
};
struct field {
    const char *name; /* NULL ends a table */
    enum field_type type;
    bool required;
};
struct api_request {
    const struct api_options *options;
    const char *word; /* the variable part of the URL, "" if it has none */
    const json_t *in; /* an object that fits the route's fields */
};
typedef bool api_handler(const struct api_request *request, json_t **ret, struct varve_error *err);
struct route {
    const char *method;  /* "GET": fields come from the query; "POST": from the body */
    const char *pattern; /* "/v1/discs/{}/verify" */
    const struct field *fields;
    api_handler *handle;
};
extern const struct route routes[]; /* ends with method NULL */

struct route_match {
    const struct route *route;
    char *word; /* what {} stands for, to be freed */
    bool known; /* the URL exists, maybe with another method */
};
/* NOT_FOUND: no such URL. INVALID, and ret->known: not this method. */
VARVE_MUST_CHECK bool route_find(const struct route *table, const char *method, const char *url,
                                 struct route_match *ret, struct varve_error *err);
/* Pure. INVALID names the key: unknown, missing, or not what it must be. */
VARVE_MUST_CHECK bool
fields_check(const struct field *fields, const json_t *in, struct varve_error *err);
/* A body (empty: no fields) as a checked object. */
VARVE_MUST_CHECK bool body_parse(const struct field *fields, const char *bytes, size_t size,
                                 json_t **ret, struct varve_error *err);
/* Puts one key of the query into `in` (an object), as the type that its field wants. */
VARVE_MUST_CHECK bool query_add(const struct field *fields, json_t *in, const char *key,
                                const char *value, struct varve_error *err);

/* --- for handlers --- */
const char *request_text(const struct api_request *request, const char *key); /* or NULL */
bool request_flag(const struct api_request *request, const char *key);
uint64_t request_number(const struct api_request *request, const char *key, uint64_t otherwise);
/* {"job": {...}} of a job that was just begun. */
VARVE_MUST_CHECK bool
answer_job(const struct api_request *request, uint64_t job, json_t **ret, struct varve_error *err);
/* True if `document` is there; else NOMEM. */
VARVE_MUST_CHECK bool answer(json_t *document, json_t **ret, struct varve_error *err);

/* Handlers, by file: */
api_handler api_get_status, api_get_jobs, api_get_job, api_post_stop,
    api_post_check;        /* api_state.c */
api_handler api_get_files; /* api_files.c */
api_handler api_post_archive, api_post_release, api_post_recall, api_post_pin, api_post_unpin,
    api_post_flush;                                                      /* api_paths.c */
api_handler api_get_policy, api_get_policy_effects, api_post_policy_run; /* api_policy.c */
api_handler api_get_sets, api_get_set, api_post_set_repair, api_get_discs, api_get_disc,
    api_post_disc_verify, api_post_disc_retire, api_post_disc_clear,
    api_post_scrub;                                                      /* api_discs.c */
api_handler api_get_drives, api_post_drive_clear, api_post_drive_retire; /* api_drives.c */
api_handler api_get_libraries, api_get_inventory, api_post_load, api_post_unload, api_post_import,
    api_post_export, api_post_blanks, api_post_unlock, api_post_resume, api_post_accept,
    api_get_virtual, api_post_script, api_post_calm, api_post_insert; /* api_libraries.c */
api_handler api_get_requests, api_post_inserted, api_post_refuse, api_post_places, api_get_history,
    api_get_magazines; /* api_places.c */

#endif
