package sequencer_test

import (
	"testing"
	"time"

	"reprise/pkg/id"
	"reprise/pkg/logproto"
	"reprise/pkg/sequencer"
)

// refused also records refusals.
type refused struct{ events }

func (r *refused) Refusing(l id.Loglet, refusing bool) { r.add("%s refusing %t", l, refusing) }

// Log-servers without disk space are asked again for as long as it takes; nobody takes over meanwhile.
func TestRefusedWaits(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, _ *events) {
		heard := &refused{}
		l := open(t, w, heard, loglet(1, "1", 1))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		net.answer(1, logproto.Disabled)
		heard.want(t, "1_0 refusing true")
		for range 20 {
			pass(300 * time.Millisecond) // the longest pause is 200 ms
			net.want(t, 1, "1_0@1+1 known 1")
			net.answer(1, logproto.Disabled)
		}
		heard.want(t)
		pass(300 * time.Millisecond)
		net.answer(1, logproto.Ok)
		heard.want(t, "1_0 refusing false", "1_0 committed 2")
		l.Close()
	})
}

// As long as the others are a write quorum, one that refuses is not missed.
func TestRefusedByTooMany(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, _ *events) {
		heard := &refused{}
		l := open(t, w, heard, loglet(1, "2", 1, 2, 3))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		net.answer(1, logproto.Disabled)
		heard.want(t)
		net.answer(2, logproto.Disabled)
		heard.want(t, "1_0 refusing true")
		net.answer(3, logproto.Ok)
		heard.want(t)
		pass(300 * time.Millisecond)
		net.answer(2, logproto.Ok)
		heard.want(t, "1_0 refusing false", "1_0 committed 2")
		l.Close()
	})
}

// One that refused and then fell silent is not waited for: another leader may reach others.
func TestRefusedThenSilent(t *testing.T) {
	story(t, sequencer.Default(), func(t *testing.T, w *sequencer.Writer, net *wire, _ *events) {
		heard := &refused{}
		l := open(t, w, heard, loglet(1, "1", 1))
		l.Append(1, 1, []byte("a"))
		w.Flush()
		net.answer(1, logproto.Disabled)
		heard.want(t, "1_0 refusing true")
		net.refuses(1, true)
		net.breakOff(1)
		heard.want(t, "1_0 refusing false")
		pass(1100 * time.Millisecond)
		heard.want(t, "1_0 failed: no write quorum answers")
		l.Close()
	})
}
