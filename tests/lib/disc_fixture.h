/* disc_fixture.h - small discs in memory for tests: identities, records, content, images as bytes.
 */
#ifndef VARVE_TESTS_DISC_FIXTURE_H
#define VARVE_TESTS_DISC_FIXTURE_H

#include <varve/disc.h>

/* "fixture", set 7; UUIDs from the index. */
struct varve_disc_identity
fixture_identity(uint32_t data_discs, uint32_t parity_discs, uint32_t index);
/* A record with plausible attributes; abort when out of memory. */
struct varve_record fixture_record(enum varve_record_type type, uint64_t ino, uint64_t size);
void fixture_name(struct varve_record *record, uint64_t parent, const char *name);
void fixture_add(struct varve_manifest *manifest, struct varve_record *record);
void
fixture_directory(struct varve_manifest *manifest, uint64_t ino, uint64_t parent, const char *name);
void fixture_file(struct varve_manifest *manifest, uint64_t ino, uint64_t parent, const char *name,
                  uint64_t bytes);
/* Content of record `record`: a pattern of record and offset. */
uint8_t fixture_byte(size_t record, uint64_t offset);
extern const struct varve_image_source fixture_source;

/* A whole image as bytes, and as a source that can be damaged. */
struct fixture_disc {
    uint8_t *bytes;
    uint64_t clusters;
    uint64_t bad_from, bad_to; /* clusters [from, to) fail to read */
    struct varve_cluster_source source;
};
/* Renders all clusters in ascending order. */
void fixture_render(struct varve_image *image, const struct varve_image_source *source,
                    struct fixture_disc *ret);
void fixture_disc_done(struct fixture_disc *disc);
static inline void
fixture_disc_cleanup(struct fixture_disc *disc)
{
    fixture_disc_done(disc);
}
#define FIXTURE_DISC __attribute__((cleanup(fixture_disc_cleanup))) struct fixture_disc

/* The file `path` of the image as libudfread sees it; false if it does not. */
bool fixture_udf_read(const struct fixture_disc *disc, const char *path, struct varve_buffer *ret);

/* Sparse text form of an image for tests/golden: one line per sector that is not zero, number and
 * base64. */
bool fixture_load_golden(const char *path, struct fixture_disc *ret);
void fixture_store_golden(const struct fixture_disc *disc, const char *path);

#endif
