-- The records of github.com/authfactor/mfa for SQLite 3.24 and newer, version 1.
--
-- What decides is sealed in state. The other columns are copies, for people to read:
-- a row that was edited is refused as long as it differs from its state.
-- Times are milliseconds since 1970:
--   SELECT id, status, datetime(updated_at / 1000, 'unixepoch') FROM mfa_records;
CREATE TABLE IF NOT EXISTS mfa_records (
	id         TEXT NOT NULL PRIMARY KEY,
	kind       TEXT NOT NULL,    -- factor, challenge, number or user
	parent     TEXT NOT NULL,    -- of a challenge its factor, of a factor its user's record
	user_id    TEXT NOT NULL,    -- the owner of a factor, as the application calls it
	type       TEXT NOT NULL,    -- totp, sms, generic_otp or recovery_codes
	status     TEXT NOT NULL,    -- of a factor: unverified, verified or disabled
	created_at INTEGER,
	updated_at INTEGER,
	expires_at INTEGER,          -- purged some time after this; NULL for never
	version    INTEGER NOT NULL, -- of the row: 1, and one more with each change
	state      BLOB NOT NULL
);

CREATE INDEX IF NOT EXISTS mfa_records_user ON mfa_records (user_id, kind, id) WHERE user_id <> '';
CREATE INDEX IF NOT EXISTS mfa_records_expires ON mfa_records (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS mfa_records_version (version INTEGER NOT NULL PRIMARY KEY);
INSERT INTO mfa_records_version (version) VALUES (1);
