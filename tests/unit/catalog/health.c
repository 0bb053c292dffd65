/* SPDX-License-Identifier: Apache-2.0 */
/* What is known of drives and discs comes back as it was written, and open incidents are never
 * forgotten. */
#include "fixture.h"

#include <varve/health.h>

static const struct varve_barcode disc_a = {"A"};
static const struct varve_barcode disc_b = {"B"};

static void
test_drive(void **state)
{
    struct fixture *f = *state;
    struct varve_drive_row got;
    MUST_FAIL(varve_catalog_drive_get(f->catalog, "main/S1", &got, &err), NOT_FOUND,
              "no drive 'main/S1' was ever seen");
    struct varve_drive_row drive = {.id = "main/S1",
                                    .library = "main",
                                    .number = 1,
                                    .model = "PIONEER BDR",
                                    .service = VARVE_SERVICE_QUARANTINED,
                                    .reason = "two discs failed in it",
                                    .since_ns = NOW_NS,
                                    .counters = {1, 2, 3, 4, 5, 6, 7}};
    MUST(varve_catalog_drive_put(f->catalog, &drive, &err));
    MUST(varve_catalog_sync(f->catalog, &err));
    MUST(varve_catalog_drive_get(f->catalog, "main/S1", &got, &err));
    assert_memory_equal(&got, &drive, sizeof got);
    drive.service = VARVE_SERVICE_IN;
    MUST(varve_catalog_drive_put(f->catalog, &drive, &err));
    MUST(varve_catalog_drive_get(f->catalog, "main/S1", &got, &err));
    assert_int_equal(got.service, VARVE_SERVICE_IN);
    drive.service = (enum varve_service)3;
    assert_false(varve_catalog_drive_put(f->catalog, &drive, &err));
}

static void
test_disc(void **state)
{
    struct fixture *f = *state;
    struct varve_health_counters got;
    const struct varve_health_counters counters = {7, 6, 5, 4, 3, 2, 1};
    MUST_FAIL(varve_catalog_disc_health_get(f->catalog, &disc_a, &got, &err), NOT_FOUND,
              "nothing is known of disc 'A'");
    MUST(varve_catalog_disc_health_put(f->catalog, &disc_a, &counters, &err));
    MUST(varve_catalog_disc_health_get(f->catalog, &disc_a, &got, &err));
    assert_memory_equal(&got, &counters, sizeof got);
}

static void
add(struct fixture *f, const char *drive, const struct varve_barcode *disc)
{
    struct varve_incident incident = {
        .at_ns = NOW_NS, .disc = *disc, .act = VARVE_INCIDENT_READ, .text = "3/11/00"};
    (void)snprintf(incident.drive, sizeof incident.drive, "%s", drive);
    MUST(varve_catalog_incident_add(f->catalog, &incident, &err));
}

static void
test_incidents(void **state)
{
    struct fixture *f = *state;
    struct varve_incident got[8];
    size_t count;
    add(f, "main/S1", &disc_a);
    add(f, "main/S2", &disc_a);
    add(f, "main/S1", &disc_b);
    MUST(varve_catalog_incidents(f->catalog, "main/S1", NULL, got, 8, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(got[0].disc.text, "B"); /* newest first */
    assert_int_equal(got[0].verdict, VARVE_VERDICT_OPEN);
    MUST(varve_catalog_incident_judge(f->catalog, got[0].id, VARVE_VERDICT_DISC, &err));
    MUST(varve_catalog_incidents(f->catalog, "main/S1", &disc_b, got, 8, &count, &err));
    assert_int_equal(count, 1);
    assert_int_equal(got[0].verdict, VARVE_VERDICT_DISC);
    MUST(varve_catalog_incidents(f->catalog, NULL, &disc_a, got, 8, &count, &err));
    assert_int_equal(count, 2);
    MUST(varve_catalog_incidents(f->catalog, NULL, NULL, got, 8, &count, &err));
    assert_int_equal(count, 3);
}

static void
test_old_ones_are_forgotten(void **state)
{
    struct fixture *f = *state;
    static struct varve_incident got[10010];
    size_t count;
    add(f, "main/S1", &disc_a); /* stays open */
    add(f, "main/S1", &disc_b);
    MUST(varve_catalog_incidents(f->catalog, NULL, &disc_b, got, 1, &count, &err));
    MUST(varve_catalog_incident_judge(f->catalog, got[0].id, VARVE_VERDICT_CLEARED, &err));
    for (int i = 0; i < 10001; i++)
        add(f, "main/S3", &disc_a);
    MUST(varve_catalog_incidents(f->catalog, "main/S1", NULL, got, 8, &count, &err));
    assert_int_equal(count, 1);
    assert_string_equal(got[0].disc.text, "A");
}

static void
test_names(void **state)
{
    (void)state;
    assert_string_equal(varve_service_name(VARVE_SERVICE_QUARANTINED), "quarantined");
    assert_string_equal(varve_incident_act_name(VARVE_INCIDENT_BURN), "burn");
    assert_string_equal(varve_verdict_name(VARVE_VERDICT_DRIVE), "drive");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(test_drive),     FIXTURE_TEST(test_disc),
        FIXTURE_TEST(test_incidents), FIXTURE_TEST(test_old_ones_are_forgotten),
        FIXTURE_TEST(test_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
