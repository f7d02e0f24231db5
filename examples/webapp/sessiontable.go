package main

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"time"

	"github.com/alexedwards/scs/v2"
)

// A sessionTable is the scs.Store over the database, so that a new start logs nobody out.
// Times are those of scs, which has no clock to set.
//
// At the end of each request scs writes the whole session, as it was when the request
// began and with what it changed. Of two at once, the slower would bring back a session
// that has ended, or undo what the faster wrote. So the table knows what a request loaded.
type sessionTable struct{ db database }

// errEnded is for a request whose session ended before it did.
var errEnded = errors.New("the session has ended")

// loaded is what a request found.
type loaded struct {
	token string
	data  []byte
	ended bool // when it was to be deleted, it was gone
}

type loadedKey struct{}

// loads keeps what each request loads.
func loads(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), loadedKey{}, new(loaded))))
	})
}

func loadedBy(ctx context.Context) *loaded {
	if l, ok := ctx.Value(loadedKey{}).(*loaded); ok {
		return l
	}
	return new(loaded)
}

// Find implements scs.Store.
func (s sessionTable) Find(token string) ([]byte, bool, error) {
	return s.FindCtx(context.Background(), token)
}

// FindCtx implements scs.CtxStore.
func (s sessionTable) FindCtx(ctx context.Context, token string) (data []byte, ok bool, err error) {
	err = s.db.QueryRowContext(ctx, "SELECT data FROM sessions WHERE token = ? AND expires > ?", token, time.Now().Unix()).Scan(&data)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, false, nil
	}
	l := loadedBy(ctx)
	l.token, l.data = token, data
	return data, err == nil, err
}

// Commit implements scs.Store.
func (s sessionTable) Commit(token string, data []byte, expires time.Time) error {
	return s.CommitCtx(context.Background(), token, data, expires)
}

// CommitCtx implements scs.CtxStore. What a request did is done, even if the browser hung up.
// The session that was loaded is written over and never made again.
func (s sessionTable) CommitCtx(ctx context.Context, token string, data []byte, expires time.Time) error {
	ctx = context.WithoutCancel(ctx)
	l := loadedBy(ctx)
	if token != l.token {
		_, err := s.db.ExecContext(ctx, "INSERT INTO sessions (token, data, expires) VALUES (?, ?, ?)", token, data, expires.Unix())
		return err
	}
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }() // none after Commit
	var now []byte
	err = tx.QueryRowContext(ctx, "SELECT data FROM sessions WHERE token = ?", token).Scan(&now)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return errEnded
	case err == nil && !bytes.Equal(now, l.data):
		data, err = merged(l.data, now, data)
	}
	if err != nil {
		return err
	}
	if _, err := tx.ExecContext(ctx, "UPDATE sessions SET data = ?, expires = ? WHERE token = ?", data, expires.Unix(), token); err != nil {
		return err
	}
	return tx.Commit()
}

// merged is what another request has written meanwhile, with what changed from before to
// mine and was left alone by it. Where both changed the same, the first has it: a second
// click does not undo what the first one did.
func merged(before, now, mine []byte) ([]byte, error) {
	var codec scs.GobCodec
	_, old, err := codec.Decode(before)
	deadline, values, err2 := codec.Decode(now)
	_, wanted, err3 := codec.Decode(mine)
	if err := errors.Join(err, err2, err3); err != nil {
		return nil, err
	}
	keys := maps.Clone(old)
	maps.Copy(keys, wanted)
	for key := range keys {
		if reflect.DeepEqual(wanted[key], old[key]) || !reflect.DeepEqual(values[key], old[key]) {
			continue
		}
		if value, ok := wanted[key]; ok {
			values[key] = value
		} else {
			delete(values, key)
		}
	}
	return codec.Encode(deadline, values)
}

// newest is what the session that was loaded holds by now, nil if it is the same or gone.
func (s sessionTable) newest(ctx context.Context) (values map[string]any, err error) {
	l, now := loadedBy(ctx), []byte(nil)
	err = s.db.QueryRowContext(ctx, "SELECT data FROM sessions WHERE token = ?", l.token).Scan(&now)
	switch {
	case errors.Is(err, sql.ErrNoRows) || err == nil && bytes.Equal(now, l.data):
		return nil, nil
	case err != nil:
		return nil, err
	}
	_, values, err = scs.GobCodec{}.Decode(now)
	return values, err
}

// Delete implements scs.Store.
func (s sessionTable) Delete(token string) error { return s.DeleteCtx(context.Background(), token) }

// DeleteCtx implements scs.CtxStore.
func (s sessionTable) DeleteCtx(ctx context.Context, token string) error {
	done, err := s.db.ExecContext(context.WithoutCancel(ctx), "DELETE FROM sessions WHERE token = ?", token)
	if err != nil {
		return err
	}
	n, err := done.RowsAffected()
	if l := loadedBy(ctx); token == l.token {
		l.ended = n == 0
	}
	return err
}
