package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3bolt"

	"reprise/tests/e2e/harness"
)

// Where the object stores of the tests have their objects, and who may have them.
const (
	storeBucket = "snapshots"
	storeUser   = "minioadmin"
	storeRegion = "us-east-1"
)

// objectStore is an S3 server that is killed and started again, with a way to it that tells how far transfers are.
type objectStore struct {
	t       *testing.T
	process *harness.Process
	direct  string // URL, for the test
	way     *way   // for all others
}

// fakeS3Env has this program be a gofakes3 server: the address, a blank, and the file for its objects.
const fakeS3Env = "E2E_FAKE_S3"

// serveFakeS3 returns when the server ends, which never happens by itself.
func serveFakeS3(where string) error {
	addr, file, _ := strings.Cut(where, " ")
	objects, err := s3bolt.NewFile(file)
	if err != nil {
		return err
	}
	server := http.Server{Addr: addr, Handler: gofakes3.New(objects).Server(), ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}

// newFakeS3 starts gofakes3, which puts an object whole or not at all, in a process of its own.
func newFakeS3(t *testing.T, dir string) *objectStore {
	t.Helper()
	addr, err := env.ports.Take()
	ok(t, err)
	program, err := os.Executable()
	ok(t, err)
	return startStore(t, addr, harness.Spec{
		Name: "gofakes3", Path: program, Dir: dir, Ready: []string{"http://" + addr + "/"},
		Env: []string{fakeS3Env + "=" + addr + " " + filepath.Join(dir, "objects.db")},
	})
}

// newMinio starts minio.
func newMinio(t *testing.T, program, dir string) *objectStore {
	t.Helper()
	addr, err := env.ports.Take()
	ok(t, err)
	return startStore(t, addr, harness.Spec{
		Name: "minio", Path: program, Dir: dir, Ready: []string{"http://" + addr + "/minio/health/live"},
		Args: []string{"server", filepath.Join(dir, "minio"), "--address", addr, "--quiet"},
		Env:  []string{"MINIO_ROOT_USER=" + storeUser, "MINIO_ROOT_PASSWORD=" + storeUser, "MINIO_BROWSER=off"},
	})
}

func startStore(t *testing.T, addr string, spec harness.Spec) *objectStore {
	t.Helper()
	ok(t, os.MkdirAll(spec.Dir, 0o755))
	s := &objectStore{t: t, process: harness.NewProcess(spec), direct: "http://" + addr}
	ok(t, s.process.Start())
	t.Cleanup(func() { ok(t, s.process.Kill()) })
	ok(t, s.process.WaitReady(t.Context()))
	var err error
	s.way, err = newWay(addr)
	ok(t, err)
	t.Cleanup(s.way.close)
	_, err = s.do(http.MethodPut, "", nil)
	ok(t, err)
	return s
}

// settings have workers put snapshots there.
func (s *objectStore) settings() []string {
	return []string{
		"RESTATE_WORKER__SNAPSHOTS__DESTINATION=s3://" + storeBucket + "/some/folder",
		"RESTATE_WORKER__SNAPSHOTS__AWS_ENDPOINT_URL=http://" + s.way.addr(), "RESTATE_WORKER__SNAPSHOTS__AWS_ALLOW_HTTP=true",
		"RESTATE_WORKER__SNAPSHOTS__AWS_REGION=" + storeRegion,
		"RESTATE_WORKER__SNAPSHOTS__AWS_ACCESS_KEY_ID=" + storeUser, "RESTATE_WORKER__SNAPSHOTS__AWS_SECRET_ACCESS_KEY=" + storeUser,
	}
}

// do asks the server directly, with a signature of AWS in version 4. Keys need no escapes.
func (s *objectStore) do(method, key string, body []byte) ([]byte, error) {
	path := "/" + storeBucket
	if key != "" {
		path += "/some/folder/" + key
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, s.direct+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	sum := sha256.Sum256(body)
	hash, stamp, scope := hex.EncodeToString(sum[:]), now.Format("20060102T150405Z"), now.Format("20060102")+"/"+storeRegion+"/s3/aws4_request"
	const signed = "host;x-amz-content-sha256;x-amz-date"
	canonical := sha256.Sum256([]byte(strings.Join([]string{
		method, path, "", "host:" + req.URL.Host, "x-amz-content-sha256:" + hash, "x-amz-date:" + stamp, "", signed, hash,
	}, "\n")))
	secret := []byte("AWS4" + storeUser)
	for part := range strings.SplitSeq(scope, "/") {
		secret = mac(secret, part)
	}
	signature := mac(secret, strings.Join([]string{"AWS4-HMAC-SHA256", stamp, scope, hex.EncodeToString(canonical[:])}, "\n"))
	req.Header.Set("X-Amz-Content-Sha256", hash)
	req.Header.Set("X-Amz-Date", stamp)
	req.Header.Set("Authorization", fmt.Sprintf("AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%x", storeUser, scope, signed, signature))
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode >= 300 {
		err = fmt.Errorf("%s %s: %s: %s", method, key, res.Status, got)
	}
	return got, err
}

func mac(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// snapshot is what is looked at of a pointer and of metadata.
type snapshot struct {
	At       uint64     `json:"min_applied_lsn"`
	Path     string     `json:"path"`
	Retained []snapshot `json:"retained_snapshots"`
	Files    []struct {
		Path string `json:"path"`
		Size int    `json:"size"`
	} `json:"files"`
}

func (s *objectStore) document(key string) (d snapshot, err error) {
	b, err := s.do(http.MethodGet, key, nil)
	if err == nil {
		err = json.Unmarshal(b, &d)
	}
	return d, err
}

// pointers are those of all partitions.
func (s *objectStore) pointers(partitions int) ([]snapshot, error) {
	all := make([]snapshot, partitions)
	var failed []error
	for p := range all {
		var err error
		all[p], err = s.document(fmt.Sprintf("%d/latest.json", p))
		failed = append(failed, err)
	}
	return all, errors.Join(failed...)
}

// whole finds that all is there which a pointer names, in its size. Restores look at the rest.
func (s *objectStore) whole(partition int, pointer snapshot) error {
	for _, ref := range pointer.Retained {
		m, err := s.document(fmt.Sprintf("%d/%s/metadata.json", partition, ref.Path))
		if err != nil {
			return err
		}
		if m.At != ref.At || len(m.Files) == 0 {
			return fmt.Errorf("metadata at %d of a pointer to %d, %d files", m.At, ref.At, len(m.Files))
		}
		for _, f := range m.Files {
			b, err := s.do(http.MethodGet, fmt.Sprintf("%d/%s", partition, f.Path), nil)
			if err != nil {
				return err
			}
			if len(b) != f.Size {
				return fmt.Errorf("%s has %d bytes, not %d", f.Path, len(b), f.Size)
			}
		}
	}
	return nil
}

// killAfter kills the server once so many more bytes went one way; what comes behind them is lost. The channel is closed then.
func (s *objectStore) killAfter(d direction, n int64) <-chan struct{} {
	dead := make(chan struct{})
	s.way.after(d, n, func() {
		if err := s.process.Kill(); err != nil {
			s.t.Errorf("kill the object store: %v", err)
		}
		close(dead)
	})
	return dead
}

// direction of a transfer.
type direction int

const (
	up   direction = iota // to the server
	down                  // from it
)

// way forwards connections to a server, and does something once so many bytes went over it.
type way struct {
	target string
	ln     net.Listener
	open   sync.WaitGroup

	mu    sync.Mutex // guards what follows
	conns map[net.Conn]bool
	left  [2]int64
	then  [2]func() // nil: nothing is to be done
}

func newWay(target string) (*way, error) {
	addr, err := env.ports.Take()
	if err != nil {
		return nil, err
	}
	ln, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", addr)
	if err != nil {
		return nil, err
	}
	w := &way{target: target, ln: ln, conns: map[net.Conn]bool{}}
	w.open.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			w.open.Go(func() { w.forward(c) })
		}
	})
	return w, nil
}

func (w *way) addr() string { return w.ln.Addr().String() }

// close ends all connections and waits until nothing of it runs.
func (w *way) close() {
	_ = w.ln.Close()
	w.mu.Lock()
	for c := range w.conns {
		_ = c.Close()
	}
	w.conns = nil
	w.mu.Unlock()
	w.open.Wait()
}

func (w *way) after(d direction, n int64, then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.left[d], w.then[d] = n, then
}

// keep has close end a connection; false if it has been called.
func (w *way) keep(c net.Conn) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.conns == nil {
		return false
	}
	w.conns[c] = true
	return true
}

func (w *way) forward(c net.Conn) {
	defer func() { _ = c.Close() }()
	s, err := (&net.Dialer{}).DialContext(context.Background(), "tcp", w.target)
	if err != nil {
		return // it is down
	}
	defer func() { _ = s.Close() }()
	if !w.keep(c) || !w.keep(s) {
		return
	}
	var both sync.WaitGroup
	both.Go(func() { w.pass(up, s, c) })
	both.Go(func() { w.pass(down, c, s) })
	both.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, c)
	delete(w.conns, s)
}

// pass ends both connections when one has ended.
func (w *way) pass(d direction, to, from net.Conn) {
	defer func() { _, _ = to.Close(), from.Close() }()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if then := w.count(d, int64(n)); then != nil {
			then()
			return
		}
		if n > 0 {
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// count returns what is to be done when n more bytes were read.
func (w *way) count(d direction, n int64) (then func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.then[d] == nil {
		return nil
	}
	if w.left[d] -= n; w.left[d] >= 0 {
		return nil
	}
	then, w.then[d] = w.then[d], nil
	return then
}
