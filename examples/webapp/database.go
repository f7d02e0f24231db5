package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/sqlstore"
)

// A database has the application's own tables, beside the one of sqlstore.
type database struct{ *sql.DB }

// factors: the ids of the second factors, separated by spaces. They say that a code is to
// be asked for even if the factors themselves were lost.
//
// epoch: how often the password was set, and the list of factors changed. A session of an
// earlier one is over.
const schema = `
CREATE TABLE IF NOT EXISTS users (
	id TEXT PRIMARY KEY, email TEXT NOT NULL UNIQUE, password TEXT NOT NULL,
	factors TEXT NOT NULL DEFAULT '', epoch INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE IF NOT EXISTS links (
	hash BLOB PRIMARY KEY, email TEXT NOT NULL, user TEXT NOT NULL, expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS sessions (
	token TEXT PRIMARY KEY, data BLOB NOT NULL, expires INTEGER NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS answers (
	hash BLOB PRIMARY KEY, user TEXT NOT NULL, question TEXT NOT NULL, expires INTEGER NOT NULL
) STRICT;`

func openDatabase(ctx context.Context, o options) (database, error) {
	made, err := os.OpenFile(o.db, os.O_CREATE, 0o600)
	if err != nil {
		return database{}, err
	}
	_ = made.Close() // SQLite's own would be readable by all, and so would what it puts beside it
	file := (&url.URL{Path: filepath.Clean(o.db)}).EscapedPath()
	db, err := sql.Open("sqlite", "file:"+file+"?_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)&_txlock=immediate")
	if err != nil {
		return database{}, err
	}
	err = sqlstore.Migrate(ctx, sqlstore.Config{DB: db, Dialect: sqlstore.SQLite})
	if err == nil {
		_, err = db.ExecContext(ctx, schema)
	}
	if err != nil {
		return database{}, errors.Join(fmt.Errorf("%s: %w", o.db, err), db.Close())
	}
	return database{db}, nil
}

type user struct {
	ID, Email, Password string
	Factors             []string
	Epoch               int
}

// userBy finds the user whose column has the value; ok is false if there is none.
func (db database) userBy(ctx context.Context, column, value string) (u user, ok bool, err error) {
	var factors string
	err = db.QueryRowContext(ctx, "SELECT id, email, password, factors, epoch FROM users WHERE "+column+" = ?", value).
		Scan(&u.ID, &u.Email, &u.Password, &factors, &u.Epoch)
	if errors.Is(err, sql.ErrNoRows) {
		return user{}, false, nil
	}
	u.Factors = strings.Fields(factors)
	return u, err == nil, err
}

// setPassword sets the password of the user with this address, who is made if there is
// none, and ends the user's sessions.
func (db database) setPassword(ctx context.Context, email, hash string) (userID string, err error) {
	err = db.QueryRowContext(ctx, `INSERT INTO users (id, email, password) VALUES (?, ?, ?)
		ON CONFLICT (email) DO UPDATE SET password = excluded.password, epoch = epoch + 1 RETURNING id`,
		"user_"+rand.Text(), email, hash).Scan(&userID)
	return userID, err
}

// setEmail says whether the address was free.
func (db database) setEmail(ctx context.Context, userID, email string) (free bool, err error) {
	done, err := db.ExecContext(ctx, "UPDATE OR IGNORE users SET email = ? WHERE id = ?", email, userID)
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// keepFactors writes down which second factors the user has. It never takes one off the
// list because it is not among factors, or who empties the store of the factors could log
// in with a password alone: only gone goes, which was taken away on purpose.
//
// A change of the list ends the user's sessions, bar that of the user that it returns: they
// may be of somebody who was there first.
func (db database) keepFactors(ctx context.Context, u user, factors []mfa.Factor, gone ...string) (user, error) {
	ctx = context.WithoutCancel(ctx) // what it writes down has been done
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return u, err
	}
	defer func() { _ = tx.Rollback() }() // none after Commit
	var list string
	var epoch int
	if err := tx.QueryRowContext(ctx, "SELECT factors, epoch FROM users WHERE id = ?", u.ID).Scan(&list, &epoch); err != nil {
		return u, err
	}
	ids := strings.Fields(list)
	for _, f := range factors {
		if f.Status != mfa.StatusUnverified {
			ids = append(ids, f.ID)
		}
	}
	slices.Sort(ids)
	ids = slices.DeleteFunc(slices.Compact(ids), func(id string) bool { return slices.Contains(gone, id) })
	if slices.Equal(ids, strings.Fields(list)) {
		return u, nil
	}
	if _, err := tx.ExecContext(ctx, "UPDATE users SET factors = ?, epoch = epoch + 1 WHERE id = ?", strings.Join(ids, " "), u.ID); err != nil {
		return u, err
	}
	if u.Epoch == epoch { // and the password was not set meanwhile
		u.Epoch++
	}
	return u, tx.Commit()
}

// A link is what a mail brings: to choose a password or, of a user, to take on an address.
type link struct{ Email, UserID string }

// newLink returns the token of a link. The database keeps its hash alone. Earlier links for
// the same purpose are worthless from then on: a user's, or those to choose the password of
// an address.
func (db database) newLink(ctx context.Context, l link, expires time.Time) (token string, err error) {
	token = rand.Text()
	hash := sha256.Sum256([]byte(token))
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return "", err
	}
	defer func() { _ = tx.Rollback() }() // none after Commit
	if _, err = tx.ExecContext(ctx, "DELETE FROM links WHERE user = ? AND (user <> '' OR email = ?)", l.UserID, l.Email); err != nil {
		return "", err
	}
	if _, err = tx.ExecContext(ctx, "INSERT INTO links (hash, email, user, expires) VALUES (?, ?, ?, ?)", hash[:], l.Email, l.UserID, expires.Unix()); err != nil {
		return "", err
	}
	return token, tx.Commit()
}

// link finds a link that was not used and did not expire.
func (db database) link(ctx context.Context, token string, now time.Time) (l link, ok bool, err error) {
	hash := sha256.Sum256([]byte(token))
	err = db.QueryRowContext(ctx, "SELECT email, user FROM links WHERE hash = ? AND expires > ?", hash[:], now.Unix()).Scan(&l.Email, &l.UserID)
	if errors.Is(err, sql.ErrNoRows) {
		return link{}, false, nil
	}
	return l, err == nil, err
}

// useLink says whether the link was there: of two at once, for one alone.
func (db database) useLink(ctx context.Context, token string) (ok bool, err error) {
	hash := sha256.Sum256([]byte(token))
	done, err := db.ExecContext(ctx, "DELETE FROM links WHERE hash = ?", hash[:])
	if err != nil {
		return false, err
	}
	n, err := done.RowsAffected()
	return n == 1, err
}

// clean deletes what expired. Sessions go by the clock of scs.
func (db database) clean(ctx context.Context, now time.Time) error {
	_, err := db.ExecContext(ctx, "DELETE FROM links WHERE expires <= ?", now.Unix())
	_, err2 := db.ExecContext(ctx, "DELETE FROM sessions WHERE expires <= ?", time.Now().Unix())
	_, err3 := db.ExecContext(ctx, "DELETE FROM answers WHERE expires <= ?", now.UnixMilli())
	return errors.Join(err, err2, err3)
}
