/* SPDX-License-Identifier: Apache-2.0 */
/* Reading elements from units that cut, repeat, garble and forget (reference, 1.5 and 4.1). */
#include "changer.h"

#include <string.h>

#define STATUS_BYTES 65536u
#define CHUNK 255u         /* elements asked for at once */
#define DESCRIPTOR_END 28u /* two headers and the least of a descriptor */
#define AGREE_MAX 6u       /* readings until two agree */
#define SINGLE_MAX 6u      /* ... of one element */

static void
list_cleanup(struct varve_smc_list *list)
{
    varve_smc_list_done(list);
}

/* What a unit refuses as an invalid field is left out from then on: first the identifiers, then
 * "from memory", at last the bar codes. Other errors are no sign of a missing feature. */
static bool
drop_option(struct varve_changer *changer, const struct varve_smc_status_request *request)
{
    bool *option = request->dvcid     ? &changer->no_dvcid
                   : request->curdata ? &changer->no_curdata
                   : request->voltag  ? &changer->no_voltag
                                      : NULL;
    if (option == NULL)
        return false;
    *option = true;
    return true;
}

static bool
read_status(struct varve_changer *changer, struct varve_smc_status_request *request,
            uint32_t *ret_bytes, struct varve_error *err)
{
    for (;;) {
        request->dvcid = request->type == VARVE_ELEMENT_DRIVE && !changer->no_dvcid;
        request->curdata = !changer->no_curdata && !changer->distrusted;
        request->voltag = !changer->no_voltag;
        struct varve_scsi_command command;
        varve_smc_encode_read_status(&command, request, changer->buffer, STATUS_BYTES);
        struct varve_error failed = {0};
        if (varve_scsi_run(&changer->device, &command, &failed)) {
            *ret_bytes = command.received_bytes;
            return true;
        }
        struct varve_scsi_sense sense;
        varve_scsi_sense_decode(command.sense, command.sense_bytes, &sense);
        if (!varve_scsi_is(&sense, 5, 0x24, 0x00) || !drop_option(changer, request)) {
            *err = failed;
            return false;
        }
    }
}

static int
compare_elements(const void *a, const void *b)
{
    const struct varve_element *x = &((const struct varve_smc_element *)a)->element;
    const struct varve_element *y = &((const struct varve_smc_element *)b)->element;
    if (x->type != y->type)
        return x->type < y->type ? -1 : 1;
    return (x->address > y->address) - (x->address < y->address);
}

/* Elements of one type whose address the mode page knows and that come at or after `start`, added
 * behind list->count (room for the whole type is there). Returns the address to go on from, or -1
 * when no more come. */
static int32_t
accept_chunk(const struct varve_smc_range *range, int32_t start,
             const struct varve_smc_element *from, size_t count, struct varve_smc_list *list)
{
    int32_t last = -1;
    size_t room = (size_t)(range->first + range->count - start);
    for (size_t i = 0; i < count && room > 0; i++) {
        int32_t address = from[i].element.address;
        /* Descending, repeated or foreign addresses are seen in the field: skip them. */
        if (address < start || address <= last || address >= range->first + range->count)
            continue;
        list->elements[list->count++] = from[i];
        last = address;
        room--;
    }
    return last < 0 ? -1 : last + 1;
}

/* The next address to read from after the answer in the buffer, or -1 at the end. */
static int32_t
take_answer(struct varve_changer *changer, enum varve_element_type type, int32_t start,
            uint32_t bytes, struct varve_smc_list *list)
{
    size_t max = STATUS_BYTES / 12;
    VARVE_CLEANUP_FREE struct varve_smc_element *fresh = calloc(max, sizeof *fresh);
    if (fresh == NULL)
        return -2;
    int32_t cut;
    size_t count = varve_smc_decode_elements(changer->buffer, bytes, type, fresh, max, &cut);
    int32_t next = accept_chunk(&changer->map.of[type], start, fresh, count, list);
    if (next >= 0 || cut < start)
        return next; /* what was cut comes next, since `next` follows the last whole one */
    /* Cut even as the first of an answer: it is there, only its label stays unknown. */
    return accept_chunk(&changer->map.of[type], start, fresh + count, 1, list);
}

/* One element from its own answer; *ret_found false: the unit does not report it. */
static bool
read_single(struct varve_changer *changer, enum varve_element_type type, uint16_t address,
            struct varve_smc_element *ret, bool *ret_found, struct varve_error *err)
{
    struct varve_smc_status_request request = {.type = type, .start = address, .count = 1};
    uint32_t bytes;
    *ret_found = false;
    if (!read_status(changer, &request, &bytes, err))
        return varve_error_wrap(err, "element %u", address);
    struct varve_smc_element found[CHUNK];
    int32_t cut;
    size_t count = varve_smc_decode_elements(changer->buffer, bytes, type, found, CHUNK - 1, &cut);
    if (cut == address)
        count++; /* all but the label of a cut one is known */
    for (size_t i = 0; i < count && !*ret_found; i++) {
        *ret_found = found[i].element.address == address;
        if (*ret_found)
            *ret = found[i];
    }
    if (!*ret_found && bytes >= DESCRIPTOR_END)
        changer->garbled = true;
    return true;
}

bool
varve_changer_element(struct varve_changer *changer, uint16_t address,
                      struct varve_smc_element *ret, struct varve_error *err)
{
    enum varve_element_type type;
    bool found;
    if (!varve_smc_type_of(&changer->map, address, &type))
        return varve_error_set(err, VARVE_ERROR_INVALID, 0, "no element has address %u", address);
    if (!read_single(changer, type, address, ret, &found, err))
        return false;
    return found ||
           varve_error_set(err, VARVE_ERROR_HARDWARE, 0,
                           "READ ELEMENT STATUS: element %u is not in the answer", address);
}

/* An answer with nothing new in it: the end of what is fitted, or a unit that counts wrongly. The
 * next element alone tells. */
static bool
step_over(struct varve_changer *changer, enum varve_element_type type, int32_t *at,
          struct varve_smc_list *list, struct varve_error *err)
{
    bool found;
    uint16_t address = (uint16_t)*at;
    if (!read_single(changer, type, address, &list->elements[list->count], &found, err))
        return false;
    list->count += found;
    *at = found ? *at + 1 : -1;
    return true;
}

static bool
read_type(struct varve_changer *changer, enum varve_element_type type, struct varve_smc_list *list,
          struct varve_error *err)
{
    const struct varve_smc_range *range = &changer->map.of[type];
    int32_t end = range->first + range->count;
    int32_t at = range->first;
    while (at >= 0 && at < end) {
        int32_t left = end - at;
        struct varve_smc_status_request request = {
            .type = type,
            .start = (uint16_t)at,
            .count = (uint16_t)(left < (int32_t)CHUNK ? left : (int32_t)CHUNK),
        };
        uint32_t bytes;
        if (!read_status(changer, &request, &bytes, err))
            return varve_error_wrap(err, "elements of type %u from %d", type, at);
        int32_t next = take_answer(changer, type, at, bytes, list);
        if (next == -2)
            return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read elements");
        if (next >= 0)
            at = next;
        else if (!step_over(changer, type, &at, list, err))
            return false;
    }
    return true;
}

static bool
same_element(const struct varve_smc_element *a, const struct varve_smc_element *b)
{
    const struct varve_element *x = &a->element;
    const struct varve_element *y = &b->element;
    return x->type == y->type && x->address == y->address && x->full == y->full &&
           x->exception == y->exception && varve_barcode_equal(&x->barcode, &y->barcode);
}

/* Reads it until it says the same twice; one that never does is out of use. */
static bool
read_patiently(struct varve_changer *changer, enum varve_element_type type, uint16_t address,
               struct varve_smc_list *list, struct varve_error *err)
{
    struct varve_smc_element before = {0};
    bool had = false;
    for (unsigned reading = 0; reading < SINGLE_MAX; reading++) {
        struct varve_smc_element now = {0};
        bool found;
        changer->garbled = false;
        if (!read_single(changer, type, address, &now, &found, err))
            return false;
        bool same = found == had && (found ? same_element(&before, &now) : !changer->garbled);
        if (reading > 0 && same) {
            if (found)
                list->elements[list->count++] = now;
            return true;
        }
        before = now;
        had = found;
    }
    list->elements[list->count++] = (struct varve_smc_element){
        .element = {
            .type = type, .address = address, .exception = true, .asc = VARVE_CHANGER_UNREADABLE}};
    return true;
}

static bool
read_type_singly(struct varve_changer *changer, enum varve_element_type type,
                 struct varve_smc_list *list, struct varve_error *err)
{
    const struct varve_smc_range *range = &changer->map.of[type];
    for (unsigned i = 0; i < range->count; i++) {
        if (!read_patiently(changer, type, (uint16_t)(range->first + i), list, err))
            return false;
    }
    return true;
}

static bool
read_all(struct varve_changer *changer, struct varve_smc_list *ret, struct varve_error *err)
{
    size_t total = 0;
    for (unsigned type = VARVE_ELEMENT_TRANSPORT; type <= VARVE_ELEMENT_DRIVE; type++)
        total += changer->map.of[type].count;
    __attribute__((cleanup(list_cleanup))) struct varve_smc_list list = {
        .elements = calloc(total + 1, sizeof *list.elements)};
    if (list.elements == NULL)
        return varve_error_set(err, VARVE_ERROR_NOMEM, 0, "read %zu elements", total);
    for (unsigned i = VARVE_ELEMENT_TRANSPORT; i <= VARVE_ELEMENT_DRIVE; i++) {
        enum varve_element_type type = (enum varve_element_type)i;
        bool ok = changer->one_by_one ? read_type_singly(changer, type, &list, err)
                                      : read_type(changer, type, &list, err);
        if (!ok)
            return false;
    }
    qsort(list.elements, list.count, sizeof *list.elements, compare_elements);
    *ret = list;
    list = (struct varve_smc_list){0};
    return true;
}

static bool
lists_agree(const struct varve_smc_list *a, const struct varve_smc_list *b)
{
    if (a->elements == NULL || a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++) {
        if (!same_element(&a->elements[i], &b->elements[i]))
            return false;
    }
    return true;
}

/* *ret_agreed false: no two readings in a row were the same and undisturbed. */
static bool
read_twice(struct varve_changer *changer, struct varve_smc_list *ret, bool *ret_agreed,
           struct varve_error *err)
{
    __attribute__((cleanup(list_cleanup))) struct varve_smc_list before = {0};
    for (unsigned reading = 0; reading < AGREE_MAX; reading++) {
        struct varve_smc_list now = {0};
        changer->device.attention = false;
        changer->garbled = false;
        if (!read_all(changer, &now, err)) {
            changer->device.attention = true; /* still not known */
            return false;
        }
        bool agreed = lists_agree(&before, &now) && !changer->device.attention && !changer->garbled;
        varve_smc_list_done(&before);
        before = now;
        if (agreed || changer->one_by_one) { /* then each element was read twice already */
            *ret_agreed = !changer->device.attention;
            *ret = before;
            before = (struct varve_smc_list){0};
            return true;
        }
    }
    *ret_agreed = false;
    return true;
}

bool
varve_changer_inventory(struct varve_changer *changer, struct varve_smc_list *ret,
                        struct varve_error *err)
{
    struct varve_smc_list list = {0};
    bool agreed = false;
    for (unsigned tries = 0; tries < 2 && !agreed; tries++) {
        varve_smc_list_done(&list);
        if (!read_twice(changer, &list, &agreed, err))
            return varve_error_wrap(err, "read the inventory");
        if (!agreed)
            changer->one_by_one = true; /* for good: a unit that garbles lists does it again */
    }
    if (agreed) {
        varve_smc_list_done(ret);
        *ret = list;
        return true;
    }
    varve_smc_list_done(&list);
    changer->device.attention = true;
    varve_error_set(err, VARVE_ERROR_NOT_READY, 0,
                    "read the inventory: %u readings in a row differ", AGREE_MAX);
    return varve_error_hint(err,
                            "does somebody work at library '%s', or another program use it? wait "
                            "until it is quiet",
                            changer->name);
}

void
varve_changer_look_again(struct varve_changer *changer, uint16_t address)
{
    static const uint8_t opcodes[] = {0x37, 0xe7};
    /* Never 07h: it counts the whole library, which takes up to an hour. */
    for (size_t i = 0; i < sizeof opcodes; i++) {
        struct varve_scsi_command command;
        struct varve_error ignored = {0};
        varve_smc_encode_initialize_range(&command, opcodes[i], address, 1);
        if (varve_scsi_run(&changer->device, &command, &ignored))
            return;
    }
}
