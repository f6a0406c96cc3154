package partition

import (
	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/id"
)

// applyTruncateOutbox drops messages that their target has applied.
func (a *application) applyTruncateOutbox() error {
	var c storedv1.TruncateOutbox
	if err := a.decodeFacts(&c); err != nil {
		return err
	}
	return a.st.TruncateOutbox(id.Partition(c.Target), c.Through)
}
