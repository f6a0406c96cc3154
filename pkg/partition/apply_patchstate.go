package partition

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/id"
	"reprise/pkg/queue"
)

// changesMax is how many changes may wait for one key: all of them may be made by one record. Part of the
// apply version.
const changesMax = 64

var queueFull = &command.Outcome{Status: command.OutcomeQueueFull}

// applyPatchState replaces the user state of a key, at once or when those before it in the queue of the key
// have ended.
func (a *application) applyPatchState() error {
	c := &storedv1.PatchStateFacts{}
	if err := c.UnmarshalVT(a.rec.Facts); err != nil {
		return a.badFacts(err)
	}
	if id.Hash(c.Key) != a.rec.ID.PartitionKey() {
		return a.badFacts(errs.Newf(errs.Corrupt, "the key %q is not of the partition key", c.Key))
	}
	waiting, err := a.st.CountChanges(c.Service, c.Key, changesMax)
	if err != nil {
		return err
	}
	if waiting >= changesMax {
		a.answer(queueFull)
		return nil
	}
	a.answer(accepted)
	q := queue.Name{Service: c.Service, Key: c.Key}
	at := a.position()
	stage, err := queue.Enter(a.st, q, queue.Entry{Position: at})
	if err != nil {
		return err
	}
	if stage == queue.Waiting {
		a.queued++
		return a.st.PutChange(q.Service, q.Key, at, c)
	}
	if err := a.replaceState(c); err != nil {
		return err
	}
	return a.passLock(q, id.Invocation{})
}

// takeChange makes the change that waited at a position.
func (a *application) takeChange(q queue.Name, position uint64) error {
	c, err := a.st.Change(q.Service, q.Key, position)
	if err != nil {
		return err
	}
	if c == nil {
		return errs.Newf(errs.Corrupt, "a change waits in the queue of %s %q at %d, and none is there", q.Service, q.Key, position)
	}
	if err := a.st.DeleteChange(q.Service, q.Key, position); err != nil {
		return err
	}
	return a.replaceState(c)
}

// replaceState does nothing if the state is not the one that the change was made for.
func (a *application) replaceState(c *storedv1.PatchStateFacts) error {
	if c.Version != nil {
		is, err := a.stateVersion(c.Service, c.Key)
		if err != nil || is != *c.Version {
			return err
		}
	}
	if err := a.st.ClearAllUserState(c.Service, c.Key); err != nil {
		return err
	}
	for _, e := range c.Entries {
		if err := a.st.SetUserState(c.Service, c.Key, e.Name, e.Value); err != nil {
			return err
		}
	}
	return nil
}

// stateVersion is the etag of the user state of a key: a hash over its names, in byte order, and values.
func (a *application) stateVersion(service, key string) (string, error) {
	names, err := a.st.UserStateNames(service, key)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	var buf []byte
	for i, name := range names {
		value, _, err := a.st.UserState(service, key, name)
		if err != nil {
			return "", err
		}
		buf = binary.BigEndian.AppendUint64(buf[:0], uint64(i))
		buf = append(append(append(buf, 1), name...), 2)
		buf = append(append(buf, value...), 3)
		_, _ = h.Write(buf) // a hash takes everything
	}
	return base64.RawURLEncoding.EncodeToString(h.Sum(nil)), nil
}
