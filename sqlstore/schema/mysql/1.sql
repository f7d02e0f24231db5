-- The records of github.com/authfactor/mfa for MySQL 8 and MariaDB 10.6 and newer, version 1.
--
-- What decides is sealed in state. The other columns are copies, for people to read:
-- a row that was edited is refused as long as it differs from its state.
-- Texts are binary, because collations fold case and trailing spaces. Times are
-- milliseconds since 1970, because the connection's time zone moves a DATETIME:
--   SELECT id, status, FROM_UNIXTIME(updated_at / 1000) FROM mfa_records;
CREATE TABLE IF NOT EXISTS mfa_records (
	id         VARBINARY(64)  NOT NULL PRIMARY KEY,
	kind       VARBINARY(32)  NOT NULL, -- factor, challenge, number or user
	parent     VARBINARY(64)  NOT NULL, -- of a challenge its factor, of a factor its user's record
	user_id    VARBINARY(255) NOT NULL, -- the owner of a factor, as the application calls it
	type       VARBINARY(32)  NOT NULL, -- totp, sms, generic_otp or recovery_codes
	status     VARBINARY(32)  NOT NULL, -- of a factor: unverified, verified or disabled
	created_at BIGINT,
	updated_at BIGINT,
	expires_at BIGINT,                  -- purged some time after this; NULL for never
	version    BIGINT         NOT NULL, -- of the row: 1, and one more with each change
	state      MEDIUMBLOB     NOT NULL,
	INDEX mfa_records_user (user_id, kind, id),
	INDEX mfa_records_expires (expires_at)
) ENGINE = InnoDB;

CREATE TABLE IF NOT EXISTS mfa_records_version (version INTEGER NOT NULL PRIMARY KEY) ENGINE = InnoDB;
INSERT INTO mfa_records_version (version) VALUES (1);
