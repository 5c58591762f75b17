"""The tables of the history, and the version of them."""

from __future__ import annotations

VERSION = 1

SCHEMA = """
CREATE TABLE site (
  id INTEGER PRIMARY KEY,
  key TEXT NOT NULL UNIQUE
);
CREATE TABLE run (
  seq INTEGER PRIMARY KEY,
  site INTEGER NOT NULL REFERENCES site(id),
  id TEXT NOT NULL UNIQUE,
  began TEXT NOT NULL,
  version TEXT NOT NULL,
  front_end TEXT NOT NULL,
  fix INTEGER NOT NULL,
  exit INTEGER NOT NULL,
  counts TEXT NOT NULL,
  gaps INTEGER NOT NULL,
  forgotten INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX run_of_site ON run (site, seq);
CREATE TABLE word (
  id INTEGER PRIMARY KEY,
  text TEXT NOT NULL UNIQUE
);
-- A verdict from the run `seq` on, until a later row of the same check and subject.
-- `status` is '' where it was no longer given. `loci` and `more` (what was said, what it names,
-- its roots) are JSON, NULL where there is none. A row is one change of status or loci.
CREATE TABLE verdict (
  site INTEGER NOT NULL,
  check_id INTEGER NOT NULL REFERENCES word(id),
  subject INTEGER NOT NULL REFERENCES word(id),
  seq INTEGER NOT NULL REFERENCES run(seq),
  status TEXT NOT NULL,
  severity TEXT NOT NULL,
  loci TEXT,
  more TEXT,
  PRIMARY KEY (site, check_id, subject, seq)
) WITHOUT ROWID;
CREATE TABLE sheet (
  digest TEXT PRIMARY KEY,
  content BLOB NOT NULL
) WITHOUT ROWID;
-- The fact sheet of a subject from the run `seq` on: '' = not measured, NULL = no longer there.
CREATE TABLE measured (
  site INTEGER NOT NULL,
  subject INTEGER NOT NULL REFERENCES word(id),
  seq INTEGER NOT NULL REFERENCES run(seq),
  sheet TEXT,
  PRIMARY KEY (site, subject, seq)
) WITHOUT ROWID;
"""
