"""The tables of a school class; `schema` puts them behind the others."""

CLASSES = """
-- A school class: its code follows from the id and the deployment's key, so no code is kept.
CREATE TABLE classes (
    id        TEXT PRIMARY KEY,
    state     TEXT NOT NULL CHECK (state IN ('open', 'ended')),
    opened_at REAL NOT NULL,
    ended_at  REAL
);
CREATE UNIQUE INDEX classes_open ON classes (state) WHERE state = 'open';

CREATE TABLE class_seats (
    class     TEXT NOT NULL REFERENCES classes (id),
    number    INTEGER NOT NULL,
    name      TEXT NOT NULL,
    accessor  TEXT NOT NULL REFERENCES tokens (accessor),
    taken_at  REAL,
    taken_by  TEXT CHECK (taken_by IN ('join', 'paper')),
    resets    INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (class, number)
) WITHOUT ROWID;
"""
