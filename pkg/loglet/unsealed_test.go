package loglet_test

import (
	"testing"

	"reprise/pkg/errs"
	"reprise/pkg/logserver/logservertest"
)

func TestUnsealed(t *testing.T) {
	c := logservertest.New(t, 3)
	l := c.Loglet(2, 0, me, "{node: 2}")
	w := start(t, c, l)
	w.append(3)
	if err := w.n.wait(t, 4); err != nil {
		t.Fatal(err)
	}
	cl := client(c)
	if err := cl.Unsealed(t.Context(), l); err != nil {
		t.Errorf("an open loglet: %v", err)
	}
	c.Cut(3, true)
	if err := cl.Unsealed(t.Context(), l); err != nil {
		t.Errorf("two of three say that it is open: %v", err)
	}
	c.Cut(2, true)
	if err := cl.Unsealed(t.Context(), l); !errs.Is(err, errs.Unavailable) {
		t.Errorf("one of three is no proof: %v", err)
	}
	c.Cut(2, false)
	c.Cut(3, false)
	w.l.Close()
	if _, err := cl.Seal(t.Context(), l); err != nil {
		t.Fatal(err)
	}
	if err := cl.Unsealed(t.Context(), l); !errs.Is(err, errs.Unavailable) {
		t.Errorf("a sealed loglet: %v", err)
	}
}
