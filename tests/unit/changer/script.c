/* SPDX-License-Identifier: Apache-2.0 */
/* A fault script is taken whole, or refused with one error that names its line and the word that is
 * wrong. */
#include "support.h"

#include "virtual_script.h"

#include <string.h>

static void
test_refusals(void **state)
{
    (void)state;
    static const struct {
        const char *text, *error;
    } cases[] = {
        {"explode", "line 1: 'explode' stands where 'on', 'now', 'quirk', 'no-quirk', "
                    "'random' or 'seed'"},
        {"# fine\n\non", "line 3: the line ends where 'changer' or 'drive' should follow"},
        {"on arm move: drop", "line 1: 'arm' stands where 'changer' or 'drive' should"},
        {"on drive 768 read: drop", "'768' stands where a number of at most 767 should"},
        {"on drive x read: drop", "'x' stands where a number of at most 767 should"},
        {"on drive 0 fly: drop", "'fly' stands where a command like write, move or 2Ah should"},
        {"on drive 0 1234h: drop", "'1234h' stands where a command"},
        {"on drive 0 read", "the line ends where a condition or ':' should follow"},
        {"on drive 0 read often: drop", "'often' stands where a condition or ':' should"},
        {"on drive 0 read:", "the line ends where an action should follow"},
        {"on drive 0 read: dance", "'dance' stands where an action should"},
        {"on drive 0 read: drop drop", "'drop' stands where ',' or the end of the line should"},
        {"on drive 0 read: drop,", "the line ends where an action should follow"},
        {"on drive 0 read lba 9..3: drop", "'9..3' stands where a number or a range A..B should"},
        {"on drive 0 read lba 4294967296: drop", "'4294967296' stands where a number or a range"},
        {"on changer move from 65536: drop", "'65536' stands where a number or a range"},
        {"on drive 0 read disc a/b: drop", "'a/b' stands where a bar code should"},
        {"on drive 0 read nth 0: drop", "0 is too few: counts begin with 1"},
        {"on drive 0 read chance 2/3: drop", "'2/3' stands where a chance of 1/1 to 1/1000000"},
        {"on drive 0 read chance 1/0: drop", "'1/0' stands where a chance"},
        {"on drive 0 read: sense 3/11", "'3/11' stands where sense like 3/0C/00 should"},
        {"on drive 0 read: sense 10/11/00", "'10/11/00' stands where sense like 3/0C/00 should"},
        {"on drive 0 read: sense 3/11/00 progress 65536", "'65536' stands where a number"},
        {"on drive 0 read: delay soon", "'soon' stands where a duration like 500ms"},
        {"on changer move: misplace here", "'here' stands where a number of at most 65535"},
        {"now drop", "'drop' stands where something that can happen by itself should"},
        {"now swap 1 ", "the line ends where a number of at most 65535 should follow"},
        {"now attention changer 28", "'28' stands where a condition like 28/00 should"},
        {"now defect A 1..2 big", "'big' stands where hard, soft, slow or write should"},
        {"now trouble A bad", "'bad' stands where none, dirty, reversed or unseen should"},
        {"quirk strange", "'strange' stands where the name of a quirk should"},
        {"quirk tur-busy drive", "the line ends where a number of at most 767 should follow"},
        {"random often", "'often' stands where a chance of 1/1 to 1/1000000 should"},
        {"random 1/5 please", "'please' stands where the end of the line should"},
        {"seed x", "'x' stands where a number"},
        {"seed 1 2", "'2' stands where the end of the line should"},
        {"on drive 0 read: drop, drop, drop, drop, drop, drop, drop", "more than 6 actions"},
        {"now \x01", "character 01h is not allowed"},
        {"now \xc3\xa4", "character C3h is not allowed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct varve_error err = {0};
        if (varve_virtual_script_check(cases[i].text, strlen(cases[i].text), &err))
            fail_msg("taken: %s", cases[i].text);
        assert_int_equal(err.kind, VARVE_ERROR_INVALID);
        if (strstr(err.text, "fault script, line ") != err.text ||
            strstr(err.text, cases[i].error) == NULL)
            fail_msg("%s: %s", cases[i].text, err.text);
    }
}

static void
test_lengths(void **state)
{
    (void)state;
    struct varve_error err = {0};
    char *text = malloc(2u << 20);
    assert_non_null(text);
    memset(text, ' ', 2u << 20);
    assert_false(varve_virtual_script_check(text, 2u << 20, &err));
    assert_non_null(strstr(err.text, "more than 1048576 bytes"));
    assert_false(varve_virtual_script_check(text, 1001, &err));
    assert_non_null(strstr(err.text, "line 1: longer than 1000 characters"));
    for (size_t i = 0; i < 130; i++)
        text[i] = i % 2 == 0 ? 'x' : ' ';
    assert_false(varve_virtual_script_check(text, 130, &err));
    assert_non_null(strstr(err.text, "more than 64 words"));
    for (size_t i = 0; i < 4097; i++)
        memcpy(text + i * 7, "seed 1\n", 7);
    assert_true(varve_virtual_script_check(text, (size_t)4096 * 7, &err));
    assert_false(varve_virtual_script_check(text, (size_t)4097 * 7, &err));
    assert_non_null(strstr(err.text, "line 4097: more than 4096 lines that say something"));
    free(text);
}

static struct virtual_script
parse(const char *text)
{
    struct varve_error err = {0};
    struct virtual_script script = {0};
    EXPECT_OK(virtual_script_parse(text, strlen(text), &script, &err), err);
    return script;
}

static void
test_meaning(void **state)
{
    (void)state;
    struct virtual_script script =
        parse("# a comment\n"
              "on drive any write lba 3200..6399 disc VRV00001 nth 3 times 2 after: "
              "delay 1.5s , sense 3/0c/0A deferred info 3200\r\n"
              "on changer move from 1024 every 4: stick\n"
              "on changer a5h to 256..257 always: sense 2/04/01 progress 100\n"
              "on drive 2 any chance 1/1000: busy\n"
              "now door-open, swap 1024 1025, put X-1 16, label X-1 none\n"
              "quirk tur-busy drive 1 # late\n"
              "seed 77");
    assert_int_equal(script.count, 7);
    const struct virtual_rule *rule = &script.lines[0].rule;
    assert_int_equal(rule->line, 2);
    assert_int_equal(rule->device, VIRTUAL_DEVICE_ANY_DRIVE);
    assert_int_equal(rule->opcode_count, 3);
    assert_int_equal(rule->opcodes[0], 0x2a);
    assert_true(rule->has_sectors && rule->sector_first == 3200 && rule->sector_last == 6399);
    assert_string_equal(rule->disc.text, "VRV00001");
    assert_true(rule->nth == 3 && rule->times == 2 && rule->after);
    assert_int_equal(rule->action_count, 2);
    assert_int_equal(rule->actions[0].verb, VIRTUAL_VERB_DELAY);
    assert_int_equal(rule->actions[0].ns, 1500000000);
    const struct virtual_sense *sense = &rule->actions[1].sense;
    assert_true(sense->key == 3 && sense->asc == 0x0c && sense->ascq == 0x0a && sense->deferred);
    assert_true(sense->has_information && sense->information == 3200 && !sense->has_progress);
    rule = &script.lines[1].rule;
    assert_true(rule->device == VIRTUAL_DEVICE_CHANGER && rule->every == 4 && rule->times == 0);
    assert_true(rule->has_elements && rule->end == VIRTUAL_FROM && rule->element_last == 1024);
    rule = &script.lines[2].rule;
    assert_true(rule->opcode_count == 1 && rule->opcodes[0] == 0xa5 && rule->times == 0);
    assert_true(rule->end == VIRTUAL_TO && rule->element_last == 257);
    assert_true(rule->actions[0].sense.has_progress && rule->actions[0].sense.progress == 100);
    rule = &script.lines[3].rule;
    assert_true(rule->device == 3 && rule->opcode_count == 0 && rule->chance == 1000);
    rule = &script.lines[4].rule;
    assert_int_equal(script.lines[4].kind, VIRTUAL_LINE_NOW);
    assert_int_equal(rule->action_count, 4);
    assert_true(rule->actions[1].element[0] == 1024 && rule->actions[1].element[1] == 1025);
    assert_string_equal(rule->actions[2].disc.text, "X-1");
    assert_string_equal(rule->actions[3].label.text, "");
    assert_int_equal(script.lines[5].rule.actions[0].word, VARVE_VIRTUAL_TUR_BUSY);
    assert_int_equal(script.lines[5].rule.actions[0].device, 2);
    assert_true(script.lines[6].kind == VIRTUAL_LINE_SEED && script.lines[6].seed == 77);
    virtual_script_done(&script);
}

/* Each verb and each quirk can be written, and is read as itself. */
static void
test_all_words(void **state)
{
    (void)state;
    static const struct {
        const char *verb, *text;
    } cases[] = {
#define ARGUMENTS_                                                                                 \
    {"s", "2/04/01"}, {"t", "1s"}, {"n", "3"}, {"e", "1024"}, {"ee", "1024 1025"}, {"be", "A 16"}, \
        {"bl", "A B"}, {"ec", "1024 83/02"}, {"xc", "drive 0 28/00"}, {"x", "changer"},            \
        {"d", "0"}, {"dd", "0 1"}, {"bp", "A dirty"}, {"brk", "A 1..2 hard"}, {"q", "no-dvcid"},   \
        {"", ""},
        ARGUMENTS_
#undef ARGUMENTS_
    };
#define X(name, word, follows) {word, follows},
    static const char *const verbs[][2] = {VIRTUAL_VERBS(X)};
#undef X
    for (unsigned i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        const char *arguments = NULL;
        char line[200];
        for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
            arguments = strcmp(cases[k].verb, verbs[i][1]) == 0 ? cases[k].text : arguments;
        assert_non_null(arguments);
        (void)snprintf(line, sizeof line, "on changer any: %s %s", verbs[i][0], arguments);
        struct virtual_script script = parse(line);
        assert_int_equal(script.lines[0].rule.actions[0].verb, i);
        assert_string_equal(virtual_verb_word((enum virtual_verb)i), verbs[i][0]);
        virtual_script_done(&script);
    }
    for (unsigned i = 0; i < VARVE_VIRTUAL_QUIRK_COUNT; i++) {
        char line[100];
        (void)snprintf(line, sizeof line, "quirk %s",
                       varve_virtual_quirk_name((enum varve_virtual_quirk)i));
        struct virtual_script script = parse(line);
        assert_int_equal(script.lines[0].rule.actions[0].word, i);
        assert_true(strlen(varve_virtual_quirk_text((enum varve_virtual_quirk)i)) > 10);
        virtual_script_done(&script);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_meaning),
        cmocka_unit_test(test_all_words),
    };
    return cmocka_run_group_tests_name("script", tests, NULL, NULL);
}
