/* cdb.h - the beginnings that all commands have. Pure. */
#ifndef VARVE_CHANGER_CDB_H
#define VARVE_CHANGER_CDB_H

#include <varve/scsi.h>

static inline void
cdb_start(struct varve_scsi_command *ret, uint8_t opcode, uint8_t cdb_bytes)
{
    *ret = (struct varve_scsi_command){.cdb_bytes = cdb_bytes};
    ret->cdb[0] = opcode;
}

static inline void
cdb_expect(struct varve_scsi_command *ret, uint8_t *data, uint32_t bytes)
{
    ret->direction = VARVE_SCSI_FROM_DEVICE;
    ret->data = data;
    ret->data_bytes = bytes;
}

static inline void
cdb_send(struct varve_scsi_command *ret, uint8_t *data, uint32_t bytes)
{
    ret->direction = VARVE_SCSI_TO_DEVICE;
    ret->data = data;
    ret->data_bytes = bytes;
}

#endif
