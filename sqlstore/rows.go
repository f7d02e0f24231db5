package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/authfactor/mfa"
)

// columns are those of the table, in the order of [Store.row].
const columns = "id, kind, parent, user_id, type, status, " +
	"created_at, updated_at, expires_at, version, state"

var (
	columnNames = strings.Split(columns, ", ")
	columnTypes = []string{
		"text", "text", "text", "text", "text", "text",
		"timestamptz", "timestamptz", "timestamptz", "bigint", "bytea",
	}

	// levels are the columns of a record r, its parent p and its grandparent g.
	levels = of("r") + ", " + of("p") + ", " + of("g")
)

func of(alias string) string {
	return alias + "." + strings.ReplaceAll(columns, " ", " "+alias+".")
}

// row is a record as it is stored, in the order of columns.
func (s *Store) row(r mfa.Record) []any {
	state := r.State
	if state == nil {
		state = []byte{}
	}
	return []any{
		r.ID, r.Kind, r.Parent, r.UserID, r.Type, r.Status,
		s.time(r.CreatedAt), s.time(r.UpdatedAt), s.time(r.ExpiresAt), r.Version + 1, state,
	}
}

// time is a time as it is stored: nil, a time for PostgreSQL, milliseconds for others.
func (s *Store) time(t time.Time) any {
	switch {
	case t.IsZero():
		return nil
	case s.dialect == PostgreSQL:
		return t.UTC()
	}
	return t.UnixMilli()
}

// An instant reads what [Store.time] gives, in whatever type the driver has for it.
type instant time.Time

// Scan is for database/sql.
func (t *instant) Scan(value any) error {
	var at sql.Null[time.Time]
	if _, isTime := value.(time.Time); isTime || value == nil {
		err := at.Scan(value)
		*t = instant(at.V.UTC())
		if !at.Valid {
			*t = instant{}
		}
		return err
	}
	var ms sql.Null[int64]
	if err := ms.Scan(value); err != nil {
		return err
	}
	*t = instant(time.UnixMilli(ms.V).UTC())
	return nil
}

// query returns the records of some levels: each row has so many of them side by side, of which
// all but the first may be missing. A row that cannot be a record, because somebody edited it, is
// an integrity error, as a record that cannot be decrypted is.
func (s *Store) query(
	ctx context.Context, doing string, q *statement, levels int,
) (found []mfa.Record, err error) {
	err = s.again(ctx, doing, func() error {
		found = nil
		rows, err := s.db.QueryContext(ctx, q.b.String(), q.args...)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }()
		read := make([]fields, levels)
		var into []any
		for i := range read {
			into = append(into, read[i].pointers()...)
		}
		for rows.Next() {
			if err := rows.Scan(into...); err != nil {
				return fmt.Errorf("%w: record %s: %w", mfa.ErrIntegrity, read[0].id.V, err)
			}
			for i := range read {
				if found, err = read[i].add(found, levels > 1); err != nil {
					return err
				}
			}
		}
		return rows.Err()
	})
	if err != nil {
		return nil, err
	}
	return found, nil
}

// fields are what a row has of a record, each NULL if there is none.
type fields struct {
	id, kind, parent, userID, typ, status sql.Null[string]
	created, updated, expires             instant
	version                               sql.Null[int64]
	state                                 []byte
}

// pointers are in the order of columns.
func (f *fields) pointers() []any {
	return []any{
		&f.id, &f.kind, &f.parent, &f.userID, &f.typ, &f.status,
		&f.created, &f.updated, &f.expires, &f.version, &f.state,
	}
}

var errNull = errors.New("a column is NULL")

// add adds the record to those that were found, if there is one. It may be one of these already.
func (f *fields) add(found []mfa.Record, again bool) ([]mfa.Record, error) {
	same := func(r mfa.Record) bool { return r.ID == f.id.V }
	switch {
	case !f.id.Valid, again && slices.ContainsFunc(found, same):
		return found, nil
	case !f.kind.Valid, !f.parent.Valid, !f.userID.Valid, !f.typ.Valid, !f.status.Valid,
		!f.version.Valid:
		return nil, fmt.Errorf("%w: record %s: %w", mfa.ErrIntegrity, f.id.V, errNull)
	}
	return append(found, mfa.Record{
		ID: f.id.V, Kind: f.kind.V, Parent: f.parent.V, UserID: f.userID.V, Type: f.typ.V,
		Status: f.status.V, CreatedAt: time.Time(f.created), UpdatedAt: time.Time(f.updated),
		ExpiresAt: time.Time(f.expires), Version: f.version.V, State: f.state,
	}), nil
}
