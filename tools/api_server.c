/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <fcntl.h>
#include <inttypes.h>
#include <microhttpd.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <varve/log.h>

#include "cli.h"
#include "socket.h"

/* Each connection has a thread of its own, so that a slow verb (an inventory of 12,000 slots) keeps
 * nobody waiting; bodies are read whole, which bounds memory to this many times 16 MiB. */
enum { CONNECTIONS_MAX = 16, IDLE_SECONDS = 60, BACKLOG = 16 };

struct api {
    struct api_options options;
    struct MHD_Daemon *daemon;
    int dir_fd;
};

/* What one request has brought so far. */
struct exchange {
    struct varve_buffer body;
    bool too_large;
};

static enum MHD_Result
send_json(struct MHD_Connection *connection, unsigned status, json_t *document)
{
    char *text = document != NULL ? json_dumps(document, JSON_COMPACT) : NULL;
    json_decref(document);
    if (text == NULL)
        return MHD_NO; /* out of memory: the connection is closed */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(strlen(text), text, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        free(text);
        return MHD_NO;
    }
    (void)MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, "application/json");
    enum MHD_Result queued = MHD_queue_response(connection, status, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result
send_error(struct MHD_Connection *connection, unsigned status, const struct varve_error *err)
{
    return send_json(connection, status, cli_error_json(err));
}

/* Only the daemon's own user and root: the mode of the socket says so too, but a directory that is
 * moved or a socket that is chmod'ed must not open the archive. */
static bool
check_peer(struct MHD_Connection *connection, struct varve_error *err)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (info == NULL || getsockopt(info->connect_fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "who is calling cannot be told");
    if (peer.uid != 0 && peer.uid != geteuid())
        return varve_error_set(err, VARVE_ERROR_INVALID, 0,
                               "only the owner of the archive and root may use it");
    return true;
}

struct query {
    const struct field *fields;
    json_t *in;
    struct varve_error *err;
    bool ok;
};

static enum MHD_Result
take_query(void *context, enum MHD_ValueKind kind, const char *key, const char *value)
{
    (void)kind;
    struct query *query = context;
    query->ok = query_add(query->fields, query->in, key, value, query->err);
    return query->ok ? MHD_YES : MHD_NO;
}

static bool
read_query(struct MHD_Connection *connection, const struct route *route, json_t **ret,
           struct varve_error *err)
{
    struct query query = {.fields = route->fields, .in = json_object(), .err = err, .ok = true};
    if (query.in == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the query");
    (void)MHD_get_connection_values(connection, MHD_GET_ARGUMENT_KIND, take_query, &query);
    if (query.ok && fields_check(route->fields, query.in, err)) {
        *ret = query.in;
        return true;
    }
    json_decref(query.in);
    return false;
}

static bool
run_route(struct api *api, struct MHD_Connection *connection, const struct route *route,
          const char *word, const struct varve_buffer *body, json_t **ret, struct varve_error *err)
{
    json_t *in = NULL;
    bool is_get = strcmp(route->method, "GET") == 0;
    if (is_get ? !read_query(connection, route, &in, err)
               : !body_parse(route->fields, varve_buffer_string(body), body->size, &in, err))
        return false;
    struct api_request request = {.options = &api->options, .word = word, .in = in};
    bool ok = route->handle(&request, ret, err);
    json_decref(in);
    return ok;
}

static enum MHD_Result
respond(struct api *api, struct MHD_Connection *connection, const char *method, const char *url,
        const struct exchange *exchange)
{
    struct varve_error err = {0};
    if (!check_peer(connection, &err))
        return send_error(connection, MHD_HTTP_FORBIDDEN, &err);
    if (exchange->too_large) {
        varve_error_set(&err, VARVE_ERROR_INVALID, 0, "the body has more than %u bytes",
                        API_BODY_BYTES_MAX);
        return send_error(connection, MHD_HTTP_CONTENT_TOO_LARGE, &err);
    }
    struct route_match match;
    if (!route_find(routes, method, url, &match, &err))
        return send_error(connection,
                          match.known ? MHD_HTTP_METHOD_NOT_ALLOWED : MHD_HTTP_NOT_FOUND, &err);
    VARVE_CLEANUP_FREE char *word = match.word;
    json_t *document = NULL;
    if (varve_buffer_ok(&exchange->body, &err) &&
        run_route(api, connection, match.route, word, &exchange->body, &document, &err))
        return send_json(connection, MHD_HTTP_OK, document);
    if (varve_error_http(err.kind) >= 500)
        varve_log(VARVE_LOG_WARNING, "api: %s %s: %s", method, url, err.text);
    return send_error(connection, (unsigned)varve_error_http(err.kind), &err);
}

/* libmicrohttpd calls this when the headers are there, with each part of the body, and at its end.
 */
static enum MHD_Result
handle(void *context, struct MHD_Connection *connection, const char *url, const char *method,
       const char *version, const char *upload, size_t *upload_size, void **state)
{
    (void)version;
    struct exchange *exchange = *state;
    if (exchange == NULL) {
        *state = calloc(1, sizeof *exchange);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*upload_size == 0)
        return respond(context, connection, method, url, exchange);
    if (*upload_size > API_BODY_BYTES_MAX - exchange->body.size)
        exchange->too_large = true; /* the rest is read and dropped, then refused */
    if (!exchange->too_large)
        varve_buffer_append(&exchange->body, upload, *upload_size);
    *upload_size = 0;
    return MHD_YES;
}

static void
end_exchange(void *context, struct MHD_Connection *connection, void **state,
             enum MHD_RequestTerminationCode why)
{
    (void)context;
    (void)connection;
    (void)why;
    struct exchange *exchange = *state;
    if (exchange == NULL)
        return;
    varve_buffer_done(&exchange->body);
    free(exchange);
    *state = NULL;
}

static bool
listen_on(const struct api *api, int *ret_fd, struct varve_error *err)
{
    struct sockaddr_un address;
    socket_address(api->dir_fd, &address);
    VARVE_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return varve_error_system(err, errno, "make a socket");
    if (unlinkat(api->dir_fd, API_SOCKET, 0) != 0 && errno != ENOENT)
        return varve_error_system(err, errno, "remove the old socket");
    /* A UNIX socket gets its mode from the descriptor's before bind: never open to others. */
    if (fchmod(fd, S_IRUSR | S_IWUSR) != 0 ||
        bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(fd, BACKLOG) != 0)
        return varve_error_system(err, errno, "listen on '%s/%s'", api->options.dir, API_SOCKET);
    *ret_fd = VARVE_TAKE_FD(fd);
    return true;
}

bool
api_start(const struct api_options *options, struct api **ret, struct varve_error *err)
{
    VARVE_CLEANUP(api_stop) struct api *api = calloc(1, sizeof *api);
    if (api == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "start the API");
    api->options = *options;
    api->dir_fd = open(options->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (api->dir_fd < 0)
        return varve_error_system(err, errno, "open '%s'", options->dir);
    VARVE_CLEANUP_FD int fd = -1;
    if (!listen_on(api, &fd, err))
        return varve_error_wrap(err, "start the API");
    api->daemon = MHD_start_daemon(
        MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_THREAD_PER_CONNECTION | MHD_USE_POLL, 0, NULL,
        NULL, handle, api, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
        (unsigned)CONNECTIONS_MAX, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)IDLE_SECONDS,
        MHD_OPTION_NOTIFY_COMPLETED, end_exchange, NULL, MHD_OPTION_END);
    if (api->daemon == NULL)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0, "start the API: no HTTP server");
    (void)VARVE_TAKE_FD(fd); /* MHD_stop_daemon() closes it */
    *ret = VARVE_TAKE(api);
    return true;
}

void
api_stop(struct api *api)
{
    if (api == NULL)
        return;
    if (api->daemon != NULL) {
        (void)unlinkat(api->dir_fd, API_SOCKET, 0); /* a stale one is replaced at the next start */
        MHD_stop_daemon(api->daemon);
    }
    if (api->dir_fd > 0)
        (void)close(api->dir_fd);
    free(api);
}
