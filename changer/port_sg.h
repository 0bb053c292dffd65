/* port_sg.h - what an answer of the sg driver means; apart, so that tests need no hardware. */
#ifndef VARVE_CHANGER_PORT_SG_H
#define VARVE_CHANGER_PORT_SG_H

#include "port_internal.h"

#include <scsi/sg.h>

/* Pure. Fills the answer of `command`, or says why there is none. */
enum port_answer port_sg_judge(const struct sg_io_hdr *done, struct varve_scsi_command *command,
                               struct varve_error *err);

#endif
