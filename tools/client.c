/* SPDX-License-Identifier: Apache-2.0 */
#include "client.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <varve/buffer.h>

#include "socket.h"

enum { ANSWER_BYTES_MAX = 64 << 20 };
enum { CONNECT_TIMEOUT_S = 10 };

struct client {
    CURL *curl;
    char *archive;
    int dir_fd;
    struct varve_buffer answer;
    char curl_error[CURL_ERROR_SIZE];
};

bool
client_daemon_pid(const char *archive, pid_t *ret)
{
    VARVE_CLEANUP_FD int dir = open(archive, O_PATH | O_DIRECTORY | O_CLOEXEC);
    VARVE_CLEANUP_FD int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (dir < 0 || fd < 0)
        return false;
    struct sockaddr_un address;
    socket_address(dir, &address);
    struct ucred peer;
    socklen_t size = sizeof peer;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0)
        return false;
    *ret = peer.pid;
    return true;
}

static size_t
receive(char *bytes, size_t unit, size_t count, void *context)
{
    struct client *client = context;
    if (client->answer.size + unit * count > ANSWER_BYTES_MAX)
        return 0; /* ends the transfer with an error */
    varve_buffer_append(&client->answer, bytes, unit * count);
    return client->answer.failed ? 0 : unit * count;
}

static bool
set_up(struct client *client)
{
    struct sockaddr_un address;
    socket_address(client->dir_fd, &address);
    CURL *curl = client->curl;
    return curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, address.sun_path) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_TIMEOUT_S) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->curl_error) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, receive) == CURLE_OK &&
           curl_easy_setopt(curl, CURLOPT_WRITEDATA, client) == CURLE_OK;
}

static bool
refuse_no_daemon(struct cli *cli, const char *archive, struct varve_error *err)
{
    cli->exit_code = EXIT_CODE_NO_DAEMON;
    varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "no daemon serves the archive '%s'", archive);
    return varve_error_hint(err, "start it with: varve mount %s MOUNTPOINT", archive);
}

bool
client_open(struct cli *cli, const char *archive, struct client **ret, struct varve_error *err)
{
    pid_t pid;
    if (!client_daemon_pid(archive, &pid)) {
        if (errno == EACCES)
            return varve_error_system(err, errno, "talk to the daemon of '%s'", archive);
        return refuse_no_daemon(cli, archive, err);
    }
    VARVE_CLEANUP(client_free) struct client *client = calloc(1, sizeof *client);
    if (client == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "talk to the daemon");
    client->dir_fd = open(archive, O_PATH | O_DIRECTORY | O_CLOEXEC);
    client->archive = strdup(archive);
    client->curl = curl_easy_init();
    if (client->dir_fd < 0)
        return varve_error_system(err, errno, "open '%s'", archive);
    if (client->archive == NULL || client->curl == NULL || !set_up(client))
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "talk to the daemon");
    *ret = VARVE_TAKE(client);
    return true;
}

void
client_free(struct client *client)
{
    if (client == NULL)
        return;
    curl_easy_cleanup(client->curl);
    if (client->dir_fd >= 0)
        (void)close(client->dir_fd);
    varve_buffer_done(&client->answer);
    free(client->archive);
    free(client);
}

char *
client_encode(const char *text)
{
    char *by_curl = curl_easy_escape(NULL, text, (int)strnlen(text, 65536));
    char *encoded = by_curl != NULL ? strdup(by_curl) : NULL;
    curl_free(by_curl);
    return encoded;
}

/* {"error": ...} back into an error, as the daemon made it. */
static bool
take_error(const json_t *answer, long status, struct varve_error *err)
{
    const char *kind = NULL, *text = NULL, *hint = NULL;
    if (json_unpack((json_t *)(uintptr_t)answer, "{s:{s:s, s:s, s?s}}", "error", "kind", &kind,
                    "text", &text, "hint", &hint) != 0 &&
        text == NULL)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0, "the daemon answered HTTP %ld", status);
    varve_error_set(err, varve_error_kind_parse(kind), 0, "%s", text);
    return hint == NULL ? false : varve_error_hint(err, "%s", hint);
}

static bool
take_answer(struct client *client, json_t **ret, struct varve_error *err)
{
    long status = 0;
    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    json_error_t why;
    VARVE_CLEANUP_JSON json_t *answer =
        json_loadb(varve_buffer_string(&client->answer), client->answer.size, 0, &why);
    if (status < 200 || status > 299)
        return take_error(answer, status, err);
    if (answer == NULL)
        return varve_error_set(err, VARVE_ERROR_SYSTEM, 0,
                               "the daemon's answer is not JSON: line %d: %s", why.line, why.text);
    *ret = VARVE_TAKE(answer);
    return true;
}

static bool
perform(struct client *client, const char *path, json_t **ret, struct varve_error *err)
{
    char url[8 * 4096];
    int length = snprintf(url, sizeof url, "http://varve%s", path);
    if (length < 0 || (size_t)length >= sizeof url)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "the path is too long");
    varve_buffer_clear(&client->answer);
    client->curl_error[0] = 0;
    if (curl_easy_setopt(client->curl, CURLOPT_URL, url) != CURLE_OK)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "talk to the daemon");
    CURLcode code = curl_easy_perform(client->curl);
    if (code == CURLE_OK)
        return take_answer(client, ret, err);
    const char *why = client->curl_error[0] != 0 ? client->curl_error : curl_easy_strerror(code);
    varve_error_set(err, VARVE_ERROR_NOT_READY, 0, "talk to the daemon of '%s': %s",
                    client->archive, why);
    return varve_error_hint(err, "its log is %s/varve.log", client->archive);
}

bool
client_get(struct client *client, const char *path, json_t **ret, struct varve_error *err)
{
    (void)curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L); /* only a bug makes it fail */
    return perform(client, path, ret, err);
}

bool
client_post(struct client *client, const char *path, json_t *body, json_t **ret,
            struct varve_error *err)
{
    VARVE_CLEANUP_JSON json_t *owned = body;
    VARVE_CLEANUP_FREE char *text = owned != NULL ? json_dumps(owned, JSON_COMPACT) : NULL;
    if (text == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "talk to the daemon");
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: application/json");
    CURL *curl = client->curl;
    bool ok = headers != NULL && curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_POST, 1L) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(text)) == CURLE_OK &&
              curl_easy_setopt(curl, CURLOPT_POSTFIELDS, text) == CURLE_OK;
    if (!ok)
        varve_error_set(err, VARVE_ERROR_NOMEM, 0, "talk to the daemon");
    else
        ok = perform(client, path, ret, err);
    (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, NULL);
    (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDS, NULL); /* `text` goes now */
    curl_slist_free_all(headers);
    return ok;
}
