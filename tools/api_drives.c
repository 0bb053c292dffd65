/* SPDX-License-Identifier: Apache-2.0 */
#include "api.h"

#include <limits.h>

enum { DRIVES_LISTED_MAX = 1024 };

bool
api_get_drives(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    VARVE_CLEANUP_FREE struct varve_engine_drive *drives =
        calloc(DRIVES_LISTED_MAX, sizeof *drives);
    if (drives == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "list drives");
    size_t count = varve_engine_drives(request->options->engine, drives, DRIVES_LISTED_MAX);
    json_t *list = json_array();
    for (size_t i = 0; i < count; i++)
        json_add(&list, json_drive(&drives[i]));
    return answer(json_pack("{s:o}", "drives", list), ret, err);
}

static bool
parse_drive(const struct api_request *request, unsigned *ret, struct varve_error *err)
{
    uint64_t drive = request_number(request, "drive", 0);
    if (drive > USHRT_MAX)
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "'drive': there is no such drive");
    *ret = (unsigned)drive;
    return true;
}

bool
api_post_drive_clear(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    unsigned drive = 0;
    return parse_drive(request, &drive, err) &&
           varve_engine_drive_clear(request->options->engine, request_text(request, "library"),
                                    drive, err) &&
           api_get_drives(request, ret, err);
}

bool
api_post_drive_retire(const struct api_request *request, json_t **ret, struct varve_error *err)
{
    unsigned drive = 0;
    return parse_drive(request, &drive, err) &&
           varve_engine_drive_retire(request->options->engine, request_text(request, "library"),
                                     drive, request_text(request, "reason"), err) &&
           api_get_drives(request, ret, err);
}
