"""The tables, as SQLite knows them; `dialect.tables` says the same to PostgreSQL.

`jobs.seq` is the order of arrival. The order of service is (priority, turn, seq). `jobs.message` is the number of the
engine's message about a job, where an engine delivers. Times are Unix seconds.
"""

from gateway.store.schema_classes import CLASSES

VERSION = 7  # each has its step in `migrations`

_REST = """
CREATE TABLE credit_accounts (
    id         TEXT PRIMARY KEY,
    granted    INTEGER NOT NULL CHECK (granted >= 0),
    reserved   INTEGER NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    spent      INTEGER NOT NULL DEFAULT 0 CHECK (spent >= 0),
    released   INTEGER NOT NULL DEFAULT 0 CHECK (released >= 0),
    created_at REAL NOT NULL,
    CHECK (reserved + spent <= granted)
);

CREATE TABLE tokens (
    accessor       TEXT PRIMARY KEY,
    secret_hash    BLOB NOT NULL UNIQUE,
    principal      TEXT NOT NULL,
    cohort         TEXT NOT NULL,
    scopes         TEXT NOT NULL,
    labels         TEXT NOT NULL,
    tier           TEXT NOT NULL DEFAULT 'standard',
    in_flight      INTEGER,
    state          TEXT NOT NULL CHECK (state IN ('active', 'quarantined', 'suspended', 'revoked')),
    previous_state TEXT,
    changed_at     REAL,
    created_at     REAL NOT NULL,
    expires_at     REAL,
    last_used_at   REAL,
    revoked_at     REAL,
    revoked_reason TEXT,
    revocation     TEXT,
    fingerprint    TEXT NOT NULL,
    transfers      TEXT CHECK (transfers = 'finish'),
    parent         TEXT REFERENCES tokens (accessor),
    account        TEXT REFERENCES credit_accounts (id)
);
CREATE INDEX tokens_cohort ON tokens (cohort);
CREATE INDEX tokens_principal ON tokens (principal);
CREATE INDEX tokens_revocation ON tokens (revocation);
CREATE INDEX tokens_fingerprint ON tokens (fingerprint);
CREATE INDEX tokens_parent ON tokens (parent) WHERE parent IS NOT NULL;
-- Nothing leads back from revoked, whoever writes.
CREATE TRIGGER tokens_stay_revoked BEFORE UPDATE OF state ON tokens
    WHEN old.state = 'revoked' AND new.state <> 'revoked'
    BEGIN SELECT RAISE(ABORT, 'a revoked token stays revoked'); END;

CREATE TABLE token_uses (
    accessor         TEXT NOT NULL,
    surface          TEXT NOT NULL,
    replica          TEXT NOT NULL,
    accepted         INTEGER NOT NULL,
    late             INTEGER NOT NULL,
    last_accepted_at REAL NOT NULL,
    PRIMARY KEY (accessor, surface, replica)
) WITHOUT ROWID;

CREATE TABLE open_streams (
    id       TEXT PRIMARY KEY,
    accessor TEXT NOT NULL,
    replica  TEXT NOT NULL,
    seen_at  REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX tokens_account ON tokens (account) WHERE account IS NOT NULL;

CREATE TABLE jobs (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    accessor      TEXT NOT NULL REFERENCES tokens (accessor),
    status        TEXT NOT NULL CHECK (status IN ('queued', 'in_progress', 'completed', 'failed')),
    request       TEXT NOT NULL,
    priority      INTEGER NOT NULL DEFAULT 0,
    turn          INTEGER NOT NULL DEFAULT 0,
    attempt       INTEGER NOT NULL DEFAULT 0,
    worker        TEXT,
    lease_until   REAL,
    progress      INTEGER NOT NULL DEFAULT 0,
    step          INTEGER,
    steps         INTEGER,
    created_at    REAL NOT NULL,
    started_at    REAL,
    completed_at  REAL,
    expires_at    REAL,
    file          TEXT,
    bytes         INTEGER,
    error_code    TEXT,
    error_message TEXT,
    revocation    TEXT,
    deleted_at    REAL,
    next_tick     INTEGER,
    fate          TEXT,
    spared        TEXT CHECK (spared IN ('finish', 'withhold')),
    share         TEXT NOT NULL DEFAULT 'private' CHECK (share IN ('private', 'pending', 'approved', 'refused')),
    share_id      TEXT,
    hold          REAL,
    account       TEXT,
    credits       INTEGER CHECK (credits >= 0),
    message       INTEGER,
    traceparent   TEXT
);
-- The status is a column of these although it is constant there: only so does SQLite prefer them to jobs_owner.
CREATE INDEX jobs_waiting ON jobs (status, priority, turn, seq, accessor) WHERE status = 'queued';
CREATE INDEX jobs_waiting_owner ON jobs (status, accessor, priority, turn, seq) WHERE status = 'queued';
CREATE INDEX jobs_running_owner ON jobs (status, accessor, seq) WHERE status = 'in_progress';
CREATE INDEX jobs_running ON jobs (status, lease_until) WHERE status = 'in_progress';
CREATE INDEX jobs_finished ON jobs (completed_at) WHERE status = 'completed';
CREATE UNIQUE INDEX jobs_share_link ON jobs (share_id) WHERE share_id IS NOT NULL;
CREATE INDEX jobs_shared ON jobs (share, seq) WHERE share <> 'private';
CREATE INDEX jobs_metered ON jobs (account, status) WHERE account IS NOT NULL;
CREATE INDEX jobs_owner ON jobs (accessor, seq);

-- The last turn that each root token was given, by priority; the row of no root is the last that was served.
CREATE TABLE turns (
    root     TEXT NOT NULL,
    priority INTEGER NOT NULL,
    turn     INTEGER NOT NULL,
    PRIMARY KEY (root, priority)
) WITHOUT ROWID;

-- How many wait, by stretches of the line that each begin at a place. `counting` keeps it.
CREATE TABLE line_blocks (
    priority INTEGER NOT NULL,
    turn     INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    n        INTEGER NOT NULL,
    changes  INTEGER NOT NULL,
    PRIMARY KEY (priority, turn, seq)
) WITHOUT ROWID;
INSERT INTO line_blocks (priority, turn, seq, n, changes) VALUES (-9223372036854775808, 0, 0, 0, 0);

CREATE TABLE revocations (
    id              TEXT PRIMARY KEY,
    selector        TEXT NOT NULL,
    reason          TEXT NOT NULL,
    actor           TEXT NOT NULL,
    requested_at    REAL NOT NULL,
    recorded_at     REAL NOT NULL,
    acknowledged_at REAL,
    last_event      INTEGER NOT NULL,
    tokens          INTEGER NOT NULL,
    jobs_queued     INTEGER NOT NULL,
    jobs_running    INTEGER NOT NULL,
    in_flight       TEXT NOT NULL,
    txn             TEXT NOT NULL,
    taken           TEXT NOT NULL,
    items           TEXT NOT NULL
);

CREATE TABLE restorations (
    id           TEXT PRIMARY KEY,
    selector     TEXT NOT NULL,
    reason       TEXT NOT NULL,
    actor        TEXT NOT NULL,
    target       TEXT NOT NULL CHECK (target IN ('active', 'quarantined')),
    thaw         INTEGER NOT NULL,
    over_seconds REAL NOT NULL,
    size         INTEGER NOT NULL,
    interval     REAL NOT NULL,
    requested_at REAL NOT NULL,
    state        TEXT NOT NULL CHECK (state IN ('running', 'done', 'halted', 'stopped')),
    because      TEXT,
    brought      INTEGER NOT NULL,
    next_at      REAL NOT NULL,
    ended_at     REAL
);
-- One at a time: two together would bring back more than either says.
CREATE UNIQUE INDEX restorations_running ON restorations (state) WHERE state = 'running';

CREATE TABLE restoration_items (
    restoration TEXT NOT NULL,
    number      INTEGER NOT NULL,
    accessor    TEXT NOT NULL,
    principal   TEXT NOT NULL,
    cohort      TEXT NOT NULL,
    outcome     TEXT NOT NULL CHECK (outcome IN ('waiting', 'restored', 'already', 'final', 'failed')),
    batch       INTEGER,
    verified    INTEGER,
    why         TEXT,
    PRIMARY KEY (restoration, number)
) WITHOUT ROWID;
CREATE UNIQUE INDEX restoration_items_token ON restoration_items (restoration, accessor);

CREATE TABLE restoration_batches (
    restoration TEXT NOT NULL,
    number      INTEGER NOT NULL,
    at          REAL NOT NULL,
    tokens      INTEGER NOT NULL,
    verified    INTEGER,
    checked_at  REAL,
    PRIMARY KEY (restoration, number)
) WITHOUT ROWID;

CREATE TABLE events (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    at        REAL NOT NULL,
    replay_at TEXT,
    kind      TEXT NOT NULL,
    actor     TEXT NOT NULL,
    accessor  TEXT,
    job       TEXT,
    data      TEXT NOT NULL,
    previous  TEXT NOT NULL,
    hash      TEXT NOT NULL
);
CREATE INDEX events_afterwards ON events (accessor, seq)
    WHERE kind IN ('request.refused', 'transfer.cut', 'transfer.finished', 'stream.ended');
CREATE INDEX events_ends ON events (job, seq) WHERE kind IN ('job.completed', 'job.failed', 'job.cancelled');

CREATE TABLE workers (
    name         TEXT PRIMARY KEY,
    host         TEXT NOT NULL,
    pid          INTEGER NOT NULL,
    slots        INTEGER NOT NULL,
    started_at   REAL NOT NULL,
    heartbeat_at REAL NOT NULL,
    stopped_at   REAL,
    protocol     INTEGER NOT NULL,
    version      TEXT NOT NULL
);

-- Which database this is: the media directory that belongs to it names it too.
CREATE TABLE deployment (
    id   INTEGER PRIMARY KEY CHECK (id = 1),
    name TEXT NOT NULL
);

CREATE TABLE exercise (
    id           INTEGER PRIMARY KEY CHECK (id = 1),
    phase        TEXT NOT NULL CHECK (phase IN ('normal', 'exposed', 'revoked')),
    phase_since  REAL,
    broadcast    TEXT,
    anchor       REAL,
    anchor_wall  REAL,
    speed        REAL,
    running      INTEGER,
    utc_offset   INTEGER,
    profile      TEXT,
    mint_frozen  TEXT,
    sunset       TEXT,
    injects      TEXT
);
INSERT INTO exercise (id, phase) VALUES (1, 'normal');

-- Whose drill has the gateway, until when it says so again; one row at the most.
CREATE TABLE drill_lease (
    id       INTEGER PRIMARY KEY CHECK (id = 1),
    drill    TEXT NOT NULL,
    scenario TEXT NOT NULL,
    who      TEXT NOT NULL,
    since    REAL NOT NULL,
    until    REAL NOT NULL
);

CREATE TABLE characters (
    id         TEXT PRIMARY KEY,
    accessor   TEXT NOT NULL REFERENCES tokens (accessor),
    name       TEXT NOT NULL,
    colours    TEXT NOT NULL,
    created_at REAL NOT NULL
);

CREATE TABLE idempotency (
    accessor    TEXT NOT NULL,
    key         TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    job         TEXT NOT NULL,
    at          REAL NOT NULL,
    keep_until  REAL NOT NULL,
    PRIMARY KEY (accessor, key)
) WITHOUT ROWID;

CREATE TABLE disclosures (
    seq      INTEGER PRIMARY KEY AUTOINCREMENT,
    notice   BLOB NOT NULL UNIQUE,
    accessor TEXT REFERENCES tokens (accessor),
    reporter TEXT NOT NULL,
    type     TEXT NOT NULL,
    source   TEXT NOT NULL,
    url      TEXT NOT NULL,
    outcome  TEXT NOT NULL,
    at       REAL NOT NULL
);
CREATE INDEX disclosures_token ON disclosures (accessor, seq) WHERE accessor IS NOT NULL;

CREATE TABLE webhook_endpoints (
    seq              INTEGER PRIMARY KEY AUTOINCREMENT,
    id               TEXT NOT NULL UNIQUE,
    accessor         TEXT NOT NULL REFERENCES tokens (accessor),
    name             TEXT NOT NULL,
    url              TEXT NOT NULL,
    event_types      TEXT NOT NULL,
    secret           TEXT NOT NULL,
    old_secret       TEXT,
    old_secret_until REAL,
    created_at       REAL NOT NULL,
    updated_at       REAL NOT NULL
);
CREATE INDEX webhook_endpoints_owner ON webhook_endpoints (accessor, seq);

CREATE TABLE webhook_deliveries (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    endpoint        TEXT NOT NULL,
    accessor        TEXT NOT NULL,
    job             TEXT,
    event_type      TEXT NOT NULL,
    payload         TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'stopped')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL,
    status_code     INTEGER,
    error           TEXT,
    created_at      REAL NOT NULL,
    ended_at        REAL
);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (next_attempt_at) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_lanes ON webhook_deliveries (endpoint, next_attempt_at, seq) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_waiting ON webhook_deliveries (accessor) WHERE state = 'pending';

CREATE TABLE sinks (
    seq           INTEGER PRIMARY KEY AUTOINCREMENT,
    id            TEXT NOT NULL UNIQUE,
    url           TEXT NOT NULL,
    issuer        TEXT NOT NULL,
    audience      TEXT NOT NULL,
    "authorization" TEXT,
    status        TEXT NOT NULL CHECK (status IN ('enabled', 'paused', 'disabled')),
    created_at    REAL NOT NULL,
    updated_at    REAL NOT NULL
);

-- One Security Event Token for one sink. While its sink is paused, `next_attempt_at` is null.
CREATE TABLE signals (
    seq             INTEGER PRIMARY KEY AUTOINCREMENT,
    id              TEXT NOT NULL UNIQUE,
    sink            TEXT NOT NULL,
    txn             TEXT NOT NULL,
    accessor        TEXT,
    kind            TEXT NOT NULL,
    event           TEXT NOT NULL,
    state           TEXT NOT NULL CHECK (state IN ('pending', 'delivered', 'dead', 'dropped')),
    attempts        INTEGER NOT NULL DEFAULT 0,
    next_attempt_at REAL,
    status_code     INTEGER,
    err             TEXT,
    error           TEXT,
    created_at      REAL NOT NULL,
    ended_at        REAL
);
CREATE INDEX signals_due ON signals (next_attempt_at) WHERE state = 'pending';
CREATE INDEX signals_lanes ON signals (sink, seq, next_attempt_at) WHERE state = 'pending';
CREATE INDEX signals_cause ON signals (txn, state);

CREATE TABLE faults (
    seq        INTEGER PRIMARY KEY AUTOINCREMENT,
    id         TEXT NOT NULL UNIQUE,
    rule       TEXT NOT NULL,
    remaining  INTEGER,
    fired      INTEGER NOT NULL DEFAULT 0,
    created_at REAL NOT NULL,
    until      REAL
);

CREATE TABLE replicas (
    name       TEXT PRIMARY KEY,
    url        TEXT NOT NULL,
    started_at REAL NOT NULL,
    seen_at    REAL NOT NULL,
    mode       TEXT
);

CREATE TABLE wakeups (
    seq       INTEGER PRIMARY KEY AUTOINCREMENT,
    accessors TEXT NOT NULL
);

CREATE TABLE client_findings (
    accessor TEXT NOT NULL,
    finding  TEXT NOT NULL,
    count    INTEGER NOT NULL,
    first_at REAL NOT NULL,
    last_at  REAL NOT NULL,
    example  TEXT,
    PRIMARY KEY (accessor, finding)
);
"""
SQLITE = _REST + CLASSES
