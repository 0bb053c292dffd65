/* SPDX-License-Identifier: Apache-2.0 */
#include "catalog_internal.h"

/* Times are nanoseconds since 1970, enums the values of varve/types.h, names and paths bytes.
 *
 * Numbers of inodes, dentries, contents and backing files come from `number` (see commit.c), not
 * from AUTOINCREMENT: that would hand out a number again that was given away and lost in a crash.
 *
 * `total` is kept by triggers: `varve status` must not scan ten million rows, neither under the
 * lock nor every second beside it, and triggers undo themselves with the unit that fired them. They
 * cost about a microsecond each. kind 0 inodes, 1 directories, 2 requests, 16 + 3 * phase + tier
 * current contents.
 *
 * This is schema 1. A new catalog is made by it and all steps below, so that the steps that old
 * catalogs take when they are opened are the ones that every test runs. A step is never changed
 * once it is on main. */
static const char first_schema[] =
    "CREATE TABLE setting (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE TABLE number (kind INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT;"
    "INSERT INTO number VALUES (0, 2), (1, 1), (2, 1), (3, 1);"
    "CREATE TABLE total (kind INTEGER PRIMARY KEY, files INTEGER NOT NULL DEFAULT 0,"
    "  bytes INTEGER NOT NULL DEFAULT 0) STRICT;"
    "INSERT INTO total (kind) VALUES (0), (1), (2), (16), (17), (18), (19), (20), (21), (22), (23),"
    "  (24);"
    "CREATE TABLE tier_path (id INTEGER PRIMARY KEY, tier INTEGER NOT NULL, path BLOB NOT NULL,"
    "  UNIQUE (tier, path)) STRICT;"

    /* The namespace. */
    "CREATE TABLE inode (ino INTEGER PRIMARY KEY, mode INTEGER NOT NULL, uid INTEGER NOT NULL,"
    "  gid INTEGER NOT NULL, nlink INTEGER NOT NULL, rdev INTEGER NOT NULL, size INTEGER NOT NULL,"
    "  atime_ns INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
    "  btime_ns INTEGER NOT NULL, content INTEGER NOT NULL, heat REAL NOT NULL,"
    "  heat_ns INTEGER NOT NULL, opens INTEGER NOT NULL, pinned_until_ns INTEGER NOT NULL,"
    "  recorded_ctime_ns INTEGER NOT NULL) STRICT;"
    "CREATE INDEX inode_orphan ON inode (ino) WHERE nlink = 0;"
    "CREATE INDEX inode_unrecorded ON inode (ino) WHERE ctime_ns > recorded_ctime_ns;"
    "CREATE TABLE symlink (ino INTEGER PRIMARY KEY, target BLOB NOT NULL) STRICT;"
    "CREATE TABLE xattr (ino INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL,"
    "  PRIMARY KEY (ino, name)) STRICT, WITHOUT ROWID;"
    /* Both indexes end in the id, as every index does: readdir and names go by cookie. */
    "CREATE TABLE dentry (id INTEGER PRIMARY KEY, parent INTEGER NOT NULL, name BLOB NOT NULL,"
    "  ino INTEGER NOT NULL, UNIQUE (parent, name)) STRICT;"
    "CREATE INDEX dentry_parent ON dentry (parent);"
    "CREATE INDEX dentry_ino ON dentry (ino);"
    "CREATE TABLE tombstone (ino INTEGER PRIMARY KEY, deleted_ns INTEGER NOT NULL) STRICT;"

    /* Contents and where they lie. */
    "CREATE TABLE content (id INTEGER PRIMARY KEY, ino INTEGER NOT NULL, version INTEGER NOT NULL,"
    "  size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL,"
    "  phase INTEGER NOT NULL CHECK (phase BETWEEN 0 AND 2),"
    "  tier INTEGER NOT NULL CHECK (tier BETWEEN 0 AND 2), path_id INTEGER NOT NULL,"
    "  file INTEGER NOT NULL, is_current INTEGER NOT NULL) STRICT;"
    "CREATE INDEX content_resident ON content (id) WHERE tier <> 0;"
    "CREATE TABLE discset (id INTEGER PRIMARY KEY AUTOINCREMENT, uuid BLOB NOT NULL UNIQUE,"
    "  data_discs INTEGER NOT NULL, parity_discs INTEGER NOT NULL, clusters INTEGER NOT NULL,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4), created_ns INTEGER NOT NULL,"
    "  sealed_ns INTEGER NOT NULL) STRICT;"
    "CREATE TABLE piece (content INTEGER NOT NULL REFERENCES content (id),"
    "  set_id INTEGER NOT NULL REFERENCES discset (id), part INTEGER NOT NULL,"
    "  disc_index INTEGER NOT NULL, start INTEGER NOT NULL, bytes INTEGER NOT NULL,"
    "  lba INTEGER NOT NULL, digest BLOB, PRIMARY KEY (content, set_id, part))"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX piece_set ON piece (set_id, content, part);"
    "CREATE TABLE request (content INTEGER PRIMARY KEY REFERENCES content (id),"
    "  rule TEXT NOT NULL, n INTEGER NOT NULL, m INTEGER NOT NULL, since_ns INTEGER NOT NULL)"
    "  STRICT;"
    "CREATE TABLE disc (barcode TEXT PRIMARY KEY, library TEXT NOT NULL,"
    "  state INTEGER NOT NULL CHECK (state BETWEEN 0 AND 9),"
    "  set_id INTEGER REFERENCES discset (id), disc_index INTEGER NOT NULL, uuid BLOB NOT NULL,"
    "  capacity_clusters INTEGER NOT NULL, clusters INTEGER NOT NULL, burned_ns INTEGER NOT NULL,"
    "  verified_ns INTEGER NOT NULL, bad_clusters INTEGER NOT NULL, place TEXT NOT NULL)"
    "  STRICT, WITHOUT ROWID;"
    "CREATE INDEX disc_set ON disc (set_id, disc_index, barcode);"
    "CREATE TABLE move (id INTEGER PRIMARY KEY AUTOINCREMENT, library TEXT NOT NULL,"
    "  barcode TEXT NOT NULL, from_element INTEGER NOT NULL, to_element INTEGER NOT NULL,"
    "  started_ns INTEGER NOT NULL, done INTEGER NOT NULL) STRICT;"
    "CREATE INDEX move_open ON move (library) WHERE done = 0;"

    /* Totals. A directory counts in kinds 0 and 1, anything else in kind 0: kind <= (is it one). */
    "CREATE TRIGGER inode_added AFTER INSERT ON inode BEGIN"
    "  UPDATE total SET files = files + 1 WHERE kind <= ((NEW.mode & 61440) = 16384); END;"
    "CREATE TRIGGER inode_removed AFTER DELETE ON inode BEGIN"
    "  UPDATE total SET files = files - 1 WHERE kind <= ((OLD.mode & 61440) = 16384); END;"
    "CREATE TRIGGER content_added AFTER INSERT ON content WHEN NEW.is_current BEGIN"
    "  UPDATE total SET files = files + 1, bytes = bytes + NEW.size"
    "    WHERE kind = 16 + 3 * NEW.phase + NEW.tier; END;"
    "CREATE TRIGGER content_removed AFTER DELETE ON content WHEN OLD.is_current BEGIN"
    "  UPDATE total SET files = files - 1, bytes = bytes - OLD.size"
    "    WHERE kind = 16 + 3 * OLD.phase + OLD.tier; END;"
    "CREATE TRIGGER content_changed AFTER UPDATE OF size, phase, tier, is_current ON content"
    "  WHEN OLD.size <> NEW.size OR OLD.phase <> NEW.phase OR OLD.tier <> NEW.tier"
    "    OR OLD.is_current <> NEW.is_current BEGIN"
    "  UPDATE total SET files = files - 1, bytes = bytes - OLD.size"
    "    WHERE OLD.is_current AND kind = 16 + 3 * OLD.phase + OLD.tier;"
    "  UPDATE total SET files = files + 1, bytes = bytes + NEW.size"
    "    WHERE NEW.is_current AND kind = 16 + 3 * NEW.phase + NEW.tier;"
    "  UPDATE total SET bytes = bytes + NEW.size - OLD.size WHERE kind = 2"
    "    AND OLD.size <> NEW.size AND EXISTS (SELECT 1 FROM request WHERE content = NEW.id); END;"
    "CREATE TRIGGER request_added AFTER INSERT ON request BEGIN"
    "  UPDATE total SET files = files + 1,"
    "    bytes = bytes + (SELECT size FROM content WHERE id = NEW.content) WHERE kind = 2; END;"
    "CREATE TRIGGER request_removed AFTER DELETE ON request BEGIN"
    "  UPDATE total SET files = files - 1,"
    "    bytes = bytes - (SELECT size FROM content WHERE id = OLD.content) WHERE kind = 2; END;";

/* To schema 2: what a file takes on its tier; heads of files that are on discs only; which backing
 * files a power cut may take. Kind 3 of `total` counts heads. */
static const char to_schema_2[] =
    "ALTER TABLE inode ADD COLUMN blocks INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE content ADD COLUMN unsynced INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE content ADD COLUMN head_tier INTEGER NOT NULL DEFAULT 0"
    "  CHECK (head_tier BETWEEN 0 AND 2);"
    "ALTER TABLE content ADD COLUMN head_path_id INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE content ADD COLUMN head_file INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE content ADD COLUMN head_bytes INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX content_head ON content (id) WHERE head_tier <> 0;"
    "INSERT INTO total (kind) VALUES (3);"
    "CREATE TRIGGER head_added AFTER INSERT ON content WHEN NEW.head_tier <> 0 BEGIN"
    "  UPDATE total SET files = files + 1, bytes = bytes + NEW.head_bytes WHERE kind = 3; END;"
    "CREATE TRIGGER head_removed AFTER DELETE ON content WHEN OLD.head_tier <> 0 BEGIN"
    "  UPDATE total SET files = files - 1, bytes = bytes - OLD.head_bytes WHERE kind = 3; END;"
    "CREATE TRIGGER head_changed AFTER UPDATE OF head_tier, head_bytes ON content"
    "  WHEN OLD.head_tier <> NEW.head_tier OR OLD.head_bytes <> NEW.head_bytes BEGIN"
    "  UPDATE total SET files = files + (NEW.head_tier <> 0) - (OLD.head_tier <> 0),"
    "    bytes = bytes + (NEW.head_tier <> 0) * NEW.head_bytes"
    "      - (OLD.head_tier <> 0) * OLD.head_bytes WHERE kind = 3; END;";

/* 3: what libraries remember of their elements; empty in old catalogs, so that the first inventory
 * is taken as it is. */
static const char to_schema_3[] =
    "CREATE TABLE element (library TEXT NOT NULL, address INTEGER NOT NULL,"
    "  barcode TEXT NOT NULL, home INTEGER NOT NULL, flags INTEGER NOT NULL,"
    "  expected TEXT NOT NULL, inverted INTEGER NOT NULL, PRIMARY KEY (library, address))"
    "  STRICT, WITHOUT ROWID;";

const char *const catalog_steps[VARVE_CATALOG_SCHEMA] = {first_schema, to_schema_2, to_schema_3};
