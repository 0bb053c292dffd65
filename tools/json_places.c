/* SPDX-License-Identifier: Apache-2.0 */
#include "json.h"

json_t *
json_request(const struct varve_engine_request *request)
{
    return json_pack("{s:o, s:s, s:o, s:s, s:b, s:o, s:o, s:s, s:o, s:o, s:o}", "library",
                     json_bytes(request->library), "barcode", request->barcode.text, "drive",
                     request->drive >= 0 ? json_integer(request->drive) : json_null(), "what",
                     request->what, "blank", (int)request->blank, "shelf",
                     json_bytes(request->shelf), "magazine", json_bytes(request->magazine), "out",
                     request->out.text, "problem", json_bytes(request->problem), "since",
                     json_time(request->since_ns), "text", json_bytes(request->text));
}

json_t *
json_place(const struct varve_disc_place *place)
{
    return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o}", "barcode", place->barcode.text, "shelf",
                     json_bytes(place->shelf), "magazine", json_bytes(place->magazine), "site",
                     json_bytes(place->site), "who", json_bytes(place->who), "since",
                     json_time(place->since_ns));
}

json_t *
json_event(const struct varve_disc_event *event)
{
    return json_pack("{s:o, s:s, s:o, s:o}", "at", json_time(event->at_ns), "deed",
                     varve_disc_deed_name(event->deed), "who", json_bytes(event->who), "text",
                     json_bytes(event->text));
}
