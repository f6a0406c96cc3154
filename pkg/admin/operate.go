package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	storedv1 "reprise/api/stored/v1"
	"reprise/pkg/command"
	"reprise/pkg/errs"
	"reprise/pkg/host"
	"reprise/pkg/id"
	"reprise/pkg/schema"
)

// Partitions reaches the leaders of partitions, here or elsewhere.
type Partitions interface {
	// Do proposes the record of r and waits for what r wants. Codes: NotLeader and Unavailable say that nothing
	// happened; Uncertain that it may have.
	Do(ctx context.Context, r command.Request) (*command.Outcome, error)
}

// operator does things to invocations.
type operator struct {
	parts  Partitions
	schema func() *schema.Registry
	host   host.Host
}

// An operation of which nothing happened is tried again after 50 ms, doubling to 1 s, for 10 s.
const (
	operatePauseMin = 50 * time.Millisecond
	operatePauseMax = time.Second
	operateMax      = 10 * time.Second
)

// repeatable are the operations that may be asked for again when a worker died over them and nobody knows whether they were done,
// with the answers of a repeat that say so. A second cancellation is another signal to the handler, which may await something while
// it compensates: that is left to whoever asked. A second resumption with a deployment is refused if the first was done.
var repeatable = map[command.Kind][]command.OutcomeStatus{
	command.Read: nil, command.Hold: nil, command.PurgeJournal: nil,
	command.Restart: nil, // it carries the id of the new invocation
	command.Kill:    {command.OutcomeAlreadyCompleted, command.OutcomeNotFound},
	command.Purge:   {command.OutcomeNotFound},
}

// propose hands a record to the leader of an invocation's partition.
func (o *operator) propose(ctx context.Context, kind command.Kind, i id.Invocation, facts command.Facts, want command.Want) (*command.Outcome, error) {
	rec, err := command.Append(nil, command.Header{Kind: kind, ID: i}, facts)
	if err != nil {
		return nil, err
	}
	until := o.host.Clock.Now().Add(operateMax)
	done, again := repeatable[kind]
	uncertain := false
	for pause := operatePauseMin; ; pause = min(2*pause, operatePauseMax) {
		out, err := o.parts.Do(ctx, command.Request{ID: i, Record: rec, Want: want})
		if err == nil && uncertain && slices.Contains(done, out.Status) {
			return &command.Outcome{Status: command.OutcomeAccepted}, nil // before, or by somebody else: it is as it shall be
		}
		if err == nil || ctx.Err() != nil {
			return out, err
		}
		switch code := errs.CodeOf(err); {
		case code == errs.Uncertain && again:
			uncertain = true
		case code != errs.NotLeader && code != errs.Unavailable:
			return nil, err
		}
		if !o.host.Clock.Now().Add(pause).Before(until) {
			if uncertain {
				err = errs.With(errs.Uncertain, err)
			}
			return nil, err
		}
		t := o.host.Clock.NewTimer(pause)
		select {
		case <-t.C():
		case <-ctx.Done():
			t.Stop()
			return nil, context.Cause(ctx)
		}
	}
}

// operation is one of those that need no more than an id and perhaps a deployment.
type operation struct {
	kind    command.Kind
	choice  string                            // of a deployment, as the user wrote it; "" is the default
	refused map[command.OutcomeStatus]refusal // else it was done
	run     func(*operator, context.Context, id.Invocation, *operation) (*command.Outcome, error)
	from    uint32        // of a restart
	next    id.Invocation // of a restart: the new id
}

// refusal is why an operation is not done: a status, and what is said of the invocation.
type refusal struct {
	status int
	what   string
}

var alreadyCompleted = refusal{http.StatusConflict, "was already completed"}

var (
	opCancel = operation{kind: command.Cancel, run: (*operator).plain, refused: map[command.OutcomeStatus]refusal{
		command.OutcomeAlreadyCompleted: alreadyCompleted,
	}}
	opKill = operation{kind: command.Kill, run: (*operator).plain, refused: map[command.OutcomeStatus]refusal{
		command.OutcomeAlreadyCompleted: alreadyCompleted,
	}}
	opPause = operation{kind: command.Hold, run: (*operator).plain, refused: map[command.OutcomeStatus]refusal{
		command.OutcomeAlreadyCompleted: {http.StatusConflict, "is not running, cannot be paused"},
		command.OutcomeNotStarted:       {http.StatusConflict, "is not running, cannot be paused"},
	}}
	opResume = operation{kind: command.Resume, run: (*operator).resume, refused: map[command.OutcomeStatus]refusal{
		command.OutcomeAlreadyCompleted: {http.StatusConflict, "is completed, cannot be resumed"},
		command.OutcomeNotStarted:       {http.StatusTooEarly, "is either inboxed or scheduled, cannot be resumed"},
		command.OutcomeDeploymentFixed:  {http.StatusConflict, "is running or has no deployment yet, its deployment cannot be changed"},
		command.OutcomeProtocolMismatch: protocolMismatch,
	}}
	opRestart = operation{kind: command.Restart, run: (*operator).restart, refused: map[command.OutcomeStatus]refusal{
		command.OutcomeNotCompleted:     {http.StatusConflict, "is still running"},
		command.OutcomeNotStarted:       {http.StatusTooEarly, "is either inboxed or scheduled, cannot be restarted"},
		command.OutcomeDeploymentFixed:  {http.StatusConflict, "has no deployment yet, its deployment cannot be changed"},
		command.OutcomeProtocolMismatch: protocolMismatch,
		command.OutcomeNotRestartable:   {http.StatusUnprocessableEntity, "cannot be restarted: it is a workflow, or the journal to begin with is too long"},
		command.OutcomeJournalGone:      {http.StatusGone, "cannot be restarted: its journal is not kept any more"},
		command.OutcomeBadPrefix:        {http.StatusBadRequest, "cannot be restarted from there: the journal up to that entry is over, or contains some Commands without respective Completions"},
	}}
	opPurge = operation{kind: command.Purge, run: (*operator).plain, refused: map[command.OutcomeStatus]refusal{
		command.OutcomeNotCompleted: {http.StatusConflict, "is not yet completed"},
	}}
	opPurgeJournal = operation{kind: command.PurgeJournal, run: (*operator).plain, refused: map[command.OutcomeStatus]refusal{
		command.OutcomeNotCompleted: {http.StatusConflict, "is not yet completed"},
	}}
	protocolMismatch = refusal{http.StatusBadRequest, "began with a protocol version that the deployment does not speak"}
)

// do runs an operation. why is set if it was refused for a reason of the invocation's.
func (o *operator) do(ctx context.Context, i id.Invocation, op *operation) (underWay bool, why *refusal, err error) {
	out, err := op.run(o, ctx, i, op)
	if err != nil {
		return false, nil, err
	}
	if r, ok := op.refused[out.Status]; ok {
		return false, &r, nil
	}
	switch out.Status {
	case command.OutcomeAccepted:
		return false, nil, nil
	case command.OutcomeUnderWay:
		return true, nil, nil
	case command.OutcomeNotFound:
		return false, &refusal{status: http.StatusNotFound}, nil
	default:
		return false, nil, errs.Newf(errs.Internal, "the partition answered an operation with outcome %d", out.Status)
	}
}

func (o *operator) plain(ctx context.Context, i id.Invocation, op *operation) (*command.Outcome, error) {
	return o.propose(ctx, op.kind, i, nil, command.WantAccepted)
}

func (o *operator) resume(ctx context.Context, i id.Invocation, op *operation) (*command.Outcome, error) {
	d, known, err := o.choose(ctx, i, op.choice, choiceKeep)
	if err != nil || known != nil {
		return known, err
	}
	return o.propose(ctx, op.kind, i, &storedv1.ResumeFacts{Deployment: d}, command.WantAccepted)
}

func (o *operator) restart(ctx context.Context, i id.Invocation, op *operation) (*command.Outcome, error) {
	facts := &storedv1.RestartFacts{From: op.from, Keep: isChoice(op.choice, choiceKeep)}
	if op.from > 0 || !isChoice(op.choice, choiceLatest) && op.choice != "" { // else what is newest when it starts
		var known *command.Outcome
		var err error
		if facts.Deployment, known, err = o.choose(ctx, i, op.choice, choiceLatest); err != nil || known != nil {
			return known, err
		}
	}
	var random [10]byte
	o.host.Rand.Read(random[:])
	op.next = id.FreshInvocation(i.PartitionKey(), id.NewULID(host.Millis(o.host.Clock), random))
	facts.Id = op.next[:]
	return o.propose(ctx, op.kind, i, facts, command.WantAccepted)
}

// Choices of a deployment other than an id.
const (
	choiceKeep   = "keep"
	choiceLatest = "latest"
)

// isChoice tells whether a text is a lower-case word, or the same with a capital.
func isChoice(text, word string) bool {
	return text == word || text == strings.ToUpper(word[:1])+word[1:]
}

// checkChoice tells whether a choice of a deployment is one; "" is the default.
func checkChoice(text string) bool {
	if text == "" || isChoice(text, choiceKeep) || isChoice(text, choiceLatest) {
		return true
	}
	_, err := id.ParseDeployment(text)
	return err == nil
}

// choose resolves a choice that was checked; nil keeps what the invocation has. known is set instead if the
// invocation is not there.
func (o *operator) choose(ctx context.Context, i id.Invocation, text, otherwise string) (c *storedv1.Choice, known *command.Outcome, err error) {
	if text == "" {
		text = otherwise
	}
	if isChoice(text, choiceKeep) {
		return nil, nil, nil
	}
	out, err := o.propose(ctx, command.Read, i, nil, command.WantNow)
	if err != nil {
		return nil, nil, err
	}
	if out.Status == command.OutcomeNotFound {
		return nil, out, nil
	}
	reg := o.schema()
	newest, serves := reg.Service(out.Target.GetService())
	var which id.Deployment
	switch {
	case !isChoice(text, choiceLatest):
		if which, err = id.ParseDeployment(text); err != nil {
			return nil, nil, err
		}
	case serves:
		which = newest.Deployment
	default:
		return nil, nil, refuse(http.StatusBadRequest, "No deployment serves '%s' any more", out.Target.GetService())
	}
	d, ok := reg.Deployment(which)
	if !ok {
		return nil, nil, refuse(http.StatusBadRequest, "The deployment '%s' does not exist", which)
	}
	return &storedv1.Choice{
		Deployment: d.GetId(), MinProtocolVersion: d.GetMinProtocolVersion(), MaxProtocolVersion: d.GetMaxProtocolVersion(),
		Newest: serves && newest.Deployment == which,
	}, nil, nil
}
