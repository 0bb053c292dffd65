/* SPDX-License-Identifier: Apache-2.0 */
/* A port never sends a command twice, never talks to another device than the one it was opened for,
 * and tells its caller that the link was gone; one program and one host use a device. */
#include "support.h"

#include "port_internal.h"

#include <string.h>
#include <unistd.h>

/* --- a link made of wishes --- */

struct fake {
    bool connected, dead_when_idle, freed;
    unsigned connects, refused_connects, finds; /* so many attempts fail first */
    unsigned sent;                              /* commands but INQUIRY */
    const char *serial;
    enum port_answer next;
    const char *found_serial; /* what is there after find() */
    uint8_t type;
    bool knows_reserve, reserved_elsewhere, reset_next;
    unsigned reserves, releases, attentions; /* so many unit attentions come first */
};

static bool
fake_connect(void *link, struct varve_error *err)
{
    struct fake *fake = link;
    fake->connects++;
    if (fake->refused_connects > 0) {
        fake->refused_connects--;
        return varve_error_set(err, VARVE_ERROR_HARDWARE, 0, "nobody there");
    }
    fake->connected = true;
    return true;
}

static void
fake_disconnect(void *link)
{
    ((struct fake *)link)->connected = false;
}

static bool
fake_is_alive(void *link)
{
    struct fake *fake = link;
    bool alive = !fake->dead_when_idle;
    fake->dead_when_idle = false;
    return alive;
}

static void
fake_inquiry(const struct fake *fake, struct varve_scsi_command *command)
{
    memset(command->data, 0, command->data_bytes);
    if (command->cdb[2] == 0x80) {
        command->data[1] = 0x80;
        command->data[3] = (uint8_t)(strlen(fake->serial) + 2);
        memcpy(command->data + 4, "  ", 2); /* padded on the left, as tgt and others do */
        memcpy(command->data + 6, fake->serial, strlen(fake->serial));
        command->received_bytes = 6 + (uint32_t)strlen(fake->serial);
        return;
    }
    command->data[0] = fake->type;
    memcpy(command->data + 8, "VENDOR  PRODUCT         0001", 28);
    command->received_bytes = 36;
}

static void
fake_sense(struct varve_scsi_command *command, uint8_t key, uint8_t asc, uint8_t ascq)
{
    memset(command->sense, 0, 18);
    command->status = 2;
    command->sense[0] = 0x70;
    command->sense[2] = key;
    command->sense[7] = 10;
    command->sense[12] = asc;
    command->sense[13] = ascq;
    command->sense_bytes = 18;
}

static void
fake_reserve(struct fake *fake, struct varve_scsi_command *command)
{
    if (fake->attentions > 0) {
        fake->attentions--;
        fake_sense(command, 6, 0x29, 0);
    } else if (!fake->knows_reserve) {
        fake_sense(command, 5, 0x20, 0);
    } else if (fake->reserved_elsewhere) {
        command->status = 0x18;
    } else if (command->cdb[0] == 0x16) {
        fake->reserves++;
    } else {
        fake->releases++;
    }
}

static enum port_answer
fake_execute(void *link, struct varve_scsi_command *command, struct varve_error *err)
{
    struct fake *fake = link;
    assert_true(fake->connected);
    command->status = 0;
    if (command->cdb[0] == 0x12) {
        fake_inquiry(fake, command);
        return PORT_ANSWERED;
    }
    if (command->cdb[0] == 0x16 || command->cdb[0] == 0x17) {
        fake_reserve(fake, command);
        return PORT_ANSWERED;
    }
    fake->sent++;
    if (fake->reset_next) {
        fake->reset_next = false;
        fake_sense(command, 6, 0x29, 2);
        return PORT_ANSWERED;
    }
    enum port_answer answer = fake->next;
    fake->next = PORT_ANSWERED;
    if (answer != PORT_ANSWERED)
        (void)varve_error_set(
            err, answer == PORT_GONE ? VARVE_ERROR_HARDWARE : VARVE_ERROR_NOT_READY, 0, "silence");
    return answer;
}

static bool
fake_find(void *link, const char *serial)
{
    struct fake *fake = link;
    fake->finds++;
    assert_string_equal(serial, "SER1");
    if (fake->found_serial == NULL)
        return false;
    fake->serial = fake->found_serial;
    return true;
}

static void
fake_free(void *link)
{
    ((struct fake *)link)->freed = true;
}

static const struct port_link_ops fake_ops = {
    .connect = fake_connect,
    .disconnect = fake_disconnect,
    .is_alive = fake_is_alive,
    .execute = fake_execute,
    .find = fake_find,
    .free = fake_free,
    .forgets_on_timeout = true,
};

struct fixture {
    struct fake fake;
    struct varve_clock_sim clock;
    struct varve_scsi_port *port;
    struct varve_scsi_command command;
    struct varve_error err;
};

static int
setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    assert_non_null(f);
    varve_clock_sim_init(&f->clock, VARVE_NS_PER_SECOND);
    f->fake = (struct fake){.serial = "SER1", .type = 8};
    const struct varve_port_options options = {
        .peer = VARVE_PORT_CHANGER, .clock = &f->clock.clock, .look_only = true};
    EXPECT_OK(port_link_new(&fake_ops, &f->fake, "fake", &options, &f->port, &f->err), f->err);
    assert_int_equal(f->fake.connects, 1);
    *state = f;
    return 0;
}

static int
teardown(void **state)
{
    struct fixture *f = *state;
    f->port->close(f->port);
    assert_true(f->fake.freed);
    assert_false(f->fake.connected);
    free(f);
    return 0;
}

static bool
send(struct fixture *f, uint8_t opcode)
{
    f->command = (struct varve_scsi_command){.cdb = {opcode}, .cdb_bytes = 12, .timeout_ms = 1000};
    f->err = (struct varve_error){0};
    return f->port->execute(f->port, &f->command, &f->err);
}

static void
expect_nexus_loss(struct fixture *f)
{
    struct varve_scsi_sense sense;
    assert_int_equal(f->command.status, 2);
    varve_scsi_sense_decode(f->command.sense, f->command.sense_bytes, &sense);
    assert_true(sense.valid);
    assert_int_equal(sense.key, 6);
    assert_int_equal(sense.asc, 0x29);
    assert_int_equal(sense.ascq, 0x07);
}

/* A command that was lost is not sent again, and neither is the next one: first the caller hears
 * that the link was gone. */
static void
test_a_lost_command_is_not_repeated(void **state)
{
    struct fixture *f = *state;
    f->fake.next = PORT_GONE;
    assert_false(send(f, 0xa5));
    assert_string_equal(f->err.text, "fake: silence");
    assert_int_equal(f->err.kind, VARVE_ERROR_HARDWARE);
    assert_int_equal(f->fake.sent, 1);
    assert_false(f->fake.connected);
    assert_true(send(f, 0xa5));
    expect_nexus_loss(f);
    assert_int_equal(f->fake.sent, 1);
    assert_int_equal(f->fake.connects, 2);
    assert_true(send(f, 0xb8));
    assert_int_equal(f->command.status, 0);
    assert_int_equal(f->fake.sent, 2);
}

static void
test_a_link_that_dropped_while_idle(void **state)
{
    struct fixture *f = *state;
    f->fake.dead_when_idle = true;
    f->fake.refused_connects = 3;
    int64_t began = varve_clock_monotonic(&f->clock.clock);
    assert_true(send(f, 0x2a)); /* waits for the device to come back, and is not sent then */
    expect_nexus_loss(f);
    assert_int_equal(f->fake.sent, 0);
    assert_int_equal(f->fake.connects, 5);
    assert_true(varve_clock_monotonic(&f->clock.clock) > began);
}

/* INQUIRY tells nothing of a unit attention; it stays for the next command. */
static void
test_inquiry_leaves_the_news_pending(void **state)
{
    struct fixture *f = *state;
    uint8_t data[96];
    f->fake.dead_when_idle = true;
    f->command = (struct varve_scsi_command){.cdb = {0x12},
                                             .cdb_bytes = 6,
                                             .direction = VARVE_SCSI_FROM_DEVICE,
                                             .data = data,
                                             .data_bytes = sizeof data,
                                             .timeout_ms = 1000};
    assert_true(f->port->execute(f->port, &f->command, &f->err));
    assert_int_equal(f->command.status, 0);
    assert_true(send(f, 0x00));
    expect_nexus_loss(f);
}

static void
test_gone_for_good_waits_a_minute_once(void **state)
{
    struct fixture *f = *state;
    f->fake.next = PORT_GONE;
    f->fake.refused_connects = 100000;
    int64_t began = varve_clock_monotonic(&f->clock.clock);
    assert_false(send(f, 0xb8));
    assert_false(send(f, 0xb8));
    int64_t waited = varve_clock_monotonic(&f->clock.clock) - began;
    assert_true(waited >= 60 * VARVE_NS_PER_SECOND && waited < 63 * VARVE_NS_PER_SECOND);
    assert_int_equal(f->err.kind, VARVE_ERROR_HARDWARE);
    assert_string_equal(f->err.text,
                        "fake: VENDOR PRODUCT, serial number 'SER1', is gone since 61 s: nobody "
                        "there\nhint: look at power and cables of the device");
    unsigned attempts = f->fake.connects;
    assert_false(send(f, 0xb8)); /* later callers do not wait */
    assert_int_equal(f->fake.connects, attempts + 1);
    assert_int_equal(varve_clock_monotonic(&f->clock.clock) - began, waited);
    f->fake.refused_connects = 0; /* ... and one day it is back */
    assert_true(send(f, 0xb8));
    expect_nexus_loss(f);
}

/* Fault 16: the node now leads to another device; the right one is found by its serial number. */
static void
test_another_device_is_never_used(void **state)
{
    struct fixture *f = *state;
    f->fake.dead_when_idle = true;
    f->fake.serial = "SER2";
    assert_false(send(f, 0xa5));
    assert_string_equal(f->err.text,
                        "fake: VENDOR PRODUCT, serial number 'SER1', is gone since 61 s: another "
                        "device answers there: VENDOR PRODUCT, serial number 'SER2'\nhint: look at "
                        "power and cables of the device");
    assert_int_equal(f->fake.sent, 0);
    assert_true(f->fake.finds > 1);
    f->fake.found_serial = "SER1";
    assert_true(send(f, 0xa5));
    expect_nexus_loss(f);
    assert_int_equal(f->fake.sent, 0);
}

/* A time-out leaves the link; two in a row, or one of what writes, do not. */
static void
test_time_outs(void **state)
{
    struct fixture *f = *state;
    uint8_t data[512] = {0};
    f->fake.next = PORT_TIMED_OUT;
    assert_false(send(f, 0xa5));
    assert_int_equal(f->err.kind, VARVE_ERROR_NOT_READY);
    assert_true(f->fake.connected);
    assert_true(send(f, 0x00));
    assert_int_equal(f->command.status, 0);
    f->fake.next = PORT_TIMED_OUT;
    assert_false(send(f, 0xa5));
    f->fake.next = PORT_TIMED_OUT;
    assert_false(send(f, 0x00));
    assert_false(f->fake.connected);
    assert_true(send(f, 0x00));
    expect_nexus_loss(f);
    f->command = (struct varve_scsi_command){.cdb = {0x2a},
                                             .cdb_bytes = 10,
                                             .direction = VARVE_SCSI_TO_DEVICE,
                                             .data = data,
                                             .data_bytes = sizeof data,
                                             .timeout_ms = 1000};
    f->fake.next = PORT_TIMED_OUT;
    assert_false(f->port->execute(f->port, &f->command, &f->err));
    assert_false(f->fake.connected);
}

static void
test_wrong_type_is_refused(void **state)
{
    (void)state;
    struct fake fake = {.serial = "SER1", .type = 5};
    const struct varve_port_options options = {.peer = VARVE_PORT_CHANGER, .look_only = true};
    struct varve_scsi_port *port = NULL;
    struct varve_error err = {0};
    assert_false(port_link_new(&fake_ops, &fake, "fake", &options, &port, &err));
    assert_string_equal(err.text, "fake: VENDOR PRODUCT is no changer: its SCSI device type is 05h "
                                  "(optical drive)");
    assert_true(fake.freed);
    assert_false(fake.connected);
}

/* Fault 35. The serial number is that of this process, so that tests do not meet each other. */
static void
test_one_program_a_device(void **state)
{
    (void)state;
    char serial[32];
    (void)snprintf(serial, sizeof serial, "LOCK%d", (int)getpid());
    struct fake one = {.serial = serial, .type = 8}, two = one;
    const struct varve_port_options options = {0};
    struct varve_scsi_port *first = NULL, *second = NULL;
    struct varve_error err = {0};
    EXPECT_OK(port_link_new(&fake_ops, &one, "one", &options, &first, &err), err);
    assert_false(port_link_new(&fake_ops, &two, "two", &options, &second, &err));
    assert_int_equal(err.kind, VARVE_ERROR_BUSY);
    char expected[200];
    (void)snprintf(expected, sizeof expected,
                   "two: VENDOR/PRODUCT/%s is in use by process %d\nhint: one program drives a "
                   "changer: stop the other one first",
                   serial, (int)getpid());
    assert_string_equal(err.text, expected);
    const struct varve_port_options look = {.look_only = true};
    EXPECT_OK(port_link_new(&fake_ops, &two, "two", &look, &second, &err), err);
    second->close(second);
    first->close(first);
    EXPECT_OK(port_link_new(&fake_ops, &two, "two", &options, &second, &err), err);
    second->close(second);
}

/* ... and one host a changer, where the changer can tell. */
static void
test_one_host_a_changer(void **state)
{
    (void)state;
    char serial[32];
    (void)snprintf(serial, sizeof serial, "HOST%d", (int)getpid());
    struct fake fake = {.serial = serial, .type = 8, .knows_reserve = true, .attentions = 2};
    struct varve_clock_sim clock;
    varve_clock_sim_init(&clock, 0);
    const struct varve_port_options options = {.clock = &clock.clock};
    struct varve_scsi_command ready = {.cdb_bytes = 6, .timeout_ms = 1000};
    struct varve_scsi_port *port = NULL;
    struct varve_error err = {0};
    EXPECT_OK(port_link_new(&fake_ops, &fake, "one", &options, &port, &err), err);
    assert_int_equal(fake.reserves, 1);
    assert_true(port->execute(port, &ready, &err)); /* what came in between is told */
    assert_int_equal(ready.status, 2);
    assert_int_equal(ready.sense[2], 6);
    fake.dead_when_idle = true; /* a new nexus: reserved anew */
    assert_true(port->execute(port, &ready, &err));
    assert_int_equal(fake.reserves, 2);
    fake.next = PORT_ANSWERED;
    fake.reset_next = true; /* a reset takes it away */
    assert_true(port->execute(port, &ready, &err));
    assert_true(port->execute(port, &ready, &err));
    assert_int_equal(fake.reserves, 3);
    port->close(port);
    assert_int_equal(fake.releases, 1);

    fake.reserved_elsewhere = true;
    assert_false(port_link_new(&fake_ops, &fake, "one", &options, &port, &err));
    assert_int_equal(err.kind, VARVE_ERROR_BUSY);
    assert_string_equal(err.text, "one: another host has reserved it (status 18h)\nhint: one host "
                                  "drives a changer: stop the program on the other one");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_lost_command_is_not_repeated, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_link_that_dropped_while_idle, setup, teardown),
        cmocka_unit_test_setup_teardown(test_inquiry_leaves_the_news_pending, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_for_good_waits_a_minute_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_another_device_is_never_used, setup, teardown),
        cmocka_unit_test_setup_teardown(test_time_outs, setup, teardown),
        cmocka_unit_test(test_wrong_type_is_refused),
        cmocka_unit_test(test_one_program_a_device),
        cmocka_unit_test(test_one_host_a_changer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
