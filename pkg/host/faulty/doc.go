// Package faulty lends a process a clock that jumps and a disk that fails, as files in a folder say.
//
// It is for tests with whole processes: only binaries built with the tag faults have it, and use it where
// REPRISE_FAULTS names the folder.
//
//	echo 5s >$REPRISE_FAULTS/clock    # the clock of the wall is five seconds ahead, until the file is gone
//	touch $REPRISE_FAULTS/sync        # no file can be synced, until the file is gone
package faulty
