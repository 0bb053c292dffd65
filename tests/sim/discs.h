/* discs.h - the physical side: which discs were damaged how (never beyond what parity replaces),
 * and what must always hold of discs and sets. */
#ifndef VARVE_TEST_SIM_DISCS_H
#define VARVE_TEST_SIM_DISCS_H

#include "model.h"

struct discs *discs_new(void);
void discs_free(struct discs *discs);

/* Deletes an image, or overwrites clusters of one, as far as the set can bear it. */
void damage_disc(struct sim *sim);
/* Exchanges two discs behind their barcodes, or puts them back. The engine must be closed. */
void swap_discs(struct sim *sim);
/* A set with a disc that is not as it should be; false: there is none. */
bool pick_degraded(struct sim *sim, struct varve_set_id *ret);
uint64_t count_blanks(struct sim *sim);

/* INV-1, pieces of every content, discs of every set; nothing finished is ever written again. */
void discs_check(struct sim *sim);
/* Nothing runs: every disc is where it was put, and varve_engine_check has no findings but missing
 * discs. */
void discs_check_all(struct sim *sim);

#endif
