/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs on paths: archive, release, recall, pin; and flush. */
#include "api.h"

/* The request's "paths" as the engine takes them. */
struct paths {
    char **bytes;
    struct varve_path_list list;
};

static void
paths_done(struct paths *paths)
{
    for (size_t i = 0; i < paths->list.count; i++)
        free(paths->bytes[i]);
    free(paths->bytes);
}

static bool
paths_take(const struct api_request *request, struct paths *ret, struct varve_error *err)
{
    const json_t *array = json_object_get(request->in, "paths");
    size_t count = json_array_size(array);
    *ret = (struct paths){.bytes = calloc(count + 1, sizeof *ret->bytes)};
    if (ret->bytes == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read the paths");
    for (size_t i = 0; i < count; i++) {
        if (!json_bytes_get(json_array_get(array, i), "paths", &ret->bytes[i], err)) {
            paths_done(ret);
            return false;
        }
        ret->list.count++;
    }
    ret->list.paths = (const char *const *)ret->bytes;
    return true;
}

typedef bool start_fn(struct varve_engine *engine, const struct varve_path_list *paths, bool now,
                      uint64_t *ret_job, struct varve_error *err);

static bool
start(const struct api_request *request, start_fn *begin, json_t **ret, struct varve_error *err)
{
    struct paths paths;
    if (!paths_take(request, &paths, err))
        return false;
    uint64_t job = 0;
    bool ok = begin(request->options->engine, &paths.list, request_flag(request, "now"), &job, err);
    paths_done(&paths);
    return ok && answer_job(request, job, ret, err);
}

bool
api_post_archive(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return start(request, varve_engine_archive, ret, err);
}

static bool
begin_release(struct varve_engine *engine, const struct varve_path_list *paths, bool now,
              uint64_t *ret_job, struct varve_error *err)
{
    (void)now;
    return varve_engine_release(engine, paths, ret_job, err);
}

bool
api_post_release(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return start(request, begin_release, ret, err);
}

static bool
begin_recall(struct varve_engine *engine, const struct varve_path_list *paths, bool now,
             uint64_t *ret_job, struct varve_error *err)
{
    (void)now;
    return varve_engine_recall(engine, paths, ret_job, err);
}

bool
api_post_recall(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return start(request, begin_recall, ret, err);
}

static bool
pin(const struct api_request *request, int64_t until_ns, json_t **ret, struct varve_error *err)
{
    struct paths paths;
    if (!paths_take(request, &paths, err))
        return false;
    uint64_t files = 0;
    bool ok = varve_engine_pin(request->options->engine, &paths.list, until_ns, &files, err);
    paths_done(&paths);
    return ok && answer(json_pack("{s:I}", "files", (json_int_t)files), ret, err);
}

bool
api_post_pin(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    /* 200 years: what is more than that is for ever, and nothing overflows. */
    const uint64_t seconds_max = UINT64_C(200) * 365 * 86400;
    uint64_t seconds = request_number(request, "seconds", UINT64_MAX);
    if (seconds == 0)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'seconds': 0 pins nothing");
    int64_t now_ns = varve_clock_realtime(request->options->ports->engine.clock);
    int64_t until_ns =
        seconds > seconds_max ? INT64_MAX : now_ns + (int64_t)seconds * VARVE_NS_PER_SECOND;
    return pin(request, until_ns, ret, err);
}

bool
api_post_unpin(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    return pin(request, 0, ret, err);
}

bool
api_post_flush(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    uint64_t job = 0;
    return varve_engine_flush(request->options->engine, &job, err) &&
           answer_job(request, job, ret, err);
}
