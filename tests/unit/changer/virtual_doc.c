/* SPDX-License-Identifier: Apache-2.0 */
/* docs/virtual-library.md names every quirk, every action and every fault of the reference, and
 * each piece of fault script in it can be taken.
 *
 * usage: virtual_doc VIRTUAL_LIBRARY_MD */
#include "virtual_script.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <varve/file.h>

static unsigned wrong;

static void
complain(const char *what, const char *of)
{
    printf("%s: %s\n", what, of);
    wrong++;
}

static bool
is_there(const char *page, const char *word)
{
    size_t length = strlen(word);
    for (const char *at = strstr(page, word); at != NULL; at = strstr(at + 1, word)) {
        char before = at[-1], after = at[length];
        if (before == '`' && (after == '`' || after == ' '))
            return true;
    }
    return false;
}

static void
check_words(const char *page)
{
    for (unsigned i = 0; i < VARVE_VIRTUAL_QUIRK_COUNT; i++) {
        const char *name = varve_virtual_quirk_name((enum varve_virtual_quirk)i);
        if (!is_there(page, name))
            complain("no word of quirk", name);
    }
#define X(name, word, follows) word,
    static const char *const verbs[] = {VIRTUAL_VERBS(X)};
#undef X
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (!is_there(page, verbs[i]))
            complain("no word of action", verbs[i]);
    }
}

static bool
is_script(const char *text)
{
    static const char *const begins[] = {"on changer ", "on drive ", "now ", "quirk ", "seed "};
    bool shown = strstr(text, "NAME") == NULL && strstr(text, "DEVICE") == NULL;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++) {
        if (shown && strncmp(text, begins[i], strlen(begins[i])) == 0)
            return true;
    }
    return false;
}

/* What stands between backticks on one line. */
static unsigned
check_pieces(char *page)
{
    unsigned found = 0;
    for (char *line = strtok(page, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *open = strchr(line, '`');
        while (open != NULL) {
            char *close = strchr(open + 1, '`');
            if (close == NULL)
                break;
            *close = 0;
            struct varve_error err = {0};
            bool script = is_script(open + 1);
            found += script ? 1 : 0;
            if (script && !varve_virtual_script_check(open + 1, strlen(open + 1), &err))
                complain(open + 1, err.text);
            open = strchr(close + 1, '`');
        }
    }
    return found;
}

/* "| 8, 9 full but ...": the numbers of the reference, section 6. */
static void
check_faults(const char *page)
{
    bool told[39] = {false};
    const char *at = strstr(page, "## The 38 faults");
    const char *end = at != NULL ? strstr(at, "\n## Seeing") : NULL;
    for (; at != NULL && at < end; at++) {
        bool begins = (at[-1] == ' ' || at[-1] == '\n') && isdigit((unsigned char)*at);
        int number = begins ? atoi(at) : 0;
        size_t digits = begins ? strspn(at, "0123456789") : 0;
        if (number >= 1 && number <= 38 && strchr(", ", at[digits]) != NULL)
            told[number] = true;
    }
    for (int i = 1; i <= 38; i++) {
        char text[16];
        (void)snprintf(text, sizeof text, "%d", i);
        if (!told[i])
            complain("no word of fault", text);
    }
}

int
main(int argc, char **argv)
{
    VARVE_CLEANUP_BUFFER struct varve_buffer text = {0};
    struct varve_error err = {0};
    if (argc != 2 || !varve_file_read(argv[1], 1u << 20, &text, &err)) {
        printf("usage: virtual_doc VIRTUAL_LIBRARY_MD %s\n", err.text);
        return 2;
    }
    char *page = (char *)text.data;
    check_words(page);
    check_faults(page);
    if (check_pieces(page) < 40)
        complain("too few pieces of script", "in the page");
    return wrong > 0 ? 1 : 0;
}
