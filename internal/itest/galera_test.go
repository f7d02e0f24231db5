//go:build unix

package itest

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/authfactor/mfa"
	"github.com/authfactor/mfa/sqlstore"
)

// TestGalera: three nodes of MariaDB that replicate to each other, and take writes all.
func TestGalera(t *testing.T) {
	g := startGalera(t)
	t.Run("waits", g.testWaits)
	t.Run("refused", g.testRefused)
	t.Run("undone", g.testUndone)
	onCluster(t, g.server(), g.each)
	t.Run("a node is killed", func(t *testing.T) {
		p, _ := g.server().place(t)
		failover(t, p, func() { g.lose(t, 0) })
	})
	t.Run("two of three are killed", g.testCutOff)
}

// A galera is a cluster of three nodes.
type galera struct {
	dir       string
	nodes     []*process
	addresses []string
}

// The nodes are copies of one empty database, with a state that says that they were a
// cluster before: they find each other again, and no data has to be copied.
const (
	galeraState = `# GALERA saved state
version: 2.1
uuid:    6d666120-0000-11ee-8000-000000000000
seqno:   0
safe_to_bootstrap: 0
`
	galeraView = `my_uuid: 6d66612%d-0000-11ee-8000-000000000000
#vwbeg
view_id: 3 6d666121-0000-11ee-8000-000000000000 1
bootstrap: 0
member: 6d666121-0000-11ee-8000-000000000000 0
member: 6d666122-0000-11ee-8000-000000000000 0
member: 6d666123-0000-11ee-8000-000000000000 0
#vwend
`
)

func startGalera(t *testing.T) *galera {
	t.Helper()
	program := installed(t, "MariaDB", "mariadbd", "/usr/sbin/mariadbd")
	install := installed(t, "MariaDB", "mariadb-install-db")
	library := installed(t, "Galera", "/usr/lib/galera/libgalera_smm.so", "/usr/lib64/galera/libgalera_smm.so")
	dir, err := os.MkdirTemp("", "mfa") //nolint:usetesting // t.TempDir is longer than a socket's path may be, and closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	g := &galera{dir: dir}
	as := ordinary(t, dir)
	run := func(program string, args ...string) {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.SysProcAttr = dir, &syscall.SysProcAttr{Credential: as}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", program, err, out)
		}
	}
	data := func(node int) string { return filepath.Join(dir, strconv.Itoa(node)) }
	run(install, "--no-defaults", "--datadir="+data(1), "--auth-root-authentication-method=normal",
		"--skip-test-db", "--innodb-log-file-size=4M")
	for node := 1; node <= 3; node++ {
		if node > 1 {
			run("cp", "-r", data(1), data(node))
		}
		for name, text := range map[string]string{
			"grastate.dat": galeraState, "gvwstate.dat": fmt.Sprintf(galeraView, node),
		} {
			file := filepath.Join(data(node), name)
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if as != nil {
				if err := os.Chown(file, int(as.Uid), int(as.Gid)); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	ports := freePorts(t, 9)
	var group []string
	for _, port := range ports[3:6] {
		group = append(group, fmt.Sprintf("127.0.0.1:%d", port))
	}
	for i := range 3 {
		g.addresses = append(g.addresses, fmt.Sprintf("127.0.0.1:%d", ports[i]))
		g.nodes = append(g.nodes, startProcess(t, as, dir, program, "--no-defaults",
			"--datadir="+data(i+1), "--socket="+data(i+1)+".s", "--pid-file="+data(i+1)+".pid",
			"--bind-address=127.0.0.1", fmt.Sprintf("--port=%d", ports[i]), "--skip-name-resolve",
			"--binlog-format=ROW", "--innodb-autoinc-lock-mode=2", "--innodb-buffer-pool-size=32M",
			"--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0", "--performance-schema=OFF",
			"--wsrep-on=ON", "--wsrep-provider="+library, "--wsrep-cluster-name=mfa",
			"--wsrep-cluster-address=gcomm://"+strings.Join(group, ","),
			"--wsrep-node-address="+group[i], "--wsrep-sst-method=rsync",
			"--wsrep-provider-options=pc.recovery=true;gcache.size=32M;"+
				"gmcast.listen_addr=tcp://"+group[i]+
				fmt.Sprintf(";ist.recv_addr=127.0.0.1:%d;", ports[6+i])+
				"evs.keepalive_period=PT0.5S"))
	}
	for i, node := range g.nodes {
		db := g.open(t, i, "")
		eventually(t, "the node joins", node.ended, &node.log, func(ctx context.Context) bool {
			var name, value string
			_ = db.QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_local_state_comment'").Scan(&name, &value)
			return value == "Synced"
		})
	}
	return g
}

// galeraDSN is that of one node.
func galeraDSN(address string) string {
	return "root@tcp(" + address + ")/?interpolateParams=true&timeout=2s&wsrep_sync_wait=7"
}

// open connects to a node.
func (g *galera) open(t *testing.T, node int, params string) *sql.DB {
	t.Helper()
	db, err := sql.Open("mysql", "root@tcp("+g.addresses[node]+")/?interpolateParams=true&timeout=2s"+params)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// server is the cluster, whose connections go round the nodes.
func (g *galera) server() server {
	return server{name: "Galera", address: g.addresses[0], at: func(_, schema string) place {
		var dsns []string
		for _, address := range g.addresses {
			dsns = append(dsns, galeraDSN(address))
		}
		return place{sqlstore.MySQL, "mysql nodes", strings.Join(dsns, " "), schema}
	}}
}

// each opens a store on each node.
func (g *galera) each(t *testing.T, p place) (stores []mfa.Store) {
	t.Helper()
	for _, address := range g.addresses {
		one := place{p.Dialect, "mysql", galeraDSN(address), p.Schema}
		stores = append(stores, one.mustOpen(t))
	}
	return stores
}

// sum adds up a number that each node has.
func (g *galera) sum(t *testing.T, status string) (sum int) {
	t.Helper()
	for node := range g.nodes {
		var name string
		var n int
		if err := g.open(t, node, "").QueryRowContext(t.Context(),
			"SHOW GLOBAL STATUS LIKE '"+status+"'").Scan(&name, &n); err != nil {
			t.Fatal(err)
		}
		sum += n
	}
	return sum
}

// testUndone: three nodes write one record at once, until some were undone for one of
// another node: at their COMMIT, or before it. One of them is done, and the others are told
// that the record has changed: the error of the node, which proves that nothing was written,
// is not seen.
func (g *galera) testUndone(t *testing.T) {
	p, _ := g.server().place(t)
	stores := g.each(t, p)
	undone := func() int {
		return g.sum(t, "wsrep_local_cert_failures") + g.sum(t, "wsrep_local_bf_aborts")
	}
	before := undone()
	for version := range int64(1000) {
		var wg sync.WaitGroup
		errs := make([]error, len(stores))
		for i, store := range stores {
			wg.Go(func() {
				errs[i] = store.Save(t.Context(), mfa.Change{Record: mfa.Record{
					ID: "a", Kind: "factor", CreatedAt: time.UnixMilli(1).UTC(), Version: version,
				}})
			})
		}
		wg.Wait()
		done := 0
		for _, err := range errs {
			switch {
			case err == nil:
				done++
			case !errors.Is(err, mfa.ErrConflict):
				t.Fatal(err)
			}
		}
		if done != 1 {
			t.Fatalf("version %d: %d of 3 were done: %v", version, done, errs)
		}
		if n := undone() - before; version >= 50 && n > 0 {
			t.Logf("%d attempts of %d Saves were undone", n, 3*(version+1))
			return
		}
	}
	t.Error("no two nodes wrote the record at once")
}

// lose kills a node, and returns when the others go on without it. Until then nodes are
// not suspected soon, because this machine may be busy.
func (g *galera) lose(t *testing.T, node int) {
	t.Helper()
	for i := range g.nodes {
		if _, err := g.open(t, i, "").ExecContext(t.Context(),
			"SET GLOBAL wsrep_provider_options = 'evs.suspect_timeout=PT2S'"); err != nil {
			t.Fatal(err)
		}
	}
	g.nodes[node].kill()
	for i, other := range g.nodes {
		if i == node {
			continue
		}
		db := g.open(t, i, "")
		eventually(t, "the others go on", other.ended, &other.log, func(ctx context.Context) bool {
			var name, size, status string
			_ = db.QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_cluster_size'").Scan(&name, &size)
			_ = db.QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_cluster_status'").Scan(&name, &status)
			return size == "2" && status == "Primary"
		})
	}
}

// testWaits: which bits of wsrep_sync_wait the contract needs. While one node cannot apply
// what another one committed, each call is made there, right after a Save on the other.
// Without the bit it goes wrong, and with all three it waits.
func (g *galera) testWaits(t *testing.T) {
	p, _ := g.server().place(t)
	near := g.each(t, p)[0]
	db := g.open(t, 1, "&wsrep_sync_wait=7")
	db.SetMaxOpenConns(1)
	far, err := sqlstore.New(t.Context(), p.config(db))
	if err != nil {
		t.Fatal(err)
	}
	lock := g.open(t, 1, "")
	lock.SetMaxOpenConns(1)
	admin := g.open(t, 0, "&wsrep_sync_wait=7") // what it deletes may have been saved on the other
	if _, err := admin.ExecContext(t.Context(),
		"CREATE TABLE "+p.Schema+".held (a INT PRIMARY KEY AUTO_INCREMENT) ENGINE=InnoDB"); err != nil {
		t.Fatal(err)
	}
	change := func(version int64, remove bool) mfa.Change {
		return mfa.Change{Record: mfa.Record{
			ID: "a", Kind: "factor", CreatedAt: time.UnixMilli(1).UTC(), Version: version, State: []byte{1},
		}, Delete: remove}
	}
	seen := func(version int64) error {
		records, err := far.Load(t.Context(), "a")
		if err == nil && (len(records) != 1 || records[0].Version != version) {
			err = fmt.Errorf("an old record: %v", records)
		}
		return err
	}
	for _, c := range []struct {
		name string
		bit  int
		save mfa.Change
		then func() error
	}{
		{"Load", 1, change(1, false), func() error { return seen(2) }},
		{"replace", 2, change(1, false), func() error { return far.Save(t.Context(), change(2, false)) }},
		{"delete", 2, change(1, false), func() error { return far.Save(t.Context(), change(2, true)) }},
		{"insert", 4, change(1, true), func() error { return far.Save(t.Context(), change(0, false)) }},
	} {
		for _, wait := range []int{7, 7 &^ c.bit} {
			t.Run(fmt.Sprintf("%s, wsrep_sync_wait=%d", c.name, wait), func(t *testing.T) {
				if _, err := admin.ExecContext(t.Context(), "DELETE FROM "+p.Schema+".mfa_records"); err != nil {
					t.Fatal(err)
				}
				if err := near.Save(t.Context(), change(0, false)); err != nil {
					t.Fatal(err)
				}
				if err := seen(1); err != nil && wait&1 != 0 {
					t.Fatal(err)
				}
				if _, err := db.ExecContext(t.Context(), fmt.Sprintf("SET SESSION wsrep_sync_wait = %d", wait)); err != nil {
					t.Fatal(err)
				}
				// A node applies in order: what comes after the row of a locked table waits for it.
				if _, err := lock.ExecContext(t.Context(), "LOCK TABLES "+p.Schema+".held READ"); err != nil {
					t.Fatal(err)
				}
				if _, err := admin.ExecContext(t.Context(), "INSERT INTO "+p.Schema+".held VALUES ()"); err != nil {
					t.Fatal(err)
				}
				if err := near.Save(t.Context(), c.save); err != nil {
					t.Fatal(err)
				}
				called := make(chan error)
				go func() { called <- c.then() }()
				var err error
				if wait != 7 {
					err = <-called // it does not wait for the lock
				}
				if _, err := lock.ExecContext(t.Context(), "UNLOCK TABLES"); err != nil {
					t.Fatal(err)
				}
				if wait == 7 {
					err = <-called
				}
				if (wait == 7) != (err == nil) {
					t.Errorf("error %v", err)
				}
				if wait != 7 {
					t.Log(err)
				}
				if _, err := db.ExecContext(t.Context(), "SET SESSION wsrep_sync_wait = 7"); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// testRefused: New and Migrate refuse connections that would not see what another node has.
func (g *galera) testRefused(t *testing.T) {
	p, _ := g.server().place(t)
	for params, says := range map[string]string{
		"":                                       "add wsrep_sync_wait=7 to the DSN",
		"&wsrep_sync_wait=3":                     "add wsrep_sync_wait=7 to the DSN",
		"&wsrep_sync_wait=7&wsrep_dirty_reads=1": "wsrep_dirty_reads=ON",
		"&wsrep_sync_wait=7&wsrep_on=0":          "wsrep_on=OFF",
	} {
		g.refused(t, 1, p, params, says)
	}
}

func (g *galera) refused(t *testing.T, node int, p place, params, says string) {
	t.Helper()
	cfg := p.config(g.open(t, node, params))
	_, err := sqlstore.New(t.Context(), cfg)
	for _, err := range []error{err, sqlstore.Migrate(t.Context(), cfg)} {
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: error %v, want one that says %q", params, err, says)
		}
	}
}

// testCutOff: a node that has lost both others takes no Save and shows nothing, since it
// cannot know what they have, and New refuses it.
func (g *galera) testCutOff(t *testing.T) {
	db := g.open(t, 2, "")
	if _, err := db.ExecContext(t.Context(), "CREATE SCHEMA cut_off"); err != nil {
		t.Fatal(err)
	}
	p := place{sqlstore.MySQL, "mysql", galeraDSN(g.addresses[2]), "cut_off"}
	p.migrate(t)
	last := p.mustOpen(t)
	for _, node := range g.nodes[:2] {
		node.kill()
	}
	eventually(t, "the node notices", g.nodes[2].ended, &g.nodes[2].log, func(ctx context.Context) bool {
		var name, value string
		_ = db.QueryRowContext(ctx, "SHOW STATUS LIKE 'wsrep_cluster_status'").Scan(&name, &value)
		return value == "non-Primary"
	})
	_, loaded := last.Load(t.Context(), "a")
	saved := last.Save(t.Context(), mfa.Change{Record: mfa.Record{ID: "a", Kind: "factor"}})
	for _, err := range []error{loaded, saved} {
		if err == nil || errors.Is(err, mfa.ErrConflict) {
			t.Errorf("error %v", err)
		}
	}
	g.refused(t, 2, p, "&wsrep_sync_wait=7", "connect to another node")
}

func init() { sql.Register("mysql nodes", nodesDriver{}) }

// A nodesDriver opens the DSNs that the spaces of an address separate, in turn.
type nodesDriver struct{}

func (nodesDriver) Open(dsns string) (driver.Conn, error) {
	connector, err := newNodes(strings.Fields(dsns)...)
	if err != nil {
		return nil, err
	}
	return connector.Connect(context.Background())
}

func (nodesDriver) OpenConnector(dsns string) (driver.Connector, error) {
	return newNodes(strings.Fields(dsns)...)
}

// Nodes connects to several nodes in turn, and passes over those that do not answer. It is
// for sql.OpenDB.
type nodes struct {
	connectors []driver.Connector
	next       atomic.Uint64
}

func newNodes(dsns ...string) (*nodes, error) {
	n := new(nodes)
	for _, dsn := range dsns {
		connector, err := mysql.MySQLDriver{}.OpenConnector(dsn)
		if err != nil {
			return nil, err
		}
		n.connectors = append(n.connectors, connector)
	}
	return n, nil
}

// Connect is for database/sql.
func (n *nodes) Connect(ctx context.Context) (conn driver.Conn, err error) {
	first := n.next.Add(1)
	for i := range n.connectors {
		at := (first + uint64(i)) % uint64(len(n.connectors))
		if conn, err = n.connectors[at].Connect(ctx); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Driver is for database/sql.
func (n *nodes) Driver() driver.Driver { return mysql.MySQLDriver{} }
