/* SPDX-License-Identifier: Apache-2.0 */
#include "virtual_show.h"

#include "show.h"

static void
show_flag(struct table *table, const json_t *row, const char *key)
{
    table_cell(table, "%s", json_is_true(json_object_get(row, key)) ? "yes" : "-");
}

static const struct column drive_columns[] = {
    {"-DRIVE", "drive", show_number}, {"-ELEMENT", "element", show_number},
    {"SERIAL", "serial", show_text},  {"DISC", "disc", show_text},
    {"OPEN", "tray_open", show_flag}, {"HELD", "held", show_flag},
    {"LOCKED", "locked", show_flag},  {NULL, NULL, NULL},
};
static const struct column disc_columns[] = {
    {"-ELEMENT", "element", show_number},
    {"DISC", "barcode", show_text},
    {"LABEL", "label", show_text},
    {"KIND", "kind", show_text},
    {"-SECTORS", "capacity_sectors", show_number},
    {"WRITTEN", "written", show_flag},
    {"CLOSED", "closed", show_flag},
    {"GONE", "gone", show_flag},
    {"TROUBLE", "trouble", show_text},
    {NULL, NULL, NULL},
};
static const struct column magazine_columns[] = {
    {"-MAGAZINE", "magazine", show_number},
    {"-FIRST", "first", show_number},
    {"-SLOTS", "slots", show_number},
    {"OUT", "out", show_flag},
    {NULL, NULL, NULL},
};
static const struct column quirk_columns[] = {
    {"QUIRK", "quirk", show_text},
    {"-DRIVE", "drive", show_number},
    {"WHAT", "what", show_text},
    {NULL, NULL, NULL},
};
static const struct column rule_columns[] = {
    {"-LINE", "line", show_number},
    {"-SEEN", "seen", show_number},
    {"-FIRED", "fired", show_number},
    {"RULE", "rule", show_text},
    {NULL, NULL, NULL},
};

/* Nothing is printed of an empty list. */
static bool
show_part(const json_t *state, const char *key, const struct column *columns,
          struct varve_error *err)
{
    const json_t *rows = json_object_get(state, key);
    if (json_array_size(rows) == 0)
        return true;
    (void)printf("\n");
    return show_rows(rows, columns, "", err);
}

bool
virtual_show(const json_t *state, struct varve_error *err)
{
    (void)printf("library in %s: %llu slots, %llu mail slots, %s arm, door %s%s\n",
                 show_string(state, "folder"), (unsigned long long)show_integer(state, "slots"),
                 (unsigned long long)show_integer(state, "mail_slots"), show_string(state, "arm"),
                 show_string(state, "door"),
                 json_is_true(json_object_get(state, "door_locked")) ? " and locked" : "");
    return show_part(state, "drive_states", drive_columns, err) &&
           show_part(state, "magazines", magazine_columns, err) &&
           show_part(state, "discs", disc_columns, err) &&
           show_part(state, "quirks", quirk_columns, err) &&
           show_part(state, "rules", rule_columns, err);
}
