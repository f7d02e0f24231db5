-- The records of github.com/authfactor/mfa for PostgreSQL 12 and newer, version 1.
--
-- What decides is sealed in state. The other columns are copies, for people to read:
-- a row that was edited is refused as long as it differs from its state.
CREATE TABLE IF NOT EXISTS mfa_records (
	id         text COLLATE "C" NOT NULL PRIMARY KEY,
	kind       text COLLATE "C" NOT NULL, -- factor, challenge, number or user
	parent     text COLLATE "C" NOT NULL, -- of a challenge its factor, of a factor its user's record
	user_id    text COLLATE "C" NOT NULL, -- the owner of a factor, as the application calls it
	type       text COLLATE "C" NOT NULL, -- totp, sms, generic_otp or recovery_codes
	status     text COLLATE "C" NOT NULL, -- of a factor: unverified, verified or disabled
	created_at timestamptz,
	updated_at timestamptz,
	expires_at timestamptz,               -- purged some time after this; NULL for never
	version    bigint NOT NULL,           -- of the row: 1, and one more with each change
	state      bytea NOT NULL
) WITH (fillfactor = 80);

-- A factor's row is updated in its place, again and again; a challenge's once or twice.
CREATE INDEX IF NOT EXISTS mfa_records_user ON mfa_records (user_id, kind, id) WHERE user_id <> '';
CREATE INDEX IF NOT EXISTS mfa_records_expires ON mfa_records (expires_at) WHERE expires_at IS NOT NULL;

CREATE TABLE IF NOT EXISTS mfa_records_version (version integer NOT NULL PRIMARY KEY);
INSERT INTO mfa_records_version (version) VALUES (1);
