/* virtual_show.h - the state of a virtual library for people, and the URLs of a library. One
 * thread. */
#ifndef VARVE_TOOLS_VIRTUAL_SHOW_H
#define VARVE_TOOLS_VIRTUAL_SHOW_H

#include "client.h"

/* Prints what varve_virtual_describe() tells. */
VARVE_MUST_CHECK bool virtual_show(const json_t *state, struct varve_error *err);
/* "/v1/libraries/NAME/ACT"; `name` NULL: the first library (verb_library.c). */
VARVE_MUST_CHECK bool library_url(struct client *client, const char *name, const char *act,
                                  char ret[512], struct varve_error *err);

#endif
