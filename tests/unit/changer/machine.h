/* machine.h - a virtual library of 6 slots, 2 mail slots, 2 drives and 4 MiB discs with its ports
 * open, for tests that look at single commands. One thread. */
#ifndef VARVE_TESTS_CHANGER_MACHINE_H
#define VARVE_TESTS_CHANGER_MACHINE_H

#include "support.h"

struct machine {
    char *dir;
    struct varve_clock_sim clock;
    struct varve_virtual *folder;
    struct varve_scsi_port *changer, *drive;
    struct test_answer answer;
    uint8_t data[65536]; /* a pattern */
};
#define CDB(...) ((const uint8_t[12]){__VA_ARGS__})

/* cmocka's setup and teardown; *state is the machine. The changer has settled. */
int machine_setup(void **state);
int machine_teardown(void **state);
/* 12 bytes of CDB; key << 16 | asc << 8 | ascq. */
uint32_t machine_send(struct machine *m, struct varve_scsi_port *port, const uint8_t *cdb);
/* TEST UNIT READY past attentions and spinning up; what then stays. */
uint32_t machine_settle(struct machine *m, struct varve_scsi_port *port);
/* Must be taken. */
void machine_script(struct machine *m, const char *text);
uint32_t machine_move(struct machine *m, uint16_t from, uint16_t to);
/* The disc of slot 1024 is ready in the drive. */
void machine_load(struct machine *m);
uint32_t machine_write(struct machine *m, uint32_t lba);
uint32_t machine_read(struct machine *m, uint32_t lba, uint8_t count);
/* READ ELEMENT STATUS with bar codes, as raw bytes; element 0 on. */
uint32_t machine_status(struct machine *m, uint8_t type, uint16_t count, uint8_t byte6);
const uint8_t *machine_descriptor(const struct machine *m, unsigned index);
/* Any command, with all that comes back. */
bool machine_execute(struct machine *m, struct varve_scsi_port *port,
                     struct varve_scsi_command *command, struct varve_error *err);

#endif
