// Package partitionstore keeps the state of one partition in Pebble.
//
// A Store belongs to the goroutine that owns its partition. It has no write-ahead log: the partition's
// log is that, and a store that lost what was not flushed applies it again. Apply works on the View, which
// gathers the rows of many commands until Commit stores them as one batch, with the position of the last one:
//
//	effects, err = partition.Apply(store.View(), record, effects)
//	... // effects may be acted on at once: the log has the record
//	if store.Uncommitted() > some {
//		err = store.Commit()
//	}
//
// The owner reads what is not committed, too. What others read is committed first: they read through a
// Snapshot, and may call Flush, Unflushed, Held, TableBytes and DurableLSN.
//
// # Key map (format 1)
//
// Integers are fixed-width big-endian, so byte order is numeric order. str is a string escaped and
// terminated as in keyenc. An invocation id stands with its unique part first and its partition key last.
//
//	kind  rest of the key                                              value           read by
//	0x01  -                                                            Meta            recovery
//	0x02  unique:16 key:8                                              Invocation      apply, replay
//	0x03  incarnation:u64 unique:16 key:8 first:u32                    journal row     apply, replay
//	0x04  incarnation:u64 unique:16 key:8                              empty           index of rows not completed
//	0x05  service:str key:str                                          invocation:24 waiting:u32   apply: who holds the lock, how many wait
//	0x06  service:str key:str position:u64                             invocation:24   apply: who waits for it; zeros: a change
//	0x07  service:str key:str name:bytes                               user state      apply, start of attempts
//	0x08  dueMillis:u64 unique:16 key:8 incarnation:u64 kind:u8 index:u32  empty       timer scan
//	0x09  target:u16 seq:u64                                           record          shuffle
//	0x0a  target:u16                                                   u64             newest seq put
//	0x0b  source:u16                                                   u64             last seq taken
//	0x0c  service:str key:str name:str                                 Promise         apply: durable promises of a workflow key
//	0x0c  service:str key:str name:str number:u64                      Sink            apply: who waits for one
//	0x0d  incarnation:u64 unique:16 key:8 number:u32                   JournalEvent    apply, people
//	0x0e  service:str key:str position:u64                             PatchStateFacts apply: the change that waits there
//
// Rows of a journal begin with the LSN that created the invocation, so that what is written together
// lies together, at the end of the table, although ids may be hashes. docs/formats/partitionstore.md
// draws the same, and what stands in the folder.
package partitionstore
