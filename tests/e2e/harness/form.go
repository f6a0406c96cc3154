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

// Form is a running product: one process or eight, with one ingress and one admin address.
type Form struct {
	Name      string
	Ingress   string // URL
	Admin     string // URL
	Fabric    string // URL of the standalone process
	Dir       string // folder of all its processes, with their logs
	Processes []*Process
}

// NewStandalone is the form of one process.
func NewStandalone(b *Binaries, ports *Ports, dir string) (*Form, error) {
	f := &Form{Name: "standalone", Dir: dir}
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

// Daemons are the five daemons as eight processes, in start order: name and program.
var daemons = [][2]string{
	{"metadata", "reprise-metadata"},
	{"log-server-1", "reprise-log-server"}, {"log-server-2", "reprise-log-server"}, {"log-server-3", "reprise-log-server"},
	{"worker-1", "reprise-worker"}, {"worker-2", "reprise-worker"},
	{"ingress", "reprise-ingress"}, {"admin", "reprise-admin"},
}

// NewDaemons is the form of eight processes: three log-servers with two copies of each record, two
// workers, one each of the others.
func NewDaemons(b *Binaries, ports *Ports, dir string) (*Form, error) {
	f := &Form{Name: "daemons", Dir: dir}
	metadata := ""
	for _, d := range daemons {
		name, program := d[0], d[1]
		fabric, err := ports.Take()
		if err != nil {
			return nil, err
		}
		if metadata == "" {
			metadata = fabric
		}
		s := Spec{
			Name: name, Path: b.Path(program), Dir: dir,
			Env: []string{
				"RESTATE_CLUSTER_NAME=" + f.Name + "-" + filepath.Base(dir),
				"RESTATE_NODE_NAME=" + name,
				"RESTATE_BASE_DIR=" + filepath.Join(dir, name),
				"RESTATE_BIND_ADDRESS=" + fabric,
				"RESTATE_ADVERTISED_ADDRESS=http://" + fabric,
				fmt.Sprintf(`RESTATE_METADATA_CLIENT__ADDRESSES=["http://%s"]`, metadata),
				"RESTATE_DEFAULT_REPLICATION={node: 2}",
			},
			Ready: []string{"http://" + fabric + "/health"},
			Addrs: []string{fabric},
		}
		switch name {
		case "metadata":
			peer, err1 := ports.Take()
			client, err2 := ports.Take()
			if err := errors.Join(err1, err2); err != nil {
				return nil, err
			}
			s.Addrs = append(s.Addrs, peer, client)
			s.Env = append(s.Env, "RESTATE_METADATA_SERVER__PEER_PORT="+portOf(peer), "RESTATE_METADATA_SERVER__CLIENT_PORT="+portOf(client))
		case "ingress", "admin":
			addr, err := ports.Take()
			if err != nil {
				return nil, err
			}
			s.Addrs = append(s.Addrs, addr)
			if name == "ingress" {
				f.Ingress = "http://" + addr
				s.Env = append(s.Env, "RESTATE_INGRESS__BIND_ADDRESS="+addr)
				s.Ready = append(s.Ready, f.Ingress+"/restate/health")
			} else {
				f.Admin = "http://" + addr
				s.Env = append(s.Env, "RESTATE_ADMIN__BIND_ADDRESS="+addr)
				s.Ready = append(s.Ready, f.Admin+"/health")
			}
		}
		f.Processes = append(f.Processes, NewProcess(s))
	}
	return f, nil
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
