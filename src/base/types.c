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

const char *
varve_set_state_name(enum varve_set_state state)
{
    switch (state) {
#define X(name, value, text)                                                                       \
    case VARVE_SET_##name:                                                                         \
        return text;
        VARVE_SET_STATES(X)
#undef X
    }
    return "?";
}

const char *
varve_disc_state_name(enum varve_disc_state state)
{
    switch (state) {
#define X(name, value, text)                                                                       \
    case VARVE_DISC_##name:                                                                        \
        return text;
        VARVE_DISC_STATES(X)
#undef X
    }
    return "?";
}

const char *
varve_service_name(enum varve_service service)
{
    switch (service) {
#define X(name, value, text)                                                                       \
    case VARVE_SERVICE_##name:                                                                     \
        return text;
        VARVE_SERVICES(X)
#undef X
    }
    return "?";
}

const char *
varve_incident_act_name(enum varve_incident_act act)
{
    switch (act) {
#define X(name, value, text)                                                                       \
    case VARVE_INCIDENT_##name:                                                                    \
        return text;
        VARVE_INCIDENT_ACTS(X)
#undef X
    }
    return "?";
}

const char *
varve_verdict_name(enum varve_verdict verdict)
{
    switch (verdict) {
#define X(name, value, text)                                                                       \
    case VARVE_VERDICT_##name:                                                                     \
        return text;
        VARVE_VERDICTS(X)
#undef X
    }
    return "?";
}

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
