package sqlstore_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/authfactor/mfa/mfatest"
	"github.com/authfactor/mfa/sqlstore"

	"github.com/authfactor/mfa"
)

// each runs a test on every database that is there.
func each(t *testing.T, test func(t *testing.T, d database)) {
	t.Helper()
	for _, d := range databases {
		t.Run(d.name, func(t *testing.T) {
			d.skip(t)
			test(t, d)
		})
	}
}

func exec(t *testing.T, cfg sqlstore.Config, text string, args ...any) {
	t.Helper()
	// In the tests' statements RECORDS is the table.
	table := "mfa_records"
	if cfg.Schema != "" {
		table = cfg.Schema + "." + table
	}
	if _, err := cfg.DB.ExecContext(
		t.Context(),
		strings.ReplaceAll(text, "RECORDS", table),
		args...); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
}

// TestMigrateAtOnce: ten processes that start at once all find the tables, and doing
// it again changes nothing.
func TestMigrateAtOnce(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		cfg := d.config(t, "")
		var wg sync.WaitGroup
		begin := make(chan struct{})
		for range 10 {
			wg.Go(func() {
				<-begin
				if err := sqlstore.Migrate(t.Context(), cfg); err != nil {
					t.Error(err)
				}
				if _, err := sqlstore.New(t.Context(), cfg); err != nil {
					t.Error(err)
				}
			})
		}
		close(begin)
		wg.Wait()
		store := newStore(t, cfg)
		if err := store.Save(
			t.Context(),
			mfa.Change{Record: mfa.Record{ID: "a", Kind: "factor"}},
		); err != nil {
			t.Fatal(err)
		}
		if records, err := newStore(t, cfg).Load(t.Context(), "a"); err != nil || len(records) != 1 {
			t.Errorf("after another Migrate: %v, %v", records, err)
		}
	})
}

// TestSchema: New says what is wrong with the tables, and by version.
func TestSchema(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		cfg := d.config(t, "")
		refused := func(says ...string) {
			t.Helper()
			_, err := sqlstore.New(t.Context(), cfg)
			if !errors.Is(err, sqlstore.ErrSchema) {
				t.Fatalf("error %v, want ErrSchema", err)
			}
			for _, text := range says {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
		}
		refused("missing", "sqlstore.Migrate")
		if err := sqlstore.Migrate(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
		exec(t, cfg, "INSERT INTO RECORDS_version (version) VALUES (7)")
		refused("version 7", "knows 1")
		if err := sqlstore.Migrate(t.Context(), cfg); err != nil { // nothing to do
			t.Fatal(err)
		}
		exec(t, cfg, "UPDATE RECORDS_version SET version = version - 7") // -6 and 0
		refused("missing")
		exec(t, cfg, "UPDATE RECORDS_version SET version = version + 1")
		newStore(t, cfg)
		exec(t, cfg, "ALTER TABLE RECORDS RENAME COLUMN status TO state_of_mind")
		refused("said to be of version 1", "status")
	})
}

// TestSchemaText: what Schema returns can be run by hand, for a table of any name.
func TestSchemaText(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		cfg := d.config(t, "")
		cfg.Table = "Second_factors"
		text, err := sqlstore.Schema(cfg)
		if err != nil {
			t.Fatal(err)
		}
		for statement := range strings.SplitSeq(text, ";\n") {
			if strings.TrimSpace(statement) == "" {
				continue
			}
			if _, err := cfg.DB.ExecContext(t.Context(), statement); err != nil {
				t.Fatalf("%s: %v", statement, err)
			}
		}
		store, err := sqlstore.New(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := store.Save(
			t.Context(),
			mfa.Change{Record: mfa.Record{ID: "a", Kind: "factor"}},
		); err != nil {
			t.Error(err)
		}
		if strings.Contains(text, "mfa_records") {
			t.Errorf("the schema still has the default name:\n%s", text)
		}
	})
}

// TestConfig: what cannot work is refused with a reason.
func TestConfig(t *testing.T) {
	cfg := sqLite.config(t, "")
	for says, broken := range map[string]func(*sqlstore.Config){
		"Config.DB is required": func(c *sqlstore.Config) { c.DB = nil },
		"Config.Dialect":        func(c *sqlstore.Config) { c.Dialect = "oracle" },
		"Config.Table":          func(c *sqlstore.Config) { c.Table = "a; DROP TABLE b" },
		"Config.Schema is": func(c *sqlstore.Config) {
			c.Dialect, c.Schema = sqlstore.PostgreSQL, `a"b`
		},
		"SQLite has no schemas": func(c *sqlstore.Config) { c.Schema = "main" },
		"SQLite has no busy_tim": func(c *sqlstore.Config) {
			c.DB = open(t, "sqlite", filepath.Join(t.TempDir(), "mfa.db"))
		},
	} {
		c := cfg
		broken(&c)
		for _, err := range []error{
			sqlstore.Migrate(t.Context(), c), second(sqlstore.New(t.Context(), c)),
		} {
			if err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("error %v, want one that says %q", err, says)
			}
		}
	}
	if _, err := sqlstore.Schema(sqlstore.Config{}); err == nil {
		t.Error("the schema of no dialect")
	}
}

func second[T any](_ T, err error) error { return err }

// TestEditedRows: whatever somebody does to a row, it is an integrity error, or not
// found, and never an answer or a panic.
func TestEditedRows(t *testing.T) {
	each(t, func(t *testing.T, d database) {
		t.Helper()
		cfg := d.config(t, "")
		svc, err := mfa.New(mfa.Config{Store: newStore(t, cfg), Keys: mfatest.Keys()})
		if err != nil {
			t.Fatal(err)
		}
		edits := []string{
			"kind = 'challenge'",
			"parent = 'auth_user_X'",
			"user_id = 'mallory'",
			"type = 'sms'",
			"status = 'verified'",
			"created_at = NULL",
			"updated_at = NULL",
			"expires_at = NULL",
			"version = version + 1",
			"version = -1",
			"state = other",
			"state = ''",
			"parent = id", // a ring
		}
		switch d.dialect {
		case sqlstore.PostgreSQL:
			edits = append(
				edits,
				"created_at = created_at + interval '1 microsecond'",
				"expires_at = 'infinity'",
				"expires_at = '-infinity'",
				"updated_at = '4000-01-01 BC'",
				"state = substring(state for 20)",
				"state = state || '\\x00'",
			)
		case sqlstore.MySQL:
			edits = append(
				edits,
				"created_at = 9223372036854775807",
				"expires_at = -9223372036854775808",
				"state = LEFT(state, 20)",
				"user_id = X'FFFE'",
			)
		case sqlstore.SQLite:
			edits = append(
				edits,
				"created_at = 'yesterday'",
				"version = 'x'",
				"updated_at = 1.5",
				"expires_at = X'00'",
				"state = 5",
				"state = 'text'",
				"id = id || ''",
				"user_id = X'FFFE'",
			)
		}
		for i, edit := range edits {
			user := fmt.Sprint("user ", i)
			enroll := func(user string) mfa.Enrollment {
				enr, err := svc.Enroll(
					t.Context(),
					mfa.EnrollParams{UserID: user, TOTP: &mfa.TOTPParams{Issuer: "a", User: "b"}},
				)
				if err != nil {
					t.Fatal(err)
				}
				return enr
			}
			enr := enroll(user)
			if edit == "state = other" {
				other, err := newStore(t, cfg).Load(t.Context(), enroll("other").Factor.ID)
				if err != nil {
					t.Fatal(err)
				}
				exec(
					t,
					cfg,
					"UPDATE RECORDS SET state = "+literal(d, other[0].State)+" WHERE id = '"+enr.Factor.ID+"'",
				)
			} else {
				exec(t, cfg, "UPDATE RECORDS SET "+edit+" WHERE id = '"+enr.Factor.ID+"'")
			}
			_, err := svc.Factor(t.Context(), mfa.FactorParams{FactorID: enr.Factor.ID, UserID: user})
			if intact := edit == "id = id || ''"; intact != (err == nil) ||
				!intact && !errors.Is(err, mfa.ErrIntegrity) {
				t.Errorf("after %s: error %v, want ErrIntegrity", edit, err)
			}
			if _, err := svc.Factors(t.Context(), user); err != nil && !errors.Is(err, mfa.ErrIntegrity) {
				t.Errorf("after %s, listing: error %v", edit, err)
			}
			if _, err := svc.Challenge(
				t.Context(),
				mfa.ChallengeParams{FactorID: enr.Factor.ID, UserID: user, Confirm: true},
			); (edit == "id = id || ''") != (err == nil) {
				t.Errorf("after %s, challenging: error %v", edit, err)
			}
			exec(t, cfg, "DELETE FROM RECORDS")
		}
	})
}

func literal(d database, b []byte) string {
	if d.dialect == sqlstore.PostgreSQL {
		return fmt.Sprintf(`'\x%x'`, b)
	}
	return fmt.Sprintf("X'%x'", b)
}
