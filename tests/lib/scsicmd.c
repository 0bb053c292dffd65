/* SPDX-License-Identifier: Apache-2.0 */
/* scsicmd [--look] PLACE - sends commands to a device as they come on standard input, one a line:
 * "TIMEOUT_MS CDB [in BYTES]" (CDB in hexadecimal), and answers each by one line: "good BYTES",
 * "sense KEY/ASC/ASCQ", "status XX", or "silence TEXT". The first line is "open" or "error TEXT".
 */
#include <inttypes.h>
#include <string.h>
#include <varve/ports.h>

#define DATA_BYTES_MAX 65536u

static bool
parse(const char *line, struct varve_scsi_command *ret, uint8_t *data)
{
    char cdb[2 * VARVE_SCSI_CDB_BYTES + 1];
    unsigned timeout, bytes = 0;
    int words = sscanf(line, "%u %32[0-9a-f] in %u", &timeout, cdb, &bytes);
    *ret = (struct varve_scsi_command){.timeout_ms = timeout};
    if (words < 2 || strlen(cdb) % 2 != 0 || bytes > DATA_BYTES_MAX)
        return false;
    for (size_t i = 0; i < strlen(cdb) / 2; i++) {
        if (sscanf(cdb + 2 * i, "%2" SCNx8, &ret->cdb[i]) != 1)
            return false;
    }
    ret->cdb_bytes = (uint8_t)(strlen(cdb) / 2);
    ret->direction = bytes > 0 ? VARVE_SCSI_FROM_DEVICE : VARVE_SCSI_NO_DATA;
    ret->data = data;
    ret->data_bytes = bytes;
    return true;
}

static void
tell(const struct varve_scsi_command *command)
{
    struct varve_scsi_sense sense;
    varve_scsi_sense_decode(command->sense, command->sense_bytes, &sense);
    if (command->status == 0)
        printf("good %" PRIu32 "\n", command->received_bytes);
    else if (command->status == 2 && sense.valid)
        printf("sense %02x/%02x/%02x\n", sense.key, sense.asc, sense.ascq);
    else
        printf("status %02x\n", command->status);
}

int
main(int argc, char **argv)
{
    static uint8_t data[DATA_BYTES_MAX];
    bool look = argc == 3 && strcmp(argv[1], "--look") == 0;
    const struct varve_port_options options = {.look_only = look};
    struct varve_scsi_port *port = NULL;
    struct varve_error err = {0};
    char line[256];
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc != 2 && !look)
        return 2;
    if (!varve_port_open(argv[argc - 1], &options, &port, &err)) {
        printf("error %.*s\n", (int)strcspn(err.text, "\n"), err.text);
        return 1;
    }
    printf("open\n");
    while (fgets(line, sizeof line, stdin) != NULL) {
        struct varve_scsi_command command;
        err = (struct varve_error){0};
        if (!parse(line, &command, data))
            printf("what?\n");
        else if (port->execute(port, &command, &err))
            tell(&command);
        else
            printf("silence %.*s\n", (int)strcspn(err.text, "\n"), err.text);
    }
    port->close(port);
    return 0;
}
