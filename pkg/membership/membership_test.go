package membership_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	"go.uber.org/goleak"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/host/hosttest"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/membership"
	"reprise/pkg/metastore"
	"reprise/pkg/metastore/metatest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type env struct {
	kv    *metatest.Fake
	store *metastore.Store
	h     host.Host
}

func newEnv() env {
	h := hosttest.New(hosttest.NewClock(), 1)
	kv := metatest.NewFake()
	return env{kv: kv, store: metastore.New(kv, "c", h), h: h}
}

func config() membership.Config {
	return membership.Config{
		Node:        &storedv1.Node{Name: "n1", Roles: []string{"worker"}},
		Provision:   &storedv1.Cluster{Partitions: 4},
		InitTimeout: time.Minute,
	}
}

func open(t *testing.T, h host.Host) *membership.Folder {
	t.Helper()
	f, err := membership.OpenFolder(h.FS, "/data/n1", "c", "n1")
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func join(t *testing.T, e env, cfg membership.Config) (membership.Member, error) {
	t.Helper()
	f := open(t, e.h)
	defer func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}()
	return membership.Join(t.Context(), cfg, e.store, f, e.h)
}

func TestGenerationGrowsAndNeverGoesBack(t *testing.T) {
	e := newEnv()
	for want := uint32(1); want <= 3; want++ {
		m, err := join(t, e, config())
		if err != nil || m.ID != (id.GenerationalNode{Node: 1, Generation: want}) {
			t.Fatalf("start %d: %v %v", want, m.ID, err)
		}
	}
	// The store is restored from a backup that knows the cluster, but not this node.
	cluster, err := e.store.Cluster(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.store = metastore.New(metatest.NewFake(), "c", e.h)
	if _, err := e.store.Provision(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	m, err := join(t, e, config())
	if err != nil || m.ID != (id.GenerationalNode{Node: 1, Generation: 4}) {
		t.Errorf("after the backup: %v %v", m.ID, err)
	}
}

func TestAnotherClusterIsRefused(t *testing.T) {
	e := newEnv()
	if _, err := join(t, e, config()); err != nil {
		t.Fatal(err)
	}
	e.store = metastore.New(metatest.NewFake(), "c", e.h)
	if _, err := join(t, e, config()); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "does not have") {
		t.Errorf("an empty store: %v", err)
	}
	if _, err := e.store.Provision(t.Context(), &storedv1.Cluster{}); err != nil {
		t.Fatal(err)
	}
	if _, err := join(t, e, config()); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "fingerprint") {
		t.Errorf("another cluster: %v", err)
	}
	cfg := config()
	cfg.ForceID = 7
	if _, err := join(t, newEnvOn(e.h), cfg); !errs.Is(err, errs.Invalid) {
		t.Errorf("another id: %v", err)
	}
	for _, c := range [][2]string{{"other", "n1"}, {"c", "n2"}} {
		if _, err := membership.OpenFolder(e.h.FS, "/data/n1", c[0], c[1]); !errs.Is(err, errs.Invalid) || strings.Contains(err.Error(), "\n") {
			t.Errorf("folder opened as %v: %v", c, err)
		}
	}
}

func newEnvOn(h host.Host) env {
	e := newEnv()
	e.h = h
	return e
}

func TestDamagedAndNewerFolders(t *testing.T) {
	for text, want := range map[string]errs.Code{
		`{"format":2,"cluster":"c","node":"n1"}`: errs.Unsupported,
		`{"format":1,"clu`:                       errs.Corrupt,
		`{}`:                                     errs.Corrupt,
		``:                                       errs.Corrupt,
	} {
		fs := vfs.NewMem()
		if err := fs.MkdirAll("/data/n1", 0o755); err != nil {
			t.Fatal(err)
		}
		f, err := fs.Create("/data/n1/identity", vfs.WriteCategoryUnspecified)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := membership.OpenFolder(fs, "/data/n1", "c", "n1"); !errs.Is(err, want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestFolderIsForOneProcess(t *testing.T) {
	dir := t.TempDir()
	f, err := membership.OpenFolder(vfs.Default, dir, "c", "n1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := membership.OpenFolder(vfs.Default, dir, "c", "n1"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "in use") {
		t.Errorf("the second: %v", err)
	}
	if err := errors.Join(f.Close(), f.Close()); err != nil {
		t.Fatal(err)
	}
	f, err = membership.OpenFolder(vfs.Default, dir, "c", "n1")
	if err != nil {
		t.Fatalf("after the first closed: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// While there is no cluster a process that may not make one is there for those who may.
func TestVacant(t *testing.T) {
	for _, row := range []struct {
		name  string
		leave error
		code  errs.Code
	}{{"created", nil, 0}, {"the port is gone", errs.Newf(errs.Unavailable, "the port is gone"), errs.Unavailable}} {
		t.Run(row.name, func(t *testing.T) {
			h := hosttest.New(hosttest.NewClock(), 1)
			h.Clock = hosttest.Real(1).Clock
			e := newEnvOn(h)
			cfg := config()
			spec := cfg.Provision
			cfg.Provision = nil
			entered, left := 0, 0
			cfg.Vacant = func(ctx context.Context) func() error {
				entered++
				if _, err := e.store.Provision(ctx, spec); err != nil {
					t.Error(err)
				}
				return func() error {
					left++
					return row.leave
				}
			}
			m, err := join(t, e, cfg)
			if row.code == 0 && (err != nil || m.Cluster.Partitions != 4) || row.code != 0 && !errs.Is(err, row.code) {
				t.Errorf("joined %v, %v", m, err)
			}
			if entered != 1 || left != 1 {
				t.Errorf("entered %d times, left %d times", entered, left)
			}
			if _, err := join(t, e, cfg); err != nil && row.code == 0 || entered != 1 {
				t.Errorf("at the next start: entered %d times, %v", entered, err)
			}
		})
	}
}

func TestJoinWaitsForTheCluster(t *testing.T) {
	e := newEnv()
	clock := hosttest.NewClock()
	e.h.Clock = clock
	cfg := config()
	cfg.Provision = nil
	joined := make(chan membership.Member, 1) // one join
	g := lifecycle.NewGroup(t.Context())
	f := open(t, e.h)
	g.Go("join", func(ctx context.Context) error {
		m, err := membership.Join(ctx, cfg, e.store, f, e.h)
		joined <- m
		return err
	})
	clock.Await(1) // it asked once
	if _, err := e.store.Provision(t.Context(), &storedv1.Cluster{}); err != nil {
		t.Fatal(err)
	}
	clock.Advance(time.Second)
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	if m := <-joined; m.ID.Node != 1 {
		t.Errorf("joined as %v", m.ID)
	}
	cfg.InitTimeout = time.Nanosecond
	if _, err := membership.Join(t.Context(), cfg, e.store, f, e.h); !errs.Is(err, errs.Unavailable) {
		t.Errorf("too late: %v", err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// nodes is a Nodes of one node.
type nodes struct {
	node    atomic.Pointer[storedv1.Node]
	changed chan struct{}
}

func (n *nodes) Node(id.Node) *storedv1.Node { return n.node.Load() }
func (n *nodes) Changed() <-chan struct{}    { return n.changed }

func TestPresence(t *testing.T) {
	e := newEnv()
	clock := hosttest.NewClock()
	e.h.Clock = clock
	m, err := join(t, e, config())
	if err != nil {
		t.Fatal(err)
	}
	n := &nodes{changed: make(chan struct{})}
	n.node.Store(m.Node)
	p := membership.NewPresence(m.ID, e.store, n, e.h)
	g := lifecycle.NewGroup(t.Context())
	g.Go("presence", p.Run)
	<-p.Ready()
	_, rev, err := e.kv.Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	e.kv.Expire("/reprise/v1/c/presence/00000001")
	clock.Await(1)
	clock.Advance(time.Second)
	errBack := errors.New("held again")
	err = e.kv.Watch(t.Context(), "/reprise/v1/c/presence/", rev+1, func(ev []metastore.Event) error {
		if !ev[0].Deleted && string(ev[0].Value) == "1" {
			return errBack
		}
		return nil
	})
	if !errors.Is(err, errBack) {
		t.Fatal(err)
	}
	n.node.Store(&storedv1.Node{Id: 1, Generation: 2})
	close(n.changed)
	if err := g.Wait(); !errs.Is(err, errs.Fenced) {
		t.Errorf("ended with %v", err)
	}
}

// What Join wrote survives a crash that loses everything not synced.
func TestIdentityIsDurable(t *testing.T) {
	e := newEnv()
	fs := vfs.NewCrashableMem()
	e.h.FS = fs
	for range 2 {
		if _, err := join(t, e, config()); err != nil {
			t.Fatal(err)
		}
	}
	after := fs.CrashClone(vfs.CrashCloneCfg{})
	f, err := membership.OpenFolder(after, "/data/n1", "c", "n1")
	if err != nil {
		t.Fatal(err)
	}
	if i, ok := f.Identity(); !ok || i.Generation != 2 || i.ID != 1 {
		t.Errorf("after the crash: %+v", i)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestAFolderThatCanNotBeWritten(t *testing.T) {
	for _, failing := range []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileSync, errorfs.OpCreate, errorfs.OpRename} {
		e := newEnv()
		broken := false
		e.h.FS = errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if broken && op.Kind == failing {
				return syscall.EROFS
			}
			return nil
		}))
		f := open(t, e.h)
		broken = true
		_, err := membership.Join(t.Context(), config(), e.store, f, e.h)
		if err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("join while %v fails: %v", failing, err)
		}
		broken = false
		if m, err := membership.Join(t.Context(), config(), e.store, f, e.h); err != nil || m.ID.Generation != 2 {
			t.Errorf("afterwards: %v %v", m.ID, err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
	}
	fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpMkdirAll {
			return syscall.EROFS
		}
		return nil
	}))
	if _, err := membership.OpenFolder(fs, "/data/n1", "c", "n1"); !errs.Is(err, errs.Invalid) || !strings.Contains(err.Error(), "base-dir") {
		t.Errorf("open: %v", err)
	}
}

// A folder that an earlier release wrote must open for ever.
func TestFormat1Opens(t *testing.T) {
	dir := t.TempDir()
	b, err := os.ReadFile("testdata/format/v1/identity")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "identity"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := membership.OpenFolder(vfs.Default, dir, "localcluster", "n1")
	if err != nil {
		t.Fatal(err)
	}
	want := membership.Identity{Format: 1, Cluster: "localcluster", Fingerprint: "00ff00ff00ff00ff", Node: "n1", ID: 3, Generation: 41}
	if i, _ := f.Identity(); i != want {
		t.Errorf("read %+v", i)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
