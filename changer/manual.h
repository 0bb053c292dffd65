/* manual.h - the functions of library.h for a library without a robot (manual.c). */
#ifndef VARVE_CHANGER_MANUAL_H
#define VARVE_CHANGER_MANUAL_H

#include "library_internal.h"

bool varve_manual_inventory(struct varve_library *library, struct varve_element **ret,
                            size_t *ret_count, struct varve_error *err);
bool varve_manual_load(struct varve_library *library, const struct varve_barcode *barcode,
                       unsigned drive, struct varve_error *err);
bool varve_manual_unload(struct varve_library *library, unsigned drive, struct varve_error *err);
/* There are no mail slots. */
bool varve_manual_refuse_mail(const struct varve_library *library, struct varve_error *err);
/* There is no door. */
bool varve_manual_refuse_door(const struct varve_library *library, struct varve_error *err);
void varve_manual_free(struct varve_library *library);

#endif
