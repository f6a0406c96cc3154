package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"reprise/tests/e2e/harness"
	"reprise/tests/e2e/history"
)

var minioFlag = flag.String("minio", "", "program of a minio server, as scripts/minio makes it; empty: its test is skipped")

// The object store is killed in the middle of uploads and of a restore: nothing is lost, no half snapshot is used, and workers go on.
func TestObjectStoreDies(t *testing.T) {
	if !strings.Contains(*formsFlag, "daemons") {
		t.Skip("it is about several processes")
	}
	storeDies(t, newFakeS3(t, filepath.Join(env.dir, t.Name()+"-store")), 1)
}

// The same with minio, more often.
func TestMinioDies(t *testing.T) {
	if *minioFlag == "" {
		t.Skip("no -minio")
	}
	storeDies(t, newMinio(t, *minioFlag, filepath.Join(env.dir, t.Name()+"-store")), 5)
}

// faulty is a cluster whose object store dies.
type faulty struct {
	*operator
	form    *harness.Form
	store   *objectStore
	callers *callers
	boxes   int // that are filled
}

// storeDies kills the store in the middle of so many uploads, of a restore, and damages what it holds.
func storeDies(t *testing.T, s *objectStore, uploads int) {
	f, err := harness.NewDaemons(env.bins, env.ports, filepath.Join(env.dir, t.Name()))
	ok(t, err)
	for _, p := range f.Processes {
		p.Set(s.settings()...)
		p.Set(fmt.Sprintf("RESTATE_DEFAULT_NUM_PARTITIONS=%d", trimPartitions), "RESTATE_WORKER__SNAPSHOTS__SNAPSHOT_INTERVAL=2s",
			"RESTATE_WORKER__TRIM_DELAY_INTERVAL=1s", "RESTATE_ROCKSDB_TOTAL_MEMORY_SIZE=64MiB")
	}
	t.Cleanup(func() { ok(t, f.Stop()) })
	ok(t, f.Start(t.Context()))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(f)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))

	c := &faulty{operator: newOperator(t, fabricOf(f.Processes[0])), form: f, store: s, callers: &callers{form: f}}
	stop := c.callers.start(t.Context(), 8)
	t.Cleanup(stop)
	c.fill(100)
	c.await("there are snapshots", func() error {
		_, err := s.pointers(trimPartitions)
		return err
	})
	begin := time.Now()
	took := func(what string) {
		t.Logf("%s: %s", what, time.Since(begin).Round(time.Millisecond))
		begin = time.Now()
	}
	for i := range uploads {
		c.dieInUpload(int64(i+1) * 150 << 10)
	}
	took("died in uploads")
	worker, err := f.Process("worker-2")
	ok(t, err)
	allTrimmed(t, f)
	took("logs are trimmed")
	c.wipe(worker)
	c.dieInRestore(worker)
	took("died in a restore")
	stop()
	for _, err := range c.callers.errs {
		t.Errorf("a client saw %v", err)
	}
	c.damage(worker)
	took("a damaged file")
	c.lookAtAll(worker)
	took("looked at all")
}

// box64 is the name of a box and what is put into it: nothing that can be compressed.
func box64(i int) (name, content string) {
	random := make([]byte, 0, payloadBytes)
	for k := 0; len(random) < payloadBytes*3/4; k++ {
		sum := sha256.Sum256(fmt.Appendf(nil, "%d %d", i, k))
		random = append(random, sum[:]...)
	}
	return fmt.Sprintf("box-%d", i), base64.StdEncoding.EncodeToString(random)
}

// fill fills n more boxes.
func (c *faulty) fill(n int) {
	c.t.Helper()
	c.eachBox(n, func(client *harness.Client, i int) error {
		name, content := box64(c.boxes + i)
		return client.Call(c.t.Context(), "Box/"+name+"/set", Entry{Name: "content", Value: content}, nil)
	})
	c.boxes += n
}

// eachBox calls f with 0 to n-1, four at a time.
func (c *faulty) eachBox(n int, f func(client *harness.Client, i int) error) {
	c.t.Helper()
	var next atomic.Int64
	var running sync.WaitGroup
	for range 4 {
		running.Go(func() {
			client := harness.NewClient(c.form)
			defer client.Close()
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if err := f(client, i); err != nil {
					c.t.Errorf("box %d: %v", i, err)
					return
				}
			}
		})
	}
	running.Wait()
}

// dies waits until the store is dead, has clients go on meanwhile, and starts it again after f.
func (c *faulty) dies(dead <-chan struct{}, f func()) {
	c.t.Helper()
	select {
	case <-dead:
	case <-time.After(time.Minute):
		c.t.Fatal("the object store was not used")
	}
	ok(c.t, c.callers.progress(c.t.Context(), 200))
	f()
	ok(c.t, c.store.process.Restart(c.t.Context()))
}

// look finds that what the store holds can be used, and is not older than it was.
func (c *faulty) look(before []snapshot) {
	c.t.Helper()
	trimmed := positions(c.t, c.form, "reprise_processor_trimmed_lsn")
	after, err := c.store.pointers(trimPartitions)
	ok(c.t, err)
	for p, now := range after {
		if now.At < before[p].At {
			c.t.Errorf("partition %d: the pointer was at %d, and is at %d", p, before[p].At, now.At)
		}
		if oldest := now.Retained[len(now.Retained)-1].At; uint64(trimmed[strconv.Itoa(p)]) > oldest {
			c.t.Errorf("partition %d: the log is trimmed to %v, the oldest snapshot is at %d", p, trimmed[strconv.Itoa(p)], oldest)
		}
	}
}

func (c *faulty) dieInUpload(bytes int64) {
	c.t.Helper()
	before, err := c.store.pointers(trimPartitions)
	ok(c.t, err)
	dead := c.store.killAfter(up, bytes)
	c.fill(60)
	c.dies(dead, func() {})
	c.look(before)
	c.await("snapshots are made again", func() error {
		now, err := c.store.pointers(trimPartitions)
		if err != nil {
			return err
		}
		for p := range now {
			if now[p].At <= before[p].At {
				return fmt.Errorf("partition %d is at %d, as before", p, now[p].At)
			}
		}
		return nil
	})
}

// wipe takes a worker's stores away, and leaves it down.
func (c *faulty) wipe(worker *harness.Process) {
	c.t.Helper()
	ok(c.t, worker.Kill())
	ok(c.t, os.RemoveAll(c.storesOf(worker)))
}

func (c *faulty) storesOf(worker *harness.Process) string {
	c.t.Helper()
	stores, err := filepath.Glob(filepath.Join(c.form.Dir, worker.Name, "*", "partitions"))
	ok(c.t, err)
	if len(stores) != 1 {
		c.t.Fatalf("stores of %s: %v", worker.Name, stores)
	}
	return stores[0]
}

func (c *faulty) dieInRestore(worker *harness.Process) {
	c.t.Helper()
	before, err := c.store.pointers(trimPartitions)
	ok(c.t, err)
	dead := c.store.killAfter(down, 300<<10)
	ok(c.t, worker.Start())
	c.dies(dead, func() {
		if begun, err := filepath.Glob(filepath.Join(c.storesOf(worker), "*.restore")); err != nil || len(begun) == 0 {
			c.t.Errorf("nothing is being restored: %v", err)
		}
	})
	ok(c.t, worker.WaitReady(c.t.Context()))
	c.look(before)
	c.allActive()
	if n := sum(metric(c.t, worker, "reprise_processor_restores_total")); n == 0 {
		c.t.Errorf("nothing was restored")
	}
}

func (c *faulty) allActive() {
	c.t.Helper()
	c.await("all replicas are up to date", func() error {
		out := c.run("partitions list", 0)
		if n := strings.Count(out, " Active "); n != 2*trimPartitions {
			return fmt.Errorf("%d are: %s", n, out)
		}
		return nil
	})
}

// quiet waits until snapshots hold all that there is. Nobody calls.
func (c *faulty) quiet() {
	c.t.Helper()
	c.await("snapshots hold all", func() error {
		var rows []struct {
			ID      int
			Mode    string
			Applied uint64
		}
		ok(c.t, json.Unmarshal([]byte(c.run("partitions list --json", 0)), &rows))
		now, err := c.store.pointers(trimPartitions)
		if err != nil {
			return err
		}
		leaders := 0
		for _, r := range rows {
			if r.Mode != "Leader" {
				continue
			}
			leaders++
			if now[r.ID].At != r.Applied {
				return fmt.Errorf("partition %d has applied %d, the snapshot is at %d", r.ID, r.Applied, now[r.ID].At)
			}
		}
		if leaders != trimPartitions {
			return fmt.Errorf("%d have a leader", leaders)
		}
		return nil
	})
}

// damage changes one bit of what a worker needs: it says so, and does without the partition until there is another snapshot.
func (c *faulty) damage(worker *harness.Process) {
	c.t.Helper()
	c.wipe(worker)
	c.quiet()
	pointers, err := c.store.pointers(trimPartitions)
	ok(c.t, err)
	for p, now := range pointers {
		ok(c.t, c.store.whole(p, now))
	}
	m, err := c.store.document("0/" + pointers[0].Path + "/metadata.json")
	ok(c.t, err)
	largest := m.Files[0]
	for _, f := range m.Files {
		if f.Size > largest.Size {
			largest = f
		}
	}
	b, err := c.store.do(http.MethodGet, "0/"+largest.Path, nil)
	ok(c.t, err)
	b[len(b)/2] ^= 1
	_, err = c.store.do(http.MethodPut, "0/"+largest.Path, b)
	ok(c.t, err)

	ok(c.t, worker.Restart(c.t.Context()))
	c.await("it refuses the snapshot", func() error {
		for labels, v := range metric(c.t, worker, "restate_partition_blocked_flare") {
			if v == 1 && strings.Contains(labels, `partition="0"`) && strings.Contains(labels, "snapshot-unavailable") {
				return nil
			}
		}
		return fmt.Errorf("the flare is not up")
	})
	log, err := os.ReadFile(filepath.Join(c.form.Dir, worker.Name+".log"))
	ok(c.t, err)
	if !strings.Contains(string(log), "a snapshot is damaged") || !strings.Contains(string(log), filepath.Base(largest.Path)+": it is damaged") {
		c.t.Errorf("it does not say why:\n%s", worker.Tail())
	}
	if _, err := os.Stat(filepath.Join(c.storesOf(worker), "0")); err == nil {
		c.t.Error("there is a store of the partition")
	}

	// What an operator does: the object goes, and the next snapshot brings it again.
	_, err = c.store.do(http.MethodDelete, "0/"+largest.Path, nil)
	ok(c.t, err)
	c.fill(20)
	c.allActive()
}

// lookAtAll has a worker lead that was restored, and reads all that was ever written.
func (c *faulty) lookAtAll(worker *harness.Process) {
	c.t.Helper()
	c.run(fmt.Sprintf("partitions leadership pin 0-%d --node %s", trimPartitions-1, c.id(worker.Name)), 0)
	c.await("it leads all", func() error {
		if n := sum(metric(c.t, worker, "reprise_processor_led_partitions")); n != trimPartitions {
			return fmt.Errorf("it leads %v", n)
		}
		return nil
	})
	c.eachBox(c.boxes, func(client *harness.Client, i int) error {
		name, content := box64(i)
		var got map[string]string
		err := client.Call(c.t.Context(), "Box/"+name+"/all", nil, &got)
		if err == nil && got["content"] != content {
			err = fmt.Errorf("%s holds %d bytes that are not what was put there", name, len(got["content"]))
		}
		return err
	})
	client := harness.NewClient(c.form)
	defer client.Close()
	total := 0
	for i := range 8 {
		var a history.Account
		ok(c.t, client.Call(c.t.Context(), fmt.Sprintf("Account/caller-%d/read", i), nil, &a))
		total += a.Total
	}
	if answers := int(c.callers.answers.Load()); total != answers {
		c.t.Errorf("%d calls were answered, %d are in the accounts", answers, total)
	}
}

var catchUp = flag.Int("catch-up", 0, "MiB of values that are written for a fresh worker to catch up with, which make twice that in its stores; 0: that test is skipped")

// A worker with an empty disk comes back with all that it held: from snapshots in a folder, and the rest of the logs. The time is shown.
func TestCatchUp(t *testing.T) {
	if *catchUp == 0 {
		t.Skip("no -catch-up")
	}
	f, err := harness.NewDaemons(env.bins, env.ports, filepath.Join(env.dir, t.Name()))
	ok(t, err)
	for _, p := range f.Processes {
		p.Set("RESTATE_WORKER__SNAPSHOTS__DESTINATION=file://"+filepath.Join(f.Dir, "bucket"), "RESTATE_WORKER__TRIM_DELAY_INTERVAL=1s",
			fmt.Sprintf("RESTATE_DEFAULT_NUM_PARTITIONS=%d", trimPartitions))
	}
	t.Cleanup(func() { ok(t, f.Stop()) })
	ok(t, f.Start(t.Context()))
	endpoint, err := harness.Serve(services(newProbe())...)
	ok(t, err)
	t.Cleanup(endpoint.Close)
	control := harness.NewClient(f)
	t.Cleanup(control.Close)
	ok(t, control.Register(t.Context(), endpoint.URI))
	c := &faulty{operator: newOperator(t, fabricOf(f.Processes[0])), form: f}

	begin := time.Now()
	boxes := *catchUp << 20 / payloadBytes
	rest := boxes / 20 // of it is in the logs alone
	c.fill(boxes - rest)
	t.Logf("%d MiB were written in %s", *catchUp, time.Since(begin).Round(time.Millisecond))
	begin = time.Now()
	c.run("snapshots create -t", 0)
	t.Logf("snapshots were made in %s", time.Since(begin).Round(time.Millisecond))
	c.fill(rest)
	worker, err := f.Process("worker-2")
	ok(t, err)
	c.wipe(worker)

	begin = time.Now()
	ok(t, worker.Restart(t.Context()))
	ready := time.Since(begin)
	ok(t, harness.Wait(t.Context(), 10*time.Minute, "all replicas are up to date", func(context.Context) error {
		out := c.run("partitions list", 0)
		if n := strings.Count(out, " Active "); n != 2*trimPartitions {
			return fmt.Errorf("%d are: %s", n, out)
		}
		return nil
	}))
	took := time.Since(begin)
	if n := sum(metric(t, worker, "reprise_processor_restores_total")); n != trimPartitions {
		t.Errorf("%v partitions were restored", n)
	}
	bytes := sizeOf(c.storesOf(worker))
	t.Logf("a fresh worker has %d MiB %s after its start (%s until it was ready): %.0f MiB/s", bytes>>20, took.Round(time.Millisecond), ready.Round(time.Millisecond),
		float64(bytes)/(1<<20)/took.Seconds())
}
