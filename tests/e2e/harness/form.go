package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Form is a running product: one process or several, with one ingress and one admin address.
type Form struct {
	Name      string
	Ingress   string // URL
	Admin     string // URL
	Fabric    string // URL of the standalone process
	Dir       string // folder of all its processes, with their logs
	Processes []*Process
	// Partitions is how many its settings say that there are; 0: the default.
	Partitions int
	// ControlFlags are for reprisectl; with them it speaks TLS.
	ControlFlags []string

	bins    *Binaries
	members *members // of which it was made; nil: of one process
}

// NewStandalone is the form of one process.
func NewStandalone(b *Binaries, ports *Ports, dir string) (*Form, error) {
	f := &Form{Name: "standalone", Dir: dir, bins: b}
	ingress, err1 := ports.Take()
	admin, err2 := ports.Take()
	fabric, err3 := ports.Take()
	if err := errors.Join(err1, err2, err3); err != nil {
		return nil, err
	}
	f.Ingress, f.Admin, f.Fabric = "http://"+ingress, "http://"+admin, "http://"+fabric
	f.Processes = []*Process{NewProcess(Spec{
		Name: "standalone", Path: b.Path("reprise-standalone"), Dir: dir,
		Env: []string{
			"RESTATE_NODE_NAME=standalone",
			"RESTATE_BASE_DIR=" + filepath.Join(dir, "data"),
			"RESTATE_BIND_ADDRESS=" + fabric,
			"RESTATE_INGRESS__BIND_ADDRESS=" + ingress,
			"RESTATE_ADMIN__BIND_ADDRESS=" + admin,
		},
		Ready: []string{f.Admin + "/health", f.Ingress + "/restate/health"},
		Addrs: []string{ingress, admin, fabric},
	})}
	return f, nil
}

// NewDaemons is the form of eight processes: three log-servers with two copies of each record, two
// workers, one each of the others.
func NewDaemons(b *Binaries, ports *Ports, dir string) (*Form, error) {
	return newDaemons(b, ports, dir, "daemons", []string{
		"metadata", "log-server-1", "log-server-2", "log-server-3", "worker-1", "worker-2", "ingress", "admin",
	}, nil)
}

// Place is where a process runs: the IP address at which others find it, and the command that runs its program there.
type Place struct {
	IP   string
	Exec []string // such as ip netns exec NAME; empty: the program itself
	// Via makes a way to its fabric address, and returns the address that others are told; nil: the same.
	Via func(fabric string) (string, error)
}

// NewCluster is the form of which any process but the ingress may die: three metadata daemons, three log-servers, three workers.
// place says where each runs; nil: all on loopback.
func NewCluster(b *Binaries, ports *Ports, dir string, place func(process string) (Place, error)) (*Form, error) {
	return newDaemons(b, ports, dir, "cluster", []string{
		"metadata-1", "metadata-2", "metadata-3", "log-server-1", "log-server-2", "log-server-3",
		"worker-1", "worker-2", "worker-3", "ingress", "admin",
	}, place)
}

// NewNodes is the form of nodes with all roles, each of which may die, beside an ingress and an admin daemon that stay.
func NewNodes(b *Binaries, ports *Ports, dir string) (*Form, error) {
	return newDaemons(b, ports, dir, "nodes", []string{"node-1", "node-2", "node-3", "ingress", "admin"}, nil)
}

// newDaemons is a form of daemons, in start order.
func newDaemons(b *Binaries, ports *Ports, dir, form string, names []string, place func(string) (Place, error)) (*Form, error) {
	f := &Form{Name: form, Dir: dir, bins: b}
	m := &members{form: f, ports: ports}
	f.members = m
	for _, name := range names {
		at := Place{IP: "127.0.0.1"}
		if place != nil {
			var err error
			if at, err = place(name); err != nil {
				return nil, err
			}
		}
		if err := m.add(b, name, at); err != nil {
			return nil, err
		}
	}
	for _, s := range m.specs {
		m.process(s)
	}
	return f, nil
}

// Add makes one more process of a form of daemons, such as worker-4, on loopback; it is not started. A node or a metadata daemon
// knows those that were there before, and may not make a cluster.
func (f *Form) Add(b *Binaries, name string) (*Process, error) {
	m := f.members
	known := slices.Clone(m.metadata)
	if err := m.add(b, name, Place{IP: "127.0.0.1"}); err != nil {
		return nil, err
	}
	s := m.specs[len(m.specs)-1]
	if len(m.metadata) == len(known) {
		return m.process(s), nil
	}
	s.Env = append(s.Env, addresses(known), "RESTATE_AUTO_PROVISION=false")
	p := NewProcess(s)
	f.Processes = append(f.Processes, p)
	return p, nil
}

// addresses is the setting that names metadata daemons.
func addresses(urls []string) string {
	return fmt.Sprintf(`RESTATE_METADATA_CLIENT__ADDRESSES=["%s"]`, strings.Join(urls, `","`))
}

// members are the daemons of a form in the making.
type members struct {
	form     *Form
	ports    *Ports
	specs    []Spec
	metadata []string // fabric URLs of the metadata daemons
	peers    []string // name=URL of their etcd members
}

// process adds a process that knows of the metadata daemons.
func (m *members) process(s Spec) *Process {
	node, member := strings.HasPrefix(s.Name, "node"), strings.HasPrefix(s.Name, "metadata")
	if !node {
		s.Env = append(s.Env, addresses(m.metadata))
	}
	if len(m.peers) > 1 && (node || member) {
		s.Env = append(s.Env, fmt.Sprintf(`RESTATE_METADATA_SERVER__INITIAL_CLUSTER=["%s"]`, strings.Join(m.peers, `","`)))
	}
	p := NewProcess(s)
	m.form.Processes = append(m.form.Processes, p)
	return p
}

// address is a new one of a place.
func (m *members) address(at Place) (string, error) {
	addr, err := m.ports.Take()
	return at.IP + ":" + portOf(addr), err
}

func (m *members) add(b *Binaries, name string, at Place) error {
	fabric, err1 := m.address(at)
	more, err2 := m.address(at)
	client, err3 := m.address(at)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	told := fabric
	if at.Via != nil {
		var err error
		if told, err = at.Via(fabric); err != nil {
			return err
		}
	}
	role := strings.TrimRight(name, "-0123456789")
	faults := filepath.Join(m.form.Dir, name+".faults")
	program := "reprise-" + role
	if role == "node" {
		program = "reprise-standalone"
	}
	command := append(slices.Clone(at.Exec), b.Path(program))
	s := Spec{
		Name: name, Path: command[0], Args: command[1:], Dir: m.form.Dir,
		Env: []string{
			"RESTATE_CLUSTER_NAME=" + m.form.Name + "-" + filepath.Base(m.form.Dir),
			"RESTATE_NODE_NAME=" + name,
			"RESTATE_BASE_DIR=" + filepath.Join(m.form.Dir, name),
			"RESTATE_BIND_ADDRESS=" + fabric,
			"RESTATE_ADVERTISED_ADDRESS=http://" + told,
			"RESTATE_DEFAULT_REPLICATION={node: 2}",
			"REPRISE_FAULTS=" + faults, // of binaries built with the tag faults
		},
		Faults: faults,
		Ready:  []string{"http://" + fabric + "/health"},
		Addrs:  []string{fabric},
	}
	switch role {
	case "metadata":
		m.member(&s, at, told, more, client)
	case "node":
		front, err1 := m.address(at)
		admin, err2 := m.address(at)
		if err := errors.Join(err1, err2); err != nil {
			return err
		}
		m.member(&s, at, told, more, client)
		m.ingress(&s, front)
		m.admin(&s, admin)
	case "ingress":
		m.ingress(&s, more)
		m.form.Ingress = s.Ingress
	case "admin":
		m.admin(&s, more)
		m.form.Admin = "http://" + more
	}
	m.specs = append(m.specs, s)
	return nil
}

// member has a process hold a member of etcd.
func (m *members) member(s *Spec, at Place, fabric, peer, client string) {
	s.Addrs = append(s.Addrs, peer, client)
	s.Env = append(s.Env, "RESTATE_METADATA_SERVER__PEER_PORT="+portOf(peer), "RESTATE_METADATA_SERVER__CLIENT_PORT="+portOf(client))
	m.metadata = append(m.metadata, "http://"+fabric)
	m.peers = append(m.peers, s.Name+"=http://"+at.IP+":"+portOf(peer))
}

func (m *members) ingress(s *Spec, addr string) {
	s.Ingress = "http://" + addr
	s.Addrs = append(s.Addrs, addr)
	s.Env = append(s.Env, "RESTATE_INGRESS__BIND_ADDRESS="+addr)
	s.Ready = append(s.Ready, s.Ingress+"/restate/health")
}

func (m *members) admin(s *Spec, addr string) {
	s.Addrs = append(s.Addrs, addr)
	s.Env = append(s.Env, "RESTATE_ADMIN__BIND_ADDRESS="+addr)
	s.Ready = append(s.Ready, "http://"+addr+"/health")
}

func portOf(addr string) string {
	return addr[strings.LastIndexByte(addr, ':')+1:]
}

// Start starts all processes and returns when all are ready.
func (f *Form) Start(ctx context.Context) error {
	if err := os.MkdirAll(f.Dir, 0o755); err != nil {
		return err
	}
	for _, p := range f.Processes {
		if err := p.Start(); err != nil {
			return err
		}
	}
	for _, p := range f.Processes {
		if err := p.WaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Stop stops all processes, last started first.
func (f *Form) Stop() error {
	var errs []error
	for _, p := range slices.Backward(f.Processes) {
		errs = append(errs, p.Stop())
	}
	return errors.Join(errs...)
}

// Process returns the process of that name.
func (f *Form) Process(name string) (*Process, error) {
	for _, p := range f.Processes {
		if p.Name == name {
			return p, nil
		}
	}
	return nil, fmt.Errorf("%s has no process %s", f.Name, name)
}

// Restart starts a killed process again and returns when it is ready.
func (p *Process) Restart(ctx context.Context) error {
	if err := p.Start(); err != nil {
		return err
	}
	return p.WaitReady(ctx)
}
