/* SPDX-License-Identifier: Apache-2.0 */
#include <varve/types.h>

#include <string.h>

const char *
varve_tier_name(enum varve_tier tier)
{
    switch (tier) {
    case VARVE_TIER_NONE:
        return "none";
    case VARVE_TIER_SSD:
        return "ssd";
    case VARVE_TIER_HDD:
        return "hdd";
    }
    return "?";
}

bool
varve_tier_parse(const char *text, enum varve_tier *ret)
{
    for (int tier = VARVE_TIER_SSD; tier <= VARVE_TIER_HDD; tier++) {
        if (strcmp(varve_tier_name((enum varve_tier)tier), text) == 0) {
            *ret = (enum varve_tier)tier;
            return true;
        }
    }
    return false;
}

const char *
varve_state_name(enum varve_state state)
{
    static const char *const names[] = {"resident", "planned", "premigrated", "migrated"};
    return names[state];
}

/* A function that gives the word of each value of a list. */
#define NAMED(function, type, list, CASE)                                                          \
    const char *function(type value)                                                               \
    {                                                                                              \
        switch (value) {                                                                           \
            list(CASE)                                                                             \
        }                                                                                          \
        return "?";                                                                                \
    }

#define VARVE_SET_STATE_CASE(name, value, text)                                                    \
    case VARVE_SET_##name:                                                                         \
        return text;
NAMED(varve_set_state_name, enum varve_set_state, VARVE_SET_STATES, VARVE_SET_STATE_CASE)

#define VARVE_DISC_DEED_CASE(name, value, text)                                                    \
    case VARVE_DEED_##name:                                                                        \
        return text;
NAMED(varve_disc_deed_name, enum varve_disc_deed, VARVE_DISC_DEEDS, VARVE_DISC_DEED_CASE)

#define VARVE_DISC_STATE_CASE(name, value, text)                                                   \
    case VARVE_DISC_##name:                                                                        \
        return text;
NAMED(varve_disc_state_name, enum varve_disc_state, VARVE_DISC_STATES, VARVE_DISC_STATE_CASE)

#define VARVE_SERVICE_CASE(name, value, text)                                                      \
    case VARVE_SERVICE_##name:                                                                     \
        return text;
NAMED(varve_service_name, enum varve_service, VARVE_SERVICES, VARVE_SERVICE_CASE)

#define VARVE_INCIDENT_ACT_CASE(name, value, text)                                                 \
    case VARVE_INCIDENT_##name:                                                                    \
        return text;
NAMED(varve_incident_act_name, enum varve_incident_act, VARVE_INCIDENT_ACTS,
      VARVE_INCIDENT_ACT_CASE)

#define VARVE_VERDICT_CASE(name, value, text)                                                      \
    case VARVE_VERDICT_##name:                                                                     \
        return text;
NAMED(varve_verdict_name, enum varve_verdict, VARVE_VERDICTS, VARVE_VERDICT_CASE)

enum varve_state
varve_state_of(enum varve_phase phase, struct varve_place place)
{
    switch (phase) {
    case VARVE_PHASE_LIVE:
        return VARVE_STATE_RESIDENT;
    case VARVE_PHASE_FROZEN:
        return VARVE_STATE_PLANNED;
    case VARVE_PHASE_SEALED:
        break;
    }
    return place.tier == VARVE_TIER_NONE ? VARVE_STATE_MIGRATED : VARVE_STATE_PREMIGRATED;
}

bool
varve_barcode_make(const char *text, struct varve_barcode *ret)
{
    static const char allowed[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-.";
    size_t length = strnlen(text, VARVE_BARCODE_BYTES);
    if (length == 0 || length >= VARVE_BARCODE_BYTES || strspn(text, allowed) != length ||
        text[0] == '.')
        return false;
    *ret = (struct varve_barcode){{0}};
    memcpy(ret->text, text, length);
    return true;
}

bool
varve_barcode_equal(const struct varve_barcode *a, const struct varve_barcode *b)
{
    return strcmp(a->text, b->text) == 0;
}
