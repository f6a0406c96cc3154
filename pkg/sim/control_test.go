package sim_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"reprise/pkg/controller"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/lifecycle"
	"reprise/pkg/lsn"
	"reprise/pkg/membership"
	"reprise/pkg/placement"
)

// runMetadata is the control plane of a metadata daemon. The store is elsewhere: see kv.
func (p *process) runMetadata() error {
	roster := controller.NewRoster(func(ctx context.Context, n id.Node) bool {
		ctx, cancel := context.WithTimeout(ctx, unanswered)
		defer cancel()
		_, err := call(ctx, p.w, p, p.w.nameOf(n), "probe", func(context.Context, *process) (struct{}, error) { return struct{}{}, nil })
		return !errors.Is(err, errRefused)
	}, p.host)
	serves := lifecycle.Func(func(ctx context.Context) error {
		p.get(func() { p.roster = roster })
		<-ctx.Done()
		return nil
	})
	attendance := membership.NewAttendance(p.self, p.view, control{p}, nil, p.host)
	return lifecycle.Run(p.ctx, p.view, membership.NewPresence(p.self, p.store, p.view, p.host),
		controller.New(controller.Default(), p.self.Node, p.view, roster, p.store, p.host), roster, controller.NewLeaders(p.self.Node, p.view, roster, p.host),
		serves, attendance, attendance.Departure())
}

// control is where processes attend at metadata daemons.
type control struct{ p *process }

// meeting is a connection to a metadata daemon.
type meeting struct {
	p     *process
	to    string
	there order
	back  order
	visit *controller.Visit
	calls chan placement.Call

	once   sync.Once
	broken chan struct{}
}

// unanswered is after what time a connection is known to be no use.
const unanswered = 3 * time.Second

// callsMax is how many calls may wait at a worker.
const callsMax = 64

// Attend implements membership.Metadata.
func (c control) Attend(ctx context.Context, n id.Node) (membership.Meeting, error) {
	m := &meeting{p: c.p, to: c.p.w.nameOf(n), calls: make(chan placement.Call, callsMax), broken: make(chan struct{})}
	tctx, cancel := context.WithTimeout(ctx, unanswered)
	defer cancel()
	visit, err := call(tctx, c.p.w, c.p, m.to, "attend", func(_ context.Context, p *process) (v *controller.Visit, err error) {
		var roster *controller.Roster
		p.get(func() { roster = p.roster })
		if roster == nil {
			return nil, errRefused
		}
		return roster.Enter(c.p.self, func(x placement.Call) { m.called(p, x) }), nil
	})
	if err != nil {
		return nil, errs.With(errs.Unavailable, err)
	}
	m.visit = visit
	c.p.get(func() { c.p.meetings = append(c.p.meetings, m) })
	stop := context.AfterFunc(ctx, m.hangUp)
	c.p.w.group.Go("meeting", func(wctx context.Context) error {
		select {
		case <-m.broken:
		case <-wctx.Done():
		}
		stop()
		return nil
	})
	return m, nil
}

func (m *meeting) hangUp() { m.once.Do(func() { close(m.broken) }) }

// left is when the daemon hears that the connection ended.
func (m *meeting) left() {
	m.hangUp()
	if m.visit != nil {
		m.visit.Leave()
	}
}

func (m *meeting) over() bool {
	select {
	case <-m.broken:
		return true
	default:
		return false
	}
}

// Tell implements membership.Meeting.
func (m *meeting) Tell(leaving bool, nowMillis int64, statuses []placement.Status) error {
	if m.over() {
		return errReset
	}
	b := controller.Beat{Leaving: leaving, SentAtMillis: nowMillis, Statuses: slices.Clone(statuses)}
	m.p.w.net.post(&message{by: m.p, from: m.p.name, to: m.to, what: "beat", order: &m.there, lose: m.left, arrive: func() {
		if p := m.p.w.processes[m.to]; p == nil {
			m.hangUp()
		} else if m.p.alive() && !m.over() {
			m.visit.Beat(b)
		}
	}})
	return nil
}

func (m *meeting) called(daemon *process, c placement.Call) {
	if !daemon.alive() {
		return
	}
	m.p.w.net.post(&message{from: m.to, to: m.p.name, what: fmt.Sprintf("lead %d %d", c.Partition, c.Over), order: &m.back, lose: m.left, arrive: func() {
		select {
		case m.calls <- c:
		default:
		}
	}})
}

// Await implements membership.Meeting.
func (m *meeting) Await() (id.Partition, lsn.Epoch, error) {
	select {
	case c := <-m.calls:
		return c.Partition, c.Over, nil
	case <-m.broken:
		return 0, 0, errReset
	}
}
