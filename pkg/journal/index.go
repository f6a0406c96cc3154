package journal

// Index is what the rows of a journal imply. Equal rows give an equal Index.
type Index struct {
	Entries     uint32 // commands and notifications
	Commands    uint32
	LastTime    int64  // of the newest row, Unix milliseconds
	LastAttempt uint32 // the highest that sent a row
	Bytes       int64  // of frames

	// Completions has the completion ids whose notification is stored, with whether it was a failure.
	Completions map[uint32]Outcome
	// Signals and NamedSignals likewise, for signals by index and by name.
	Signals      map[uint32]Outcome
	NamedSignals map[string]Outcome
}

// Outcome is how a notification resolves an await.
type Outcome uint8

// The outcomes.
const (
	Success Outcome = 1
	Failed  Outcome = 2
)
