/* statements.h - every statement that the write connection runs, in one list. Prepared once at
 * open (which also finds a catalog that lacks a table), reset after each use. */
#ifndef VARVE_CATALOG_STATEMENTS_H
#define VARVE_CATALOG_STATEMENTS_H

#define INODE_COLUMNS                                                                              \
    "i.ino, i.mode, i.uid, i.gid, i.nlink, i.rdev, i.size, i.atime_ns, i.mtime_ns, i.ctime_ns, "   \
    "i.btime_ns, i.content, i.heat, i.heat_ns, i.opens, i.pinned_until_ns, i.recorded_ctime_ns, "  \
    "i.blocks"
#define INODE_COLUMN_COUNT 18
#define CONTENT_COLUMNS                                                                            \
    "id, ino, version, size, mtime_ns, phase, tier, path_id, file, is_current, unsynced, "         \
    "head_tier, "                                                                                  \
    "head_path_id, head_file, head_bytes"
#define PIECE_COLUMNS "content, set_id, disc_index, part, start, bytes, lba, digest"
#define REQUEST_COLUMNS "content, rule, n, m, since_ns"
#define SET_COLUMNS "id, uuid, data_discs, parity_discs, clusters, state, created_ns, sealed_ns"
#define DISC_COLUMNS                                                                               \
    "barcode, library, state, set_id, disc_index, uuid, capacity_clusters, clusters, burned_ns, "  \
    "verified_ns, bad_clusters, place"

/* CROSS JOIN and INDEXED BY: without statistics the planner may start from the wrong side. */
#define CATALOG_STATEMENTS(X)                                                                      \
    X(BEGIN, "BEGIN IMMEDIATE")                                                                    \
    X(COMMIT, "COMMIT")                                                                            \
    X(UNIT, "SAVEPOINT unit")                                                                      \
    X(UNIT_KEEP, "RELEASE unit")                                                                   \
    X(UNIT_UNDO, "ROLLBACK TO unit")                                                               \
    X(NUMBER_GET, "SELECT next FROM number WHERE kind = ?1")                                       \
    X(NUMBER_PUT, "UPDATE number SET next = ?2 WHERE kind = ?1")                                   \
    X(SETTING_GET, "SELECT value FROM setting WHERE key = ?1")                                     \
    X(SETTING_PUT, "INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")     \
    X(TIER_PATH_GET, "SELECT id FROM tier_path WHERE tier = ?1 AND path = ?2")                     \
    X(TIER_PATH_INSERT, "INSERT INTO tier_path (tier, path) VALUES (?1, ?2)")                      \
    X(INODE_GET, "SELECT " INODE_COLUMNS " FROM inode i WHERE i.ino = ?1")                         \
    X(INODE_INSERT, "INSERT INTO inode VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12," \
                    " ?13, ?14, ?15, ?16, ?17, ?18)")                                              \
    X(INODE_UPDATE,                                                                                \
      "UPDATE inode SET mode = ?2, uid = ?3, gid = ?4, nlink = ?5, rdev = ?6, size = ?7,"          \
      " atime_ns = ?8, mtime_ns = ?9, ctime_ns = ?10, btime_ns = ?11, content = ?12, heat = ?13,"  \
      " heat_ns = ?14, opens = ?15, pinned_until_ns = ?16, recorded_ctime_ns = ?17,"               \
      " blocks = ?18 WHERE ino = ?1")                                                              \
    X(INODE_DELETE, "DELETE FROM inode WHERE ino = ?1")                                            \
    X(INODE_ORPHANS, "SELECT ino FROM inode INDEXED BY inode_orphan WHERE nlink = 0 AND ino > ?1"  \
                     " ORDER BY ino")                                                              \
    X(INODES, "SELECT " INODE_COLUMNS " FROM inode i WHERE i.ino > ?1 ORDER BY i.ino")             \
    X(LOOKUP, "SELECT d.id, d.parent, d.name, " INODE_COLUMNS ", d.ino FROM dentry d"              \
              " LEFT JOIN inode i ON i.ino = d.ino WHERE d.parent = ?1 AND d.name = ?2")           \
    X(DENTRY_INSERT, "INSERT INTO dentry VALUES (?1, ?2, ?3, ?4)")                                 \
    X(DENTRY_DELETE, "DELETE FROM dentry WHERE parent = ?1 AND name = ?2")                         \
    X(READDIR, "SELECT d.id, d.parent, d.name, " INODE_COLUMNS " FROM dentry d"                    \
               " INDEXED BY dentry_parent CROSS JOIN inode i ON i.ino = d.ino"                     \
               " WHERE d.parent = ?1 AND d.id > ?2 ORDER BY d.id")                                 \
    X(DIR_EMPTY, "SELECT 1 FROM dentry INDEXED BY dentry_parent WHERE parent = ?1 LIMIT 1")        \
    X(NAMES, "SELECT d.id, d.parent, d.name, " INODE_COLUMNS " FROM dentry d"                      \
             " INDEXED BY dentry_ino CROSS JOIN inode i ON i.ino = d.ino"                          \
             " WHERE d.ino = ?1 AND d.id > ?2 ORDER BY d.id")                                      \
    X(OLDEST_NAME, "SELECT parent, name FROM dentry INDEXED BY dentry_ino WHERE ino = ?1"          \
                   " ORDER BY id LIMIT 1")                                                         \
    X(SYMLINK_GET, "SELECT target FROM symlink WHERE ino = ?1")                                    \
    X(SYMLINK_PUT, "INSERT INTO symlink VALUES (?1, ?2) ON CONFLICT DO UPDATE SET target = ?2")    \
    X(SYMLINK_DELETE, "DELETE FROM symlink WHERE ino = ?1")                                        \
    X(XATTR_GET, "SELECT value FROM xattr WHERE ino = ?1 AND name = ?2")                           \
    X(XATTR_PUT, "INSERT INTO xattr VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = ?3")     \
    X(XATTR_DELETE, "DELETE FROM xattr WHERE ino = ?1 AND name = ?2")                              \
    X(XATTR_DELETE_ALL, "DELETE FROM xattr WHERE ino = ?1")                                        \
    X(XATTR_NAMES, "SELECT name FROM xattr WHERE ino = ?1 ORDER BY name")                          \
    X(CONTENT_GET, "SELECT " CONTENT_COLUMNS " FROM content WHERE id = ?1")                        \
    X(CONTENT_INSERT, "INSERT INTO content VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10,"       \
                      " ?11, ?12, ?13, ?14, ?15)")                                                 \
    X(CONTENT_UPDATE, "UPDATE content SET ino = ?2, version = ?3, size = ?4, mtime_ns = ?5,"       \
                      " phase = ?6, tier = ?7, path_id = ?8, file = ?9, is_current = ?10,"         \
                      " unsynced = ?11, head_tier = ?12, head_path_id = ?13, head_file = ?14,"     \
                      " head_bytes = ?15 WHERE id = ?1")                                           \
    X(CONTENT_DELETE, "DELETE FROM content WHERE id = ?1")                                         \
    X(CONTENT_PIECES_DELETE, "DELETE FROM piece WHERE content = ?1")                               \
    X(CONTENTS, "SELECT " CONTENT_COLUMNS " FROM content WHERE id > ?1 ORDER BY id")               \
    X(CONTENTS_RESIDENT, "SELECT " CONTENT_COLUMNS " FROM content INDEXED BY content_resident"     \
                         " WHERE tier <> 0 AND id > ?1 ORDER BY id")                               \
    X(CONTENTS_HEADS, "SELECT " CONTENT_COLUMNS " FROM content INDEXED BY content_head"            \
                      " WHERE head_tier <> 0 AND id > ?1 ORDER BY id")                             \
    X(PIECE_INSERT, "INSERT INTO piece (" PIECE_COLUMNS ")"                                        \
                    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                    \
    X(PIECE_DIGEST, "UPDATE piece SET digest = ?4 WHERE content = ?1 AND set_id = ?2"              \
                    " AND part = ?3")                                                              \
    X(PIECES, "SELECT " PIECE_COLUMNS " FROM piece WHERE content = ?1 ORDER BY set_id, part")      \
    X(SET_PIECES, "SELECT " PIECE_COLUMNS " FROM piece INDEXED BY piece_set WHERE set_id = ?1"     \
                  " AND (content, part) > (?2, ?3) ORDER BY content, part")                        \
    X(SET_PIECES_DELETE, "DELETE FROM piece WHERE set_id = ?1")                                    \
    X(REQUEST_PUT, "INSERT INTO request VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE"         \
                   " SET rule = ?2, n = ?3, m = ?4, since_ns = ?5")                                \
    X(REQUEST_DELETE, "DELETE FROM request WHERE content = ?1")                                    \
    X(REQUESTS, "SELECT " REQUEST_COLUMNS " FROM request WHERE content > ?1 ORDER BY content")     \
    X(SET_INSERT, "INSERT INTO discset (" SET_COLUMNS ")"                                          \
                  " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)")                                      \
    X(SET_GET, "SELECT " SET_COLUMNS " FROM discset WHERE id = ?1")                                \
    X(SET_UPDATE, "UPDATE discset SET uuid = ?2, data_discs = ?3, parity_discs = ?4,"              \
                  " clusters = ?5, state = ?6, created_ns = ?7, sealed_ns = ?8 WHERE id = ?1")     \
    X(SETS, "SELECT " SET_COLUMNS " FROM discset WHERE id > ?1 ORDER BY id")                       \
    X(DISC_PUT, "INSERT OR REPLACE INTO disc (" DISC_COLUMNS ")"                                   \
                " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)")                     \
    X(DISC_GET, "SELECT " DISC_COLUMNS " FROM disc WHERE barcode = ?1")                            \
    X(DISCS, "SELECT " DISC_COLUMNS " FROM disc WHERE barcode > ?1 ORDER BY barcode")              \
    X(SET_DISCS, "SELECT " DISC_COLUMNS " FROM disc WHERE set_id = ?1"                             \
                 " ORDER BY disc_index, barcode")                                                  \
    X(MOVE_BEGIN,                                                                                  \
      "INSERT INTO move (library, barcode, from_element, to_element, started_ns, done)"            \
      " VALUES (?1, ?2, ?3, ?4, ?5, 0)")                                                           \
    X(MOVE_DONE, "UPDATE move SET done = 1 WHERE id = ?1")                                         \
    X(MOVE_FORGET, "DELETE FROM move WHERE id <= ?1 AND done = 1")                                 \
    X(MOVES_OPEN, "SELECT id, library, barcode, from_element, to_element, started_ns, done"        \
                  " FROM move WHERE library = ?1 AND done = 0 ORDER BY id")                        \
    X(ELEMENT_PUT, "INSERT OR REPLACE INTO element (library, address, barcode, home, flags,"       \
                   " expected, inverted) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")                     \
    X(ELEMENTS, "SELECT library, address, barcode, home, flags, expected, inverted FROM element"   \
                " WHERE library = ?1 AND address > ?2 ORDER BY address")                           \
    X(UNRECORDED, "SELECT " INODE_COLUMNS ", c.phase FROM inode i INDEXED BY inode_unrecorded"     \
                  " LEFT JOIN content c ON c.id = i.content"                                       \
                  " WHERE i.ctime_ns > i.recorded_ctime_ns AND i.ino > ?1 ORDER BY i.ino")         \
    X(TOMBSTONE_PUT, "INSERT INTO tombstone VALUES (?1, ?2) ON CONFLICT DO NOTHING")               \
    X(TOMBSTONES, "SELECT ino, deleted_ns FROM tombstone WHERE ino > ?1 ORDER BY ino")             \
    X(TOMBSTONE_DELETE, "DELETE FROM tombstone WHERE ino = ?1")                                    \
    X(TOTALS, "SELECT kind, files, bytes FROM total")                                              \
    X(TOTALS_SETS, "SELECT state, count(*) FROM discset GROUP BY state")                           \
    X(TOTALS_DISCS, "SELECT state, count(*) FROM disc GROUP BY state")

enum catalog_sql {
#define X(name, text) SQL_##name,
    CATALOG_STATEMENTS(X)
#undef X
        SQL_COUNT
};

#endif
