package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// applyTruncateOutbox drops messages that their target has applied.
func (a *application) applyTruncateOutbox() error {
	var c storedv1.TruncateOutbox
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	return a.st.TruncateOutbox(id.Partition(c.Target), c.Through)
}
