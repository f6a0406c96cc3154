package faults

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"

	"reprise/tests/e2e/harness"
)

// network is a bridge of this machine and the hosts at it, each a namespace.
type network struct {
	tag     string // of all names, by which two runs tell theirs apart
	subnet  string // first three bytes
	hosts   map[string]*host
	order   []*host
	created []func() error // what undoes it, in the order of making
}

// host is a namespace with one interface.
type host struct {
	namespace, ip, mac string
}

// nobody is a hardware address that no host has: what is sent to it is lost.
const nobody = "02:00:00:00:00:00"

// ip runs the command of that name.
func ip(args ...string) error { return run("ip", args...) }

func run(name string, args ...string) error {
	cmd := exec.Command(name, args...)
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %q: %w: %s", name, args, err, bytes.TrimSpace(text))
	}
	return nil
}

// newNetwork makes the bridge. The error says why that is not possible.
func newNetwork() (*network, error) {
	pid := os.Getpid()
	n := &network{tag: fmt.Sprintf("rf%d", pid%100_000), subnet: fmt.Sprintf("10.%d.%d", 200+pid/250%50, pid%250), hosts: map[string]*host{}}
	if err := ip("link", "add", n.bridge(), "type", "bridge"); err != nil {
		return nil, err
	}
	n.created = append(n.created, func() error { return ip("link", "del", n.bridge()) })
	err := errors.Join(ip("addr", "add", n.gateway()+"/24", "dev", n.bridge()), ip("link", "set", n.bridge(), "up"))
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	return n, nil
}

func (n *network) bridge() string { return n.tag + "br" }

// gateway is the address of this process.
func (n *network) gateway() string { return n.subnet + ".254" }

// add makes a host.
func (n *network) add(name string) (*host, error) {
	i := len(n.order) + 1
	h := &host{namespace: fmt.Sprintf("%s-%d", n.tag, i), ip: fmt.Sprintf("%s.%d", n.subnet, i), mac: fmt.Sprintf("02:00:00:00:01:%02x", i)}
	if err := ip("netns", "add", h.namespace); err != nil {
		return nil, err
	}
	n.created = append(n.created, func() error { return ip("netns", "del", h.namespace) }) // with its interfaces
	end := fmt.Sprintf("%sv%d", n.tag, i)
	for _, args := range [][]string{
		{"link", "add", end, "type", "veth", "peer", "name", "e0", "netns", h.namespace},
		{"link", "set", end, "master", n.bridge(), "up"},
		{"-n", h.namespace, "link", "set", "e0", "address", h.mac, "up"},
		{"-n", h.namespace, "link", "set", "lo", "up"},
		{"-n", h.namespace, "addr", "add", h.ip + "/24", "dev", "e0"},
	} {
		if err := ip(args...); err != nil {
			return nil, err
		}
	}
	n.hosts[name], n.order = h, append(n.order, h)
	return h, nil
}

// place is a harness.Place for a process.
func (n *network) place(name string) (harness.Place, error) {
	h, err := n.add(name)
	if err != nil {
		return harness.Place{}, err
	}
	return harness.Place{IP: h.ip, Exec: []string{"ip", "netns", "exec", h.namespace}}, nil
}

// block loses what one host sends to another; its connections stay and hear nothing.
func (h *host) block(to *host) error {
	return ip("-n", h.namespace, "neigh", "replace", to.ip, "lladdr", nobody, "dev", "e0", "nud", "permanent")
}

// unblock ends block.
func (h *host) unblock(to *host) error {
	return ip("-n", h.namespace, "neigh", "replace", to.ip, "lladdr", to.mac, "dev", "e0", "nud", "permanent")
}

// cut loses what a host sends to all others, what they send to it, or both. The function that it returns ends it.
func (n *network) cut(h *host, out, in bool) (heal func() error, err error) {
	var errs []error
	each := func(f func(from, to *host) error) error {
		errs = nil
		for _, other := range n.order {
			if other != h && out {
				errs = append(errs, f(h, other))
			}
			if other != h && in {
				errs = append(errs, f(other, h))
			}
		}
		return errors.Join(errs...)
	}
	return func() error { return each((*host).unblock) }, each((*host).block)
}

// within runs a command inside of the namespace.
func (h *host) within(command ...string) error {
	return run("ip", append([]string{"netns", "exec", h.namespace}, command...)...)
}

// lossPercent is how many of the packets that a host gets are lost, and of those that it sends.
const lossPercent = "5"

// lose loses packets of a host, both ways. The function that it returns ends it.
func (h *host) lose() (heal func() error, err error) {
	heal = func() error { return h.within("nft", "delete", "table", "inet", "loss") }
	if err := h.within("nft", "add", "table", "inet", "loss"); err != nil {
		return heal, err
	}
	for _, way := range []string{"input", "output"} {
		err := errors.Join(
			h.within("nft", "add", "chain", "inet", "loss", way, "{ type filter hook "+way+" priority 0 ; }"),
			h.within("nft", "add", "rule", "inet", "loss", way, "numgen", "random", "mod", "100", "<", lossPercent, "drop"),
		)
		if err != nil {
			return heal, errors.Join(err, heal())
		}
	}
	return heal, nil
}

// throttle has a host send 2 Mbit a second at most; what does not fit waits, or is lost.
func (h *host) throttle() (heal func() error, err error) {
	return func() error { return h.within("tc", "qdisc", "del", "dev", "e0", "root") },
		h.within("tc", "qdisc", "add", "dev", "e0", "root", "tbf", "rate", "2mbit", "burst", "32kb", "latency", "200ms")
}

// close takes all of it away.
func (n *network) close() error {
	var errs []error
	for i := len(n.created) - 1; i >= 0; i-- {
		errs = append(errs, n.created[i]())
	}
	n.created = nil
	return errors.Join(errs...)
}
