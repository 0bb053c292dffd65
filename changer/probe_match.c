/* SPDX-License-Identifier: Apache-2.0 */
/* What a changer says of its drives, compared with what the drives say of themselves: pure. */
#include <varve/probe.h>

#include <string.h>
#include <strings.h>

const char *
varve_proof_name(enum varve_proof proof)
{
    switch (proof) {
    case VARVE_PROOF_NONE:
        return "none";
    case VARVE_PROOF_CUT:
        return "cut serial number";
    case VARVE_PROOF_SERIAL:
        return "serial number";
    case VARVE_PROOF_LOADED:
        return "load and look";
    }
    return "none";
}

bool
varve_proof_holds(enum varve_proof proof)
{
    return proof == VARVE_PROOF_SERIAL || proof == VARVE_PROOF_LOADED;
}

enum fit { FIT_NOT, FIT_CUT, FIT_WHOLE };

static const char *
skip_blanks(const char *text)
{
    while (*text == ' ')
        text++;
    return text;
}

/* Behind `field` at the start of `text`, if that is what it begins with; else `text`. */
static const char *
skip_field(const char *text, const char *field)
{
    size_t size = strlen(field);
    return size > 0 && strncmp(text, field, size) == 0 ? skip_blanks(text + size) : text;
}

/* A world wide name: "naa.6000..." of the kernel against the same digits. */
static bool
is_wwid(const char *id, const char *wwid)
{
    const char *digits = strchr(wwid, '.');
    return digits != NULL && digits[1] != 0 && strcasecmp(id, digits + 1) == 0;
}

#define SERIAL_ALONE_MIN 6u /* shorter ones may be anybody's */

/* Behind a bridge a drive has another vendor and product, but its own serial number. */
static bool
ends_in_serial(const char *id, const char *serial)
{
    size_t size = strlen(id), serial_size = strlen(serial);
    return serial_size >= SERIAL_ALONE_MIN && size > serial_size &&
           id[size - serial_size - 1] == ' ' && strcmp(id + size - serial_size, serial) == 0;
}

/* Units put vendor, product and serial number there (T10 vendor ID), or the serial number alone,
 * with blanks on either side of each; some cut it (SMC-3 6.10; reference 1.7, 4.1 a). */
static enum fit
fit(const char *id, const struct varve_probe_drive *drive)
{
    id = skip_blanks(id);
    if (id[0] == 0)
        return FIT_NOT;
    if (is_wwid(id, drive->wwid))
        return FIT_WHOLE;
    const char *serial = skip_blanks(drive->serial);
    if (serial[0] == 0)
        return FIT_NOT;
    if (strcmp(id, serial) == 0 || ends_in_serial(id, serial))
        return FIT_WHOLE;
    const char *behind_vendor = skip_field(id, drive->vendor);
    const char *rest = skip_field(behind_vendor, drive->product);
    bool named = behind_vendor != id && rest != behind_vendor;
    if (named && strcmp(rest, serial) == 0)
        return FIT_WHOLE;
    return named && rest[0] != 0 && strncmp(rest, serial, strlen(rest)) == 0 ? FIT_CUT : FIT_NOT;
}

static bool
is_taken(const struct varve_probe_element *elements, size_t count, size_t drive)
{
    for (size_t i = 0; i < count; i++) {
        if (elements[i].drive == (int)drive)
            return true;
    }
    return false;
}

struct table {
    struct varve_probe_element *elements;
    size_t element_count;
    const struct varve_probe_drive *drives;
    size_t drive_count;
};

/* The only free drive that fits element `at` so well, or -1; *ret_count tells how many do. */
static int
find_drive(const struct table *table, const struct varve_probe_element *at, enum fit wanted,
           unsigned *ret_count)
{
    int found = -1;
    *ret_count = 0;
    for (size_t i = 0; i < table->drive_count; i++) {
        if (fit(at->id, &table->drives[i]) != wanted ||
            is_taken(table->elements, table->element_count, i))
            continue;
        found = (int)i;
        ++*ret_count;
    }
    return *ret_count == 1 ? found : -1;
}

static unsigned
count_elements(const struct table *table, int drive, enum fit wanted)
{
    unsigned count = 0;
    for (size_t i = 0; i < table->element_count; i++) {
        if (table->elements[i].drive < 0 &&
            fit(table->elements[i].id, &table->drives[drive]) == wanted)
            count++;
    }
    return count;
}

/* An element and a drive that fit nobody else. Each pair leaves fewer for the rest. */
static void
match_pass(const struct table *table, enum fit wanted, enum varve_proof proof)
{
    bool again = true;
    while (again) { /* each turn but the last gives one element its drive */
        again = false;
        for (size_t i = 0; i < table->element_count && !again; i++) {
            struct varve_probe_element *element = &table->elements[i];
            unsigned fitting = 0;
            int drive = element->drive >= 0 ? -1 : find_drive(table, element, wanted, &fitting);
            if (drive < 0 || count_elements(table, drive, wanted) != 1)
                continue;
            element->drive = drive;
            element->proof = proof;
            again = true;
        }
    }
}

static void
say_why(const struct table *table, struct varve_probe_element *element)
{
    unsigned whole = 0, cut = 0;
    int drive = find_drive(table, element, FIT_WHOLE, &whole);
    (void)find_drive(table, element, FIT_CUT, &cut);
    if (element->id[0] == 0)
        (void)snprintf(element->why, sizeof element->why,
                       "the changer does not say which drive it is");
    else if (whole > 1)
        (void)snprintf(element->why, sizeof element->why,
                       "%u drives found have the serial number of '%s'", whole, element->id);
    else if (drive >= 0)
        (void)snprintf(element->why, sizeof element->why,
                       "the changer says '%s' of several elements", element->id);
    else if (cut > 0)
        (void)snprintf(element->why, sizeof element->why,
                       "the changer's answer is cut ('%s') and fits %u drives", element->id, cut);
    else
        (void)snprintf(element->why, sizeof element->why,
                       "the changer says '%s', and no drive found is that", element->id);
}

void
varve_probe_match(struct varve_probe_element *elements, size_t element_count,
                  const struct varve_probe_drive *drives, size_t drive_count)
{
    const struct table table = {elements, element_count, drives, drive_count};
    for (size_t i = 0; i < element_count; i++) {
        elements[i].drive = -1;
        elements[i].proof = VARVE_PROOF_NONE;
        elements[i].why[0] = 0;
    }
    match_pass(&table, FIT_WHOLE, VARVE_PROOF_SERIAL);
    match_pass(&table, FIT_CUT, VARVE_PROOF_CUT);
    for (size_t i = 0; i < element_count; i++) {
        struct varve_probe_element *element = &elements[i];
        if (element->drive < 0)
            say_why(&table, element);
        else if (!varve_proof_holds(element->proof))
            (void)snprintf(element->why, sizeof element->why,
                           "the changer's answer is cut ('%s'); no other drive fits", element->id);
    }
}
