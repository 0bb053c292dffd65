/* client.h - the CLI's side of the API: finds the archive that is meant, talks JSON with its
 * daemon. One thread. */
#ifndef VARVE_TOOLS_CLIENT_H
#define VARVE_TOOLS_CLIENT_H

#include "cli.h"
#include "json.h"

#include <sys/types.h>

/* --- which archive --- */
/* A path inside a mounted archive: *ret_archive its directory, *ret_inside the path as the archive
 * names it; both to be freed. A symlink as the last part is meant itself. NOT_FOUND, or INVALID
 * (exit code 3) if no archive is mounted there. */
VARVE_MUST_CHECK bool find_path(struct cli *cli, const char *path, char **ret_archive,
                                char **ret_inside, struct varve_error *err);
/* `word`: an archive's directory, any path inside its mount, or NULL: the current directory. */
VARVE_MUST_CHECK bool
find_archive(struct cli *cli, const char *word, char **ret_archive, struct varve_error *err);
/* True if `dir` has a varve.conf. */
bool is_archive(const char *dir);

/* --- its daemon --- */
struct client;
/* NOT_READY (exit code 3): no daemon serves the archive. */
VARVE_MUST_CHECK bool
client_open(struct cli *cli, const char *archive, struct client **ret, struct varve_error *err);
void client_free(struct client *client);
VARVE_DEFINE_CLEANUP(struct client, client_free)
/* Process that listens on the archive's socket. False: nobody does. */
bool client_daemon_pid(const char *archive, pid_t *ret);

/* `path` begins with "/v1/" and is encoded already. The API's errors come back as they were. */
VARVE_MUST_CHECK bool
client_get(struct client *client, const char *path, json_t **ret, struct varve_error *err);
/* Takes `body`; NULL is out of memory. */
VARVE_MUST_CHECK bool client_post(struct client *client, const char *path, json_t *body,
                                  json_t **ret, struct varve_error *err);
/* "abc%2Fd", to be freed; NULL when out of memory. */
char *client_encode(const char *text);

/* --- what verbs share --- */
/* The daemon of the archive that `word`, else --archive, else the current directory means. */
VARVE_MUST_CHECK bool session_open(struct cli *cli, const struct args *args, const char *word,
                                   struct client **ret, struct varve_error *err);
/* The daemon of the archive of all the paths, and their JSON array. */
VARVE_MUST_CHECK bool
session_open_paths(struct cli *cli, const struct args *args, struct client **ret,
                   json_t **ret_paths, struct varve_error *err);
/* After a POST that started a job: prints it, or with `wait` follows it to its end and fails if it
 * failed. Takes `answer`. */
VARVE_MUST_CHECK bool session_job(struct cli *cli, struct client *client, json_t *answer, bool wait,
                                  struct varve_error *err);

#endif
