/* SPDX-License-Identifier: Apache-2.0 */
/* Status, jobs, check, stop. */
#include "api.h"

#include <varve/fuse.h>
#include <varve/text.h>

enum { JOBS_MAX = 1000, FINDINGS_MAX = 10000 };

bool
answer_job(const struct api_request *request, uint64_t job, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_job *state = calloc(1, sizeof *state);
    if (state == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "make the answer");
    if (!varve_engine_job(request->options->engine, job, state, err))
        return false;
    return answer(json_pack("{s:o}", "job", json_job(state)), ret, err);
}

/* "rw,nosuid,nodev,relatime" */
static json_t *
make_options(struct varve_mount *mount)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    varve_mount_flags_text(varve_mount_flags(mount), &text);
    return json_string(varve_buffer_string(&text));
}

static json_t *
make_features(const struct varve_mount *mount)
{
    struct varve_mount_features features;
    varve_mount_features(mount, &features);
    return json_pack("{s:b, s:s, s:b, s:s, s:b, s:b}", "passthrough", features.passthrough,
                     "passthrough_why", features.passthrough_why, "io_uring", features.io_uring,
                     "io_uring_why", features.io_uring_why, "kill_priv", features.kill_priv,
                     "readdirplus", features.readdirplus);
}

bool
api_get_status(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_engine_status *status = calloc(1, sizeof *status);
    if (status == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "status");
    if (!varve_engine_status(request->options->engine, status, err))
        return false;
    json_t *document = json_status(status);
    const struct api_options *options = request->options;
    (void)json_object_set_new(document, "running", json_true());
    (void)json_object_set_new(document, "directory", json_bytes(options->dir));
    (void)json_object_set_new(document, "pid", json_integer(getpid()));
    (void)json_object_set_new(document, "mountpoint",
                              options->mountpoint != NULL ? json_bytes(options->mountpoint)
                                                          : json_null());
    (void)json_object_set_new(document, "mount_options",
                              options->mount != NULL ? make_options(options->mount) : json_null());
    (void)json_object_set_new(document, "kernel",
                              options->mount != NULL ? make_features(options->mount) : json_null());
    return answer(document, ret, err);
}

bool
api_get_jobs(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_job *jobs = calloc(JOBS_MAX, sizeof *jobs);
    json_t *list = json_array();
    if (jobs == NULL || list == NULL) {
        json_decref(list);
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list jobs");
    }
    size_t count = varve_engine_jobs(request->options->engine, jobs, JOBS_MAX);
    for (size_t i = 0; i < count; i++)
        json_add(&list, json_job(&jobs[i]));
    return answer(json_pack("{s:o}", "jobs", list), ret, err);
}

bool
api_get_job(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    uint64_t id;
    if (!varve_text_parse_number(request->word, INT64_MAX, &id, err))
        return varve_error_wrap(err, "job");
    return answer_job(request, id, ret, err);
}

struct findings {
    json_t *texts;
};

static void
take_finding(void *context, const char *finding)
{
    struct findings *findings = context;
    if (json_array_size(findings->texts) < FINDINGS_MAX)
        json_add(&findings->texts, json_bytes(finding));
}

bool
api_post_check(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    struct varve_check_report report = {0};
    struct findings findings = {.texts = json_array()};
    if (findings.texts == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "check");
    if (!varve_engine_check(request->options->engine, request_flag(request, "repair"), take_finding,
                            &findings, &report, err)) {
        json_decref(findings.texts);
        return false;
    }
    return answer(
        json_pack("{s:o, s:o}", "report", json_check(&report), "findings", findings.texts), ret,
        err);
}

bool
api_post_stop(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    if (!answer(json_pack("{s:b}", "stopping", 1), ret, err))
        return false;
    request->options->stop(request->options->context);
    return true;
}
