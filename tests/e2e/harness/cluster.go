package harness

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"time"
)

// askLimit is how long reprisectl may take: it asks one daemon after the other where some hang.
const askLimit = 5 * time.Second

// Control runs reprisectl on the form, through any of its daemons that runs, and decodes what it prints with --json, unless out
// is nil.
func (f *Form) Control(ctx context.Context, out any, command ...string) error {
	var at []string
	scheme := "http://"
	if len(f.ControlFlags) > 0 {
		scheme = "https://"
	}
	for _, p := range f.Processes {
		if p.PID() != 0 {
			at = append(at, scheme+p.Addrs[0])
		}
	}
	args := append(slices.Clone(f.ControlFlags), "-s", strings.Join(at, ","))
	args = append(args, command...)
	if out != nil {
		args = append(args, "--json")
	}
	ctx, cancel := context.WithTimeout(ctx, askLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, f.bins.Path("reprisectl"), args...)
	var said, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &complaint
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("reprisectl %s: %w: %s", strings.Join(command, " "), err, complaint.Bytes())
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(said.Bytes(), out); err != nil {
		return fmt.Errorf("reprisectl %s: %w: %s", strings.Join(command, " "), err, said.Bytes())
	}
	return nil
}

// Processor is how a partition stands at a process.
type Processor struct {
	Partition int    `json:"id"`
	Node      string `json:"node"` // N1:2
	Mode      string `json:"mode"` // Leader or Follower
	Status    string `json:"status"`
	Process   string `json:"-"`
}

// Processors are all that live.
func (f *Form) Processors(ctx context.Context) ([]Processor, error) {
	var nodes []struct{ Node, Name string }
	var all []Processor
	if err := errors.Join(f.Control(ctx, &nodes, "nodes", "list"), f.Control(ctx, &all, "partitions", "list")); err != nil {
		return nil, err
	}
	for i := range all {
		number, _, _ := strings.Cut(all[i].Node, ":")
		for _, n := range nodes {
			if n.Node == number {
				all[i].Process = n.Name
			}
		}
	}
	return all, nil
}

// Busiest is the process that leads most partitions, and how many. It asks until somebody leads.
func (f *Form) Busiest(ctx context.Context) (best *Process, leads int, err error) {
	err = Wait(ctx, settleLimit, "who leads partitions", func(ctx context.Context) error {
		all, err := f.Processors(ctx)
		if err != nil {
			return err
		}
		led := map[string]int{}
		for _, p := range all {
			if p.Mode == "Leader" && p.Status == "Active" {
				led[p.Process]++
			}
		}
		best, leads = nil, 0
		for _, p := range f.Processes { // in order, should two lead as many
			if n := led[p.Name]; n > leads {
				best, leads = p, n
			}
		}
		if best == nil {
			return fmt.Errorf("nobody leads: %+v", all)
		}
		return nil
	})
	return best, leads, err
}

// MetadataLeader is the process that leads the metadata quorum. It asks until there is one.
func (f *Form) MetadataLeader(ctx context.Context) (leader *Process, err error) {
	err = Wait(ctx, settleLimit, "who leads the metadata quorum", func(ctx context.Context) error {
		var members []struct{ Leader, Status string }
		if err := f.Control(ctx, &members, "metadata-server", "list"); err != nil {
			return err
		}
		for _, m := range members {
			if m.Leader != "" {
				leader, err = f.Process(m.Leader)
				return err
			}
		}
		return fmt.Errorf("nobody does: %+v", members)
	})
	return leader, err
}

// settleLimit is how long the followers of all partitions may take to catch up.
const settleLimit = time.Minute

// WaitSettled returns when each partition has a leader and a follower that has caught up.
func (f *Form) WaitSettled(ctx context.Context) error {
	return Wait(ctx, settleLimit, "leaders and followers", func(ctx context.Context) error {
		all, err := f.Processors(ctx)
		if err != nil {
			return err
		}
		lacks := map[int]int{}
		for _, p := range all {
			lacks[p.Partition] |= 0
			if p.Status == "Active" {
				lacks[p.Partition] |= map[string]int{"Leader": 1, "Follower": 2}[p.Mode]
			}
		}
		want := f.Partitions
		if want == 0 {
			want = partitions
		}
		if len(lacks) < want {
			return fmt.Errorf("%d of %d partitions are held", len(lacks), want)
		}
		for p, has := range lacks {
			if has != 3 {
				return fmt.Errorf("partition %d has not a leader and a follower that caught up: %+v", p, all)
			}
		}
		return nil
	})
}

// partitions is how many a new cluster has, unless its settings say otherwise.
const partitions = 24

// Ingresses are the URLs of all ingresses, with the processes that they belong to.
func (f *Form) Ingresses() []*Process {
	return slices.DeleteFunc(slices.Clone(f.Processes), func(p *Process) bool { return p.Ingress == "" })
}

// Lead has a process lead all partitions that it holds, as far as it has caught up.
func (f *Form) Lead(ctx context.Context, p *Process) error {
	if err := f.WaitSettled(ctx); err != nil {
		return err
	}
	all, err := f.Processors(ctx)
	if err != nil {
		return err
	}
	node, move := "", []string{"partitions", "leadership", "move"}
	for _, s := range all {
		if s.Process == p.Name && s.Mode == "Follower" {
			number, _, _ := strings.Cut(s.Node, ":")
			move = append(move, strconv.Itoa(s.Partition))
			node = strings.TrimPrefix(number, "N")
		}
	}
	if node == "" {
		return nil
	}
	return f.Control(ctx, nil, append(move, "--node", node)...)
}
