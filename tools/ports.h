/* ports.h - the real world as the engine's ports: clock, randomness, and the libraries that the
 * configuration names. Made before the engine, done after it is closed; any thread in between. */
#ifndef VARVE_TOOLS_PORTS_H
#define VARVE_TOOLS_PORTS_H

#include <varve/engine.h>
#include <varve/ports.h>
#include <varve/virtual.h>

#define PORTS_LIBRARIES_MAX 64u

struct ports {
    struct varve_engine_ports engine; /* `context` is this struct: it must not move */
    pthread_mutex_t lock;             /* over what follows */
    struct {
        char *name;
        char *dir; /* of the drives of a manual library; NULL: a whole virtual library */
        struct varve_virtual *library;
        uint64_t media_bytes;
        struct varve_geometry geometry; /* the library's arm, until it copied that */
    } virtuals[PORTS_LIBRARIES_MAX];
    size_t count;
    struct {
        char *name; /* of the library, which may be opened several times until it is there */
        struct varve_trace *trace;
    } traces[PORTS_LIBRARIES_MAX];
    size_t trace_count;
};
void ports_init(struct ports *ports);
void ports_done(struct ports *ports);
static inline void
ports_done_cleanup(struct ports *ports)
{
    ports_done(ports);
}
#define VARVE_CLEANUP_PORTS __attribute__((cleanup(ports_done_cleanup)))

/* The virtual library of this name (NULL: the first one), open as long as the ports. NOT_FOUND: no
 * such virtual library is open. */
VARVE_MUST_CHECK bool ports_virtual(struct ports *ports, const char *name,
                                    struct varve_virtual **ret, struct varve_error *err);
/* Fresh blanks for it. `disc_bytes` 0: as the configuration says; `kind` NULL: of the kind that the
 * library was made with. */
VARVE_MUST_CHECK bool
ports_add_blanks(struct ports *ports, const char *name, unsigned count, uint64_t disc_bytes,
                 const char *kind, struct varve_error *err);

#endif
