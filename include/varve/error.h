/* error.h - what went wrong, in words that grow on the way up.
 *
 * Made where it happens (varve_error_set), given context by each level that adds a fact
 * (varve_error_wrap), told to someone exactly once. Plain data, no allocation: failing cannot fail.
 * An error belongs to the thread that holds it. `err` is never NULL and untouched on success. */
#ifndef VARVE_ERROR_H
#define VARVE_ERROR_H

#include <errno.h>
#include <stdbool.h>
#include <varve/cleanup.h>

/* One row per kind: name, errno for FUSE when no other is known, HTTP status of the API, words. The
 * kind says what the program does next; docs/architecture.md, "Errors", has the table. */
#define VARVE_ERROR_KINDS(X)                                                                       \
    X(NONE, 0, 200, "no error")                                                                    \
    X(SYSTEM, EIO, 500, "a system call failed")                                                    \
    X(NOMEM, ENOMEM, 500, "out of memory")                                                         \
    X(INVALID, EINVAL, 400, "bad input")                                                           \
    X(NOT_FOUND, ENOENT, 404, "no such thing")                                                     \
    X(EXISTS, EEXIST, 409, "exists already")                                                       \
    X(BUSY, EBUSY, 409, "in use")                                                                  \
    X(NO_SPACE, ENOSPC, 507, "no space left")                                                      \
    X(WAIT, EAGAIN, 409, "the content is on discs and must be recalled first")                     \
    X(NOT_READY, EAGAIN, 503, "device is not ready")                                               \
    X(OFFLINE, EHOSTUNREACH, 503, "disc is not in a library")                                      \
    X(WRONG_DISC, EIO, 500, "disc is not the one the catalog expects")                             \
    X(CORRUPT, EIO, 500, "checksum or structure does not match")                                   \
    X(MEDIUM, EIO, 500, "the medium cannot be read or written")                                    \
    X(HARDWARE, EIO, 500, "device failed")                                                         \
    X(UNRECOVERABLE, EIO, 500, "more is lost than parity can bring back")                          \
    X(CANCELLED, EINTR, 409, "cancelled")

enum varve_error_kind {
#define X(name, number, http, words) VARVE_ERROR_##name,
    VARVE_ERROR_KINDS(X)
#undef X
};

struct varve_error {
    enum varve_error_kind kind;
    int sys;        /* errno behind it, or 0 */
    char text[512]; /* outermost step first, cause last; a hint on a second line */
};

/* Fills `err` and returns false, so that a failing function ends in `return varve_error_set(...)`.
 * `sys` is the errno behind it or 0; if not 0 its words are appended. */
bool varve_error_set(struct varve_error *err, enum varve_error_kind kind, int sys,
                     const char *format, ...) VARVE_PRINTF(4, 5);

/* The same for a failed system call: kind from `sys` (ENOENT, ENOSPC, ... have their own kinds). */
bool
varve_error_system(struct varve_error *err, int sys, const char *format, ...) VARVE_PRINTF(3, 4);

/* Puts "format: " in front of the text; returns false. If the result is too long, the cause stays.
 */
bool varve_error_wrap(struct varve_error *err, const char *format, ...) VARVE_PRINTF(2, 3);

/* Appends "\nhint: format" (the first hint stays); returns false. */
bool varve_error_hint(struct varve_error *err, const char *format, ...) VARVE_PRINTF(2, 3);

/* The errno to answer a system call with: never 0 for an error. */
int varve_error_errno(const struct varve_error *err);

/* HTTP status for the API, and the kind's name in lower case ("not_found"). */
int varve_error_http(enum varve_error_kind kind);
const char *varve_error_kind_name(enum varve_error_kind kind);
/* Kind for a name, VARVE_ERROR_SYSTEM if unknown: the CLI gets names from the API. */
enum varve_error_kind varve_error_kind_parse(const char *name);

#endif
