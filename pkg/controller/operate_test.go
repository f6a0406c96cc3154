package controller_test

import (
	"strings"
	"testing"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lsn"
	"reprise/pkg/metastore"
	"reprise/pkg/placement"
)

// facts are of a cluster with two copies of all: node 1 is a metadata daemon, 2 to 4 are workers and log-servers.
func facts() *metastore.Facts {
	f := &metastore.Facts{
		Cluster: &storedv1.Cluster{Partitions: 2, Replication: "{node: 2}"},
		Nodes:   []*storedv1.Node{{Id: 1, Roles: []string{metastore.RoleMetadata}, EtcdClientUrls: []string{"http://n1:5123"}}},
		Epochs:  []*storedv1.Epoch{{Epoch: 3, Node: 2, Generation: 1, Replicas: []uint32{2, 3}}, {Epoch: 1, Node: 3, Generation: 1, Replicas: []uint32{3, 2}}},
		Logs: []metastore.Log{
			{Chain: &storedv1.Chain{Segments: []*storedv1.Segment{{Loglet: &storedv1.Loglet{Id: 0, Nodeset: []uint32{2, 3}}}, {Index: 1, Loglet: &storedv1.Loglet{Id: 1, Nodeset: []uint32{2, 4}}}}}},
			{Chain: &storedv1.Chain{}},
		},
		Present: []id.GenerationalNode{{Node: 1, Generation: 1}, {Node: 2, Generation: 1}},
	}
	for n := uint32(2); n <= 4; n++ {
		f.Nodes = append(f.Nodes, &storedv1.Node{
			Id: n, Generation: 1, Roles: []string{metastore.RoleWorker, metastore.RoleLogServer},
			WorkerState: storedv1.WorkerState_WORKER_STATE_ACTIVE, StorageState: storedv1.StorageState_STORAGE_STATE_READ_WRITE,
		})
	}
	return f
}

const (
	active   = storedv1.WorkerState_WORKER_STATE_ACTIVE
	draining = storedv1.WorkerState_WORKER_STATE_DRAINING
	disabled = storedv1.WorkerState_WORKER_STATE_DISABLED

	readWrite = storedv1.StorageState_STORAGE_STATE_READ_WRITE
	readOnly  = storedv1.StorageState_STORAGE_STATE_READ_ONLY
	gone      = storedv1.StorageState_STORAGE_STATE_GONE
	off       = storedv1.StorageState_STORAGE_STATE_DISABLED
	fresh     = storedv1.StorageState_STORAGE_STATE_PROVISIONING
)

func TestChanged(t *testing.T) {
	frozen := "maintenance"
	for _, row := range []struct {
		name string
		prep func(*metastore.Facts)
		node id.Node
		c    controller.Change
		want string // part of the error; "": it is done
	}{
		{"drain", nil, 4, controller.Change{Worker: draining}, ""},
		{"drain one of two", func(f *metastore.Facts) { f.Nodes[3].WorkerState = disabled }, 3, controller.Change{Worker: draining}, "1 other workers are active, which can not hold 2 copies"},
		{"drain the only one of a zone", func(f *metastore.Facts) {
			f.Cluster.Replication, f.Nodes[3].Location = "{zone: 2, node: 2}", "eu.b"
		}, 4, controller.Change{Worker: draining}, "the other active workers do not lie as the replication {zone: 2, node: 2} says"},
		{"drain one of two by force", func(f *metastore.Facts) { f.Nodes[3].WorkerState = disabled }, 3, controller.Change{Worker: draining, Force: true}, ""},
		{"drain no longer", func(f *metastore.Facts) { f.Nodes[3].WorkerState = draining }, 4, controller.Change{Worker: active}, ""},
		{"disable what drained", func(f *metastore.Facts) { f.Nodes[3].WorkerState = draining }, 4, controller.Change{Worker: disabled}, ""},
		{"disable what holds", func(f *metastore.Facts) { f.Nodes[2].WorkerState = draining }, 3, controller.Change{Worker: disabled}, "still holds partitions 0, 1"},
		{"disable what holds frozen ones", func(f *metastore.Facts) {
			f.Nodes[2].WorkerState = draining
			f.Directives = []*storedv1.Directive{{}, {PlacementFrozen: &frozen}}
		}, 3, controller.Change{Worker: disabled}, "partitions 1 stay there"},
		{"disable what is about to hold", func(f *metastore.Facts) {
			f.Nodes[3].WorkerState, f.Epochs[1].Next = draining, []uint32{3, 4}
		}, 4, controller.Change{Worker: disabled}, "still holds partitions 1"},
		{"disable at once", nil, 4, controller.Change{Worker: disabled}, "does not go from active to disabled"},
		{"enable", func(f *metastore.Facts) { f.Nodes[3].WorkerState = disabled }, 4, controller.Change{Worker: active}, "does not go from disabled to active"},
		{"the same", nil, 4, controller.Change{Worker: active, Storage: readWrite}, ""},
		{"no worker", nil, 1, controller.Change{Worker: draining}, "N1 is no worker"},
		{"no log-server", nil, 1, controller.Change{Storage: readOnly}, "N1 is no log-server"},
		{"no node", nil, 9, controller.Change{Worker: draining}, "there is no node N9"},
		{"read-only", nil, 4, controller.Change{Storage: readOnly}, ""},
		{"read-only, too few left", func(f *metastore.Facts) { f.Nodes[3].StorageState = readOnly }, 3, controller.Change{Storage: readOnly}, "without it no nodeset can be chosen"},
		{"read-only, too few left, by force", func(f *metastore.Facts) { f.Nodes[3].StorageState = readOnly }, 3, controller.Change{Storage: readOnly, Force: true}, ""},
		{"read-write", func(f *metastore.Facts) { f.Nodes[3].StorageState = readOnly }, 4, controller.Change{Storage: readWrite}, ""},
		{"gone", nil, 4, controller.Change{Storage: gone}, "does not go from read-write to gone"},
		{"gone by force", nil, 4, controller.Change{Storage: gone, Force: true}, ""},
		{"off before it was used", func(f *metastore.Facts) {
			f.Nodes[3].StorageState, f.Logs[0].Chain.Segments = fresh, f.Logs[0].Chain.Segments[:1]
		}, 4, controller.Change{Storage: off}, ""},
		{"off with records, by force", nil, 4, controller.Change{Storage: off, Force: true}, "part of a node set of loglet 0_1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := facts()
			if row.prep != nil {
				row.prep(f)
			}
			n, err := controller.Changed(f, row.node, row.c)
			if row.want != "" {
				if err == nil || !strings.Contains(err.Error(), row.want) || !errs.Is(err, errs.Conflict) && !errs.Is(err, errs.NotFound) {
					t.Errorf("got %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if row.c.Worker != 0 && n.WorkerState != row.c.Worker || row.c.Storage != 0 && n.StorageState != row.c.Storage {
				t.Errorf("it is %v", n)
			}
		})
	}
}

func TestRemovable(t *testing.T) {
	f := facts()
	for _, row := range []struct {
		node  id.Node
		alive bool
		want  []string
	}{
		{1, false, []string{"it runs, as N1:0", "member of the metadata quorum"}},
		{2, false, []string{"it runs, as N2:1", "holds partitions 0, 1", "takes new records", "loglet 0_0", "loglet 0_1"}},
		{4, true, []string{"it runs, as N4:1", "takes new records", "loglet 0_1"}},
		{4, false, []string{"takes new records", "loglet 0_1"}},
	} {
		err := controller.Removable(f, row.node, row.alive)
		if !errs.Is(err, errs.Conflict) {
			t.Errorf("%s: %v", row.node, err)
			continue
		}
		lines := strings.Split(err.Error(), "\n")
		if len(lines) != len(row.want)+1 || !strings.Contains(lines[0], "It is not safe to remove node "+row.node.String()) {
			t.Errorf("%s:\n%v", row.node, err)
			continue
		}
		for i, w := range row.want {
			if !strings.Contains(lines[i+1], w) {
				t.Errorf("%s: %q, want %q", row.node, lines[i+1], w)
			}
		}
	}
	f.Nodes[3].StorageState, f.Logs[0].Chain.Segments = readOnly, f.Logs[0].Chain.Segments[:1]
	if err := controller.Removable(f, 4, false); err != nil {
		t.Errorf("one that nothing needs: %v", err)
	}
}

func TestToLead(t *testing.T) {
	s := &metastore.Snapshot{Epochs: []*storedv1.Epoch{{Epoch: 3, Node: 2, Generation: 1, Replicas: []uint32{2, 3, 4, 5}}}}
	at := func(n id.Node, role placement.Role, applied uint64) placement.Attendant {
		return placement.Attendant{ID: id.GenerationalNode{Node: n, Generation: 1}, Statuses: []placement.Status{{Role: role, Applied: lsn.LSN(applied)}}}
	}
	leader := at(2, placement.Leads, 9000)
	leaving := at(5, placement.Follows, 9000)
	leaving.Leaving = true
	for _, row := range []struct {
		name  string
		alive []placement.Attendant
		p     id.Partition
		node  id.Node
		want  id.Node // 0: nobody is called
		err   string
	}{
		{"the furthest", []placement.Attendant{leader, at(3, placement.Follows, 8500), at(4, placement.Follows, 8900)}, 0, 0, 4, ""},
		{"a certain one", []placement.Attendant{leader, at(3, placement.Follows, 8500), at(4, placement.Follows, 8900)}, 0, 3, 3, ""},
		{"it leads", []placement.Attendant{leader}, 0, 2, 0, ""},
		{"nobody else", []placement.Attendant{leader}, 0, 0, 0, "no other worker holds it and lives"},
		{"far behind", []placement.Attendant{leader, at(3, placement.Follows, 7000)}, 0, 3, 0, "N3:1 is 2000 records behind"},
		{"parked", []placement.Attendant{leader, at(3, placement.Parked, 9000)}, 0, 0, 0, "N3:1 is parked"},
		{"not yet", []placement.Attendant{leader, at(3, placement.Idle, 0)}, 0, 3, 0, "N3:1 does not follow it yet"},
		{"it stops", []placement.Attendant{leader, leaving}, 0, 5, 0, "N5:1 stops"},
		{"dead", []placement.Attendant{leader}, 0, 4, 0, "N4 is not alive"},
		{"a stranger", []placement.Attendant{leader, at(9, placement.Follows, 9000)}, 0, 9, 0, "N9 does not hold it"},
		{"no partition", []placement.Attendant{leader}, 7, 0, 0, "there is no partition 7"},
	} {
		call, made, err := controller.ToLead(s, row.alive, row.p, row.node)
		switch {
		case row.err != "":
			if err == nil || !strings.Contains(err.Error(), row.err) || made {
				t.Errorf("%s: %v", row.name, err)
			}
		case err != nil || call.Node != row.want || made != (row.want != 0) || made && call.Over != 3:
			t.Errorf("%s: %+v %t %v", row.name, call, made, err)
		}
	}
}
